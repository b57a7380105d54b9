"""When the chunks of a stream came, for the metric of the time between them; kept only where metrics are wanted.

A span has one attribute a fact and no list of times: so the times wait here, by span, until the metrics are made.
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

_STREAMS = 4_096
"""Ended streams whose times are kept; beyond that, those of the oldest are dropped."""

_kept: OrderedDict[int, array[float]] = OrderedDict()


def wanted() -> bool:
    """Whether the times of chunks are to be noted."""
    runtime = _runtime.current
    if runtime is None or not runtime.enabled:
        return False
    export = runtime.settings.export
    if not (export.enabled and export.metrics.exporters):
        return False
    return export.metrics_url is not None or host_meter_provider() is not None


def keep(span_number: int, times: array[float]) -> None:
    """Keep the times of a stream for its ended span."""
    _kept[span_number] = times
    while len(_kept) > _STREAMS:
        _kept.popitem(last=False)


def take(span_number: int) -> array[float] | None:
    """The times of a stream, once."""
    return _kept.pop(span_number, None)


def host_meter_provider() -> Any:
    """The meter provider that the application has set up for all its libraries, or None."""
    if "opentelemetry.metrics" not in sys.modules:
        return None
    from opentelemetry import metrics

    found = metrics.get_meter_provider()
    # The stand-in until one is set has no public name.
    return None if type(found).__name__ in {"_ProxyMeterProvider", "NoOpMeterProvider"} else found
