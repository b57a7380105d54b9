"""The statistics of hedging a model: of whole answers, and of streams."""

from __future__ import annotations

from dataclasses import dataclass

from llmops_sdk.config import HedgeSettings
from llmops_sdk.resilience._named_states import NamedStates
from llmops_sdk.resilience.hedging._policy import HedgePolicy

__all__ = ["HedgePolicies", "policies_of"]


@dataclass(frozen=True, slots=True)
class HedgePolicies:
    """The policies of one model: whole answers take longer than first pieces, so each has its own.

    Attributes:
        answers: That of whole answers.
        streams: That of streams.
    """

    answers: HedgePolicy
    streams: HedgePolicy

    @classmethod
    def of(cls, settings: HedgeSettings) -> HedgePolicies:
        """Return new policies with these settings."""
        return cls(HedgePolicy(settings), HedgePolicy(settings))

    def update(self, settings: HedgeSettings) -> None:
        """Go on with other settings and the same latencies."""
        self.answers.update(settings)
        self.streams.update(settings)


_policies: NamedStates[HedgePolicies] = NamedStates()


def policies_of(name: str, settings: HedgeSettings) -> HedgePolicies:
    """Return the policies of a model, which all its callers in the process share.

    Args:
        name: The model's name.
        settings: The settings, for a model without policies yet.
    """
    return _policies.get(name, lambda: HedgePolicies.of(settings))
