"""Write rows of experiments, drift, alerts and scores at once and durably, beside the pipeline of spans."""

from __future__ import annotations

import dataclasses
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk.store.files._filesystems import refuse_network
from llmops_sdk.store.files._layout import create_store
from llmops_sdk.store.files._segment import SegmentWriter
from llmops_sdk.store.lines._encode import Encoder
from llmops_sdk.store.schema._scores import SCORES
from llmops_sdk.store.schema._views import RECORD_STREAMS
from llmops_sdk.store.schema.evaluation._experiments import (
    EXPERIMENT_STREAMS,
    ExperimentItemRecord,
    ExperimentRecord,
    ExperimentScoreRecord,
)
from llmops_sdk.store.schema.monitoring._alerts import ALERTS, AlertRecord
from llmops_sdk.store.schema.monitoring._drift import DRIFT_STREAMS, CanaryRunRecord, DriftCheckRecord
from llmops_sdk.tracing.privacy._hash_key import hash_key
from llmops_sdk.tracing.privacy._redactors import redaction_label, registered_redactors
from llmops_sdk.tracing.privacy._text_redactor import CustomRedactor, TextRedactor
from llmops_sdk.tracing.records._records import LossRecord, ScoreRecord

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = [
    "AlertRecord",
    "CanaryRunRecord",
    "DriftCheckRecord",
    "ExperimentItemRecord",
    "ExperimentRecord",
    "ExperimentScoreRecord",
    "RecordWriter",
    "ScoreRecord",
    "open_record_writer",
]

_AnyRecord: TypeAlias = (
    ExperimentRecord
    | ExperimentItemRecord
    | ExperimentScoreRecord
    | AlertRecord
    | DriftCheckRecord
    | CanaryRunRecord
    | ScoreRecord
)

_NAMES = {stream.record_type: stream.name for stream in (*EXPERIMENT_STREAMS, *DRIFT_STREAMS, ALERTS, SCORES)}
_PLAIN = frozenset({
    "experiment_id", "item_digest", "task_key", "scorer_key", "output_digest", "status", "trace_id", "source_trace_id",
    "scorer_trace_id", "alert_id", "check_id", "run_id", "kind", "state", "previous", "severity", "example_trace_ids",
    "span_id", "session_id", "document_id",
})  # fmt: skip
"""Columns that the SDK makes."""
_CONTENT: Mapping[type, frozenset[str]] = {
    ExperimentRecord: frozenset(),
    ExperimentItemRecord: frozenset({"input", "output", "expected", "metadata", "error"}),
    ExperimentScoreRecord: frozenset({"comment", "metadata", "error"}),
    AlertRecord: frozenset(),
    DriftCheckRecord: frozenset(),
    CanaryRunRecord: frozenset({"answer"}),
    ScoreRecord: frozenset({"comment"}),
}
"""Columns that `[capture] content = false` leaves out."""


class RecordWriter:
    """Writes rows of experiments, drift, alerts and scores.

    A row survives kill -9 once `write` returns. Threads may share it.

    Args:
        settings: The store's folder and bounds, `[redaction]`, and `[capture] content`.

    Raises:
        StoreError: The folder cannot be created or written, or a newer version of the SDK wrote it.
    """

    def __init__(self, settings: Settings) -> None:
        store = settings.store
        self._path = store.path.absolute()
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._encoder = Encoder()
        self._losses: Counter[tuple[str, str]] = Counter()
        self._content = settings.capture.content
        self._redacts = settings.redaction.enabled
        self._patterns: list[CustomRedactor] = []
        self._key: bytes | None = None
        if self._redacts:
            self._patterns = [
                (redaction_label(name), re.compile(text)) for name, text in settings.redaction.patterns.items()
            ]
            self._key = hash_key(settings.redaction)
        create_store(self._path)
        self._writers = {
            name: SegmentWriter(
                self._path,
                RECORD_STREAMS[name],
                max_bytes=min(store.segment_bytes, max(store.max_bytes // 4, 1)),
                max_seconds=store.segment_seconds,
                fsync=store.fsync,
                clock=SYSTEM_CLOCK,
            )
            for name in (*_NAMES.values(), "losses")
        }

    @property
    def path(self) -> Path:
        """Return the store's folder."""
        return self._path

    def write(self, *records: _AnyRecord) -> None:
        """Write rows. An output that is not stored whole gets no `task_key`: it cannot be used again.

        Raises:
            StoreError: The disk is full, or the folder cannot be written. Rows of the call may be missing then.
        """
        lines: dict[str, list[bytes]] = {}
        with self._lock:
            if self._pid != os.getpid():
                self._after_fork()
            for record in records:
                name = _NAMES[type(record)]
                lines.setdefault(name, []).append(self._line(name, record))
            for name, encoded in lines.items():
                writer = self._writers[name]
                if writer.due():
                    writer.seal()
                writer.append(encoded)

    def _line(self, name: str, record: _AnyRecord) -> bytes:
        redacted = self._redact(record)
        before = self._encoder.losses.total()
        line = self._encoder.record_line(RECORD_STREAMS[name], redacted)
        if isinstance(redacted, ExperimentItemRecord) and isinstance(record, ExperimentItemRecord):
            is_whole = redacted.output == record.output and self._encoder.losses.total() == before
            if not is_whole and redacted.task_key is not None:
                line = self._encoder.record_line(RECORD_STREAMS[name], dataclasses.replace(redacted, task_key=None))
        return line

    def close(self) -> None:
        """Seal the segments, and write the counts of what was redacted or cut.

        Raises:
            StoreError: The disk is full, or the folder cannot be written.
        """
        with self._lock:
            if self._pid != os.getpid():
                self._after_fork()
            self._losses.update(self._encoder.losses)
            self._encoder.losses.clear()
            self._encoder.lost_bytes.clear()
            now = time.time_ns()
            counts = [
                LossRecord(time_ns=now, what=what, reason=reason, count=count)
                for (what, reason), count in self._losses.items()
            ]
            self._losses.clear()
            if counts:
                stream = RECORD_STREAMS["losses"]
                self._writers["losses"].append([self._encoder.record_line(stream, one) for one in counts])
            for writer in self._writers.values():
                writer.seal()

    def _after_fork(self) -> None:
        self._pid = os.getpid()
        for writer in self._writers.values():
            writer.close_in_child()

    def _redact(self, record: _AnyRecord) -> _AnyRecord:
        changed: dict[str, Any] = {}
        content = frozenset[str]() if self._content else _CONTENT[type(record)]
        redactor = TextRedactor((*self._patterns, *registered_redactors()), self._key) if self._redacts else None
        for one in dataclasses.fields(record):
            value = getattr(record, one.name)
            if value is None or one.name in _PLAIN:
                continue
            if one.name in content:
                changed[one.name] = None
            elif redactor is not None and isinstance(value, str | bytes):
                new = redactor.text(value) if isinstance(value, str) else redactor.json(value)
                if new != value:
                    changed[one.name] = new
        if redactor is not None:
            self._losses.update({("secret", label): count for label, count in redactor.counts.items()})
        return dataclasses.replace(record, **changed) if changed else record


def open_record_writer(settings: Settings) -> RecordWriter | None:
    """Return a writer of rows of experiments, drift, alerts and scores, or None if the store is off.

    Args:
        settings: The settings in force.

    Raises:
        StoreError: The folder cannot be created or written, is on a network file system, or a newer version wrote it.
    """
    if not (settings.enabled and settings.store.enabled):
        return None
    if settings.store.network == "refuse":
        refuse_network(settings.store.path.absolute())
    return RecordWriter(settings)
