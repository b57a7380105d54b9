"""The errors of drift and monitoring."""

from __future__ import annotations

from llmops_sdk.errors._base import LLMOpsError

__all__ = ["NotComparableError", "NotifierError"]


class NotComparableError(LLMOpsError):
    """Two windows cannot be compared: they were measured in different ways, or one has too few samples."""


class NotifierError(LLMOpsError):
    """A notification could not be sent.

    Attributes:
        notifier: The notifier's name.
        retry_after: Seconds after which the receiver wants to be asked again, or None.
        permanent: Whether another try cannot succeed.
    """

    def __init__(
        self, message: str, *, notifier: str = "", retry_after: float | None = None, permanent: bool = False
    ) -> None:
        super().__init__(message)
        self.notifier = notifier
        self.retry_after = retry_after
        self.permanent = permanent
