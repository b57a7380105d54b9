"""What an application's own tests need: traces in memory, scripted providers, no real calls, a fixed clock and ids.

The pytest plugin in `_plugin` is found by itself once the package is installed. Everything here is imported at its
first use, so that the plugin costs a test run nothing where it is not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmops_sdk.testing._calls import (
        CassetteError,
        RealCallBlockedError,
        block_real_calls,
        use_clock,
        use_provider,
    )
    from llmops_sdk.testing._clock import ManualClock
    from llmops_sdk.testing._ids import sequential_ids
    from llmops_sdk.testing._providers import FailingProvider, ScriptedProvider, ScriptError
    from llmops_sdk.testing._traces import TracedEvent, TracedSpan, Traces, capture_traces

_HOMES: dict[str, str] = {
    **dict.fromkeys(
        ("CassetteError", "RealCallBlockedError", "block_real_calls", "use_clock", "use_provider"), "_calls"
    ),
    **dict.fromkeys(("ManualClock",), "_clock"),
    **dict.fromkeys(("sequential_ids",), "_ids"),
    **dict.fromkeys(("FailingProvider", "ScriptError", "ScriptedProvider"), "_providers"),
    **dict.fromkeys(("TracedEvent", "TracedSpan", "Traces", "capture_traces"), "_traces"),
}

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


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
