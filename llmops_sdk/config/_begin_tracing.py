"""Begin to trace when the program calls `configure`, without an import of tracing by the configuration."""

from __future__ import annotations

import sys
from pkgutil import resolve_name

__all__ = ["begin_tracing"]

# Without them, no span of another library can be lost before the first span of ours.
_RECORDING_LIBRARIES = (
    "fastapi.telemetry",
    "logfire",
    "openinference.instrumentation",
    "opentelemetry.instrumentation",
    "opentelemetry.sdk.trace",
    "starlette.middleware.opentelemetry",
    "traceloop.sdk",
)


def begin_tracing() -> None:
    """Begin to trace if a library is imported that records spans; else the first span of ours does.

    A program that only uses instrumentors never starts a span of ours.
    """
    if any(name in sys.modules for name in _RECORDING_LIBRARIES):
        # By name: this package is below tracing.
        resolve_name("llmops_sdk.tracing.runtime._start:start")()
