"""The arrival times of a stream's chunks, for the metric of the time between them.

Spans have no attribute for a list of times: the times stay here, by span, until the metrics are recorded.
"""

from __future__ import annotations

import sys
from array import array
from collections import OrderedDict
from typing import Any

from llmops_sdk.tracing.spans import _runtime

__all__ = ["ChunkTimes", "host_meter_provider", "keep", "take", "wanted"]

ChunkTimes = array
"""Seconds on a clock that never goes back, one for each chunk."""

_MAX_STREAMS = 4_096
"""Maximum number of ended streams; the oldest are dropped."""

_kept: OrderedDict[int, array[float]] = OrderedDict()


def wanted() -> bool:
    """Return whether metrics need the times of chunks."""
    runtime = _runtime.current
    if runtime is None or not runtime.enabled:
        return False
    export = runtime.settings.export
    if not (export.enabled and export.metrics.exporters):
        return False
    return export.metrics_url is not None or host_meter_provider() is not None


def keep(span_number: int, times: array[float]) -> None:
    """Store the times of a stream for its ended span."""
    _kept[span_number] = times
    while len(_kept) > _MAX_STREAMS:
        _kept.popitem(last=False)


def take(span_number: int) -> array[float] | None:
    """Remove and return the times of a stream."""
    return _kept.pop(span_number, None)


def host_meter_provider() -> Any:
    """Return the meter provider that the application has set up, or None."""
    if "opentelemetry.metrics" not in sys.modules:
        return None
    from opentelemetry import metrics

    found = metrics.get_meter_provider()
    # The API's placeholder has no public name.
    return None if type(found).__name__ in {"_ProxyMeterProvider", "NoOpMeterProvider"} else found
