"""One call's way through a limiter."""

from __future__ import annotations

from typing import Literal, Protocol, Self, TypeAlias

from llmops_sdk.shared._state import Claim

__all__ = ["Outcome", "Pass", "Stage"]

Outcome: TypeAlias = Literal["ok", "throttled", "timeout", "error", "cancelled"]
"""How a call ended: "throttled" is a 429 or 529, "error" any other failure."""

Stage: TypeAlias = Literal["new", "waiting", "inside", "left"]


class _Owner(Protocol):
    """The limiter that a pass belongs to."""

    def finish(self, one: Pass, tokens: float | None, outcome: Outcome) -> None: ...


class _Waker(Protocol):
    """What wakes the waiting thread or task."""

    def set(self) -> None: ...


class Pass:
    """One call's place in the queue of a limiter, and then its slot, until `exit`.

    A pass that is garbage-collected gives its slot back.

    Attributes:
        holder: The name of the holder in the shared state.
        tokens: The estimated tokens that were taken.
        who: Who takes turns in the queue.
        stage: "new", "waiting", "inside" or "left".
        limit: The limit that the call waited for or was refused by, or None: "concurrency", "requests_per_minute" or
            "tokens_per_minute".
        waited: Seconds that the call waited.
    """

    # Defaults on the class instead of slots: the call that does not wait sets the fewest attributes.
    who: str = ""
    stage: Stage = "new"
    limit: str | None = None
    waited: float = 0.0
    # The rest is for the limiter.
    claims: tuple[Claim, ...] = ()
    latch: _Waker | None = None
    asked_at: float = 0.0
    deadline: float = 0.0
    began: float = 0.0
    error: Exception | None = None

    def __init__(self, owner: _Owner, holder: str, tokens: float) -> None:
        self._owner = owner
        self.holder = holder
        self.tokens = tokens

    def exit(self, *, tokens: float | None = None, outcome: Outcome = "ok") -> None:
        """Give the slot back and let the next call pass. Further calls change nothing.

        Args:
            tokens: The tokens that the call used, prompt and answer together; None keeps the estimate.
            outcome: How the call ended, for an adaptive limit.
        """
        if self.stage == "inside":
            self._owner.finish(self, tokens, outcome)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.exit()
