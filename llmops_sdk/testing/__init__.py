"""Tools for an application's tests: traces in memory, scripted providers, blocked real calls, a fixed clock and ids.

pytest finds the plugin in `_plugin` by itself. Every name is imported at its first use, so that an unused plugin costs
a test run nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_sdk._lazy import lazy_names
from llmops_sdk.errors import CassetteError, RealCallBlockedError, ScriptError

if TYPE_CHECKING:
    from llmops_sdk.testing._calls import block_real_calls, use_clock, use_provider
    from llmops_sdk.testing._clock import ManualClock
    from llmops_sdk.testing._ids import sequential_ids
    from llmops_sdk.testing._providers import FailingProvider, ScriptedProvider
    from llmops_sdk.testing._traces import TracedEvent, TracedSpan, Traces, capture_traces

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_calls": "block_real_calls use_clock use_provider",
        "_clock": "ManualClock",
        "_ids": "sequential_ids",
        "_providers": "FailingProvider ScriptedProvider",
        "_traces": "TracedEvent TracedSpan Traces capture_traces",
    },
)

__all__ = [
    "CassetteError",
    "FailingProvider",
    "ManualClock",
    "RealCallBlockedError",
    "ScriptError",
    "ScriptedProvider",
    "TracedEvent",
    "TracedSpan",
    "Traces",
    "block_real_calls",
    "capture_traces",
    "sequential_ids",
    "use_clock",
    "use_provider",
]
