"""The errors of judges and gates."""

from __future__ import annotations

from llmops_sdk.errors._base import LLMOpsError

__all__ = ["JudgeRefusedError", "RegressionError", "VerdictError"]


class VerdictError(LLMOpsError):
    """A judge gave no verdict that can be read.

    Attributes:
        judge: The judge's name.
        answer: Its last answer, cut to 2,000 characters.
    """

    def __init__(self, message: str, *, judge: str = "", answer: str = "") -> None:
        super().__init__(message)
        self.judge = judge
        self.answer = answer


class JudgeRefusedError(LLMOpsError):
    """A judge agrees too rarely with people, or with itself, to decide about a change.

    Attributes:
        judge: The judge's name.
    """

    def __init__(self, message: str, *, judge: str = "") -> None:
        super().__init__(message)
        self.judge = judge


class RegressionError(LLMOpsError, AssertionError):
    """A comparison found a score that became worse by more than the margin.

    Attributes:
        scorers: The names of the scorers that became worse.
    """

    def __init__(self, message: str, *, scorers: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.scorers = scorers
