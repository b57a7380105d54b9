"""Head sampling by the standard variables `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.

As in OpenTelemetry, the last 64 bits of the trace id decide, so that services that share a trace agree.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from llmops_sdk.errors import ConfigError

__all__ = ["Sampler", "sampler_from_environment"]

_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Sampler:
    """Decides which traces are recorded.

    Attributes:
        bound: A root span is recorded if the low 64 bits of its trace id are below this.
        follow_parent: Whether a span takes over the decision of its parent.
    """

    bound: int
    follow_parent: bool

    def samples(self, trace_number: int, parent_sampled: bool | None) -> bool:
        """Return whether a span is recorded; `parent_sampled` is None for a root span."""
        if self.follow_parent and parent_sampled is not None:
            return parent_sampled
        return trace_number & _MASK < self.bound


def sampler_from_environment() -> Sampler | None:
    """Return the sampler that the environment asks for; None records every trace whose parent is recorded.

    Raises:
        ConfigError: The name or the ratio is not one that OpenTelemetry knows.
    """
    name = os.environ.get("OTEL_TRACES_SAMPLER", "").strip().lower() or "parentbased_always_on"
    if name == "parentbased_always_on":
        return None
    ratio = {"always_on": 1.0, "always_off": 0.0}.get(name.removeprefix("parentbased_"))
    if ratio is None:
        if name.removeprefix("parentbased_") != "traceidratio":
            use = 'use always_on, always_off, traceidratio, or one of these with "parentbased_" before it'
            raise _invalid("OTEL_TRACES_SAMPLER", name, f"is not known: {use}.")
        text = os.environ.get("OTEL_TRACES_SAMPLER_ARG", "1.0")
        try:
            ratio = float(text)
        except ValueError:
            ratio = -1.0
        if not 0.0 <= ratio <= 1.0:
            raise _invalid("OTEL_TRACES_SAMPLER_ARG", text, "is not a ratio from 0 to 1.")
    return Sampler(round(ratio * (_MASK + 1)), name.startswith("parentbased_"))


def _invalid(variable: str, value: str, problem: str) -> ConfigError:
    return ConfigError(f"{variable}={value!r} {problem}", source=f"environment: {variable}", value=value)
