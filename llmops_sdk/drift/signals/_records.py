"""Write a report to the view `drift_checks`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_sdk.drift._report import DriftReport
from llmops_sdk.drift.signals._windows import Windows
from llmops_sdk.store._record_writer import DriftCheckRecord, open_record_writer

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["write_report"]


def write_report(report: DriftReport, windows: Windows, settings: Settings, path: Path | None) -> None:
    """Write one row for each feature; nothing where the store is off.

    Args:
        report: The report.
        windows: What was compared.
        settings: The settings in force.
        path: The store's folder, or None for the configured one.

    Raises:
        StoreError: The store cannot be written.
    """
    if path is not None:
        store = settings.store.model_copy(update={"path": path})
        settings = settings.model_copy(update={"store": store})
    writer = open_record_writer(settings)
    if writer is None:
        return
    now = time.time_ns()
    windows_ns = {
        "reference_start_ns": windows.reference_start, "reference_end_ns": windows.current_start,
        "current_start_ns": windows.current_start, "current_end_ns": windows.current_end,
    }  # fmt: skip
    try:
        writer.write(
            *(
                DriftCheckRecord(
                    check_id=report.check_id,
                    kind=report.kind,
                    name=report.name,
                    signal=one.signal,
                    slice=json.dumps(dict(one.slice), ensure_ascii=False).encode() if one.slice else None,
                    status=one.status,
                    cause=one.cause,
                    effect=one.effect,
                    effect_low=None if one.interval is None else one.interval.low,
                    effect_high=None if one.interval is None else one.interval.high,
                    p_value=one.p_value,
                    adjusted_p_value=one.adjusted_p_value,
                    e_value=one.e_value,
                    reference_n=one.reference_n,
                    current_n=one.current_n,
                    effective_n=one.effective_n,
                    reason=one.reason,
                    example_trace_ids=one.examples,
                    details=json.dumps(dict(one.details)).encode() if one.details else None,
                    time_ns=now,
                    **windows_ns,
                )
                for one in report.features
            )
        )
    finally:
        writer.close()
