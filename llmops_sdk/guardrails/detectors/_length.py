"""Bound the length of a text."""

from __future__ import annotations

from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Detection, GuardContext
from llmops_sdk.providers import count_tokens

__all__ = ["LengthDetector"]

_PART = 4096
"""Tokens are counted in parts of so many characters, so that a long text is not counted beyond the bound."""


@public("llmops_sdk.guardrails.detectors")
class LengthDetector:
    """Finds texts that are too long or too short.

    Args:
        max_chars: The most characters. The action "fix" cuts a text there.
        max_tokens: The most tokens, counted in GPT-4's encoding, whatever the model; at most one in 1,000 is off.
        min_chars: The fewest characters.

    Raises:
        ConfigError: No bound is given, or one is not a positive whole number, or they exclude each other.

    Example:
        >>> from llmops_sdk.guardrails import GuardContext
        >>> from llmops_sdk.guardrails.detectors._length import LengthDetector
        >>> LengthDetector(max_chars=4).detect("Hello", GuardContext(rail="input")).reason
        'more characters than max_chars'
    """

    name = "length"
    whole_text = True

    def __init__(
        self, max_chars: int | None = None, max_tokens: int | None = None, min_chars: int | None = None
    ) -> None:
        bounds = {"max_chars": max_chars, "max_tokens": max_tokens, "min_chars": min_chars}
        for key, bound in bounds.items():
            if bound is not None and (type(bound) is not int or bound < 1):
                raise ConfigError(f"{key} must be a whole number from 1, not {bound!r}", key=key, value=bound)
        if all(bound is None for bound in bounds.values()):
            raise ConfigError("the guard `length` needs max_chars, max_tokens or min_chars")
        if max_chars is not None and min_chars is not None and max_chars < min_chars:
            raise ConfigError(f"max_chars={max_chars} is below min_chars={min_chars}", key="max_chars", value=max_chars)
        self._max_chars, self._max_tokens, self._min_chars = max_chars, max_tokens, min_chars
        self.version = f"1:{max_chars}:{max_tokens}:{min_chars}"

    def detect(self, text: str, context: GuardContext) -> Detection:  # noqa: ARG002 - all rails alike
        """Return whether the text is within its bounds."""
        if self._min_chars is not None and len(text) < self._min_chars:
            return Detection(found=True, reason="fewer characters than min_chars")
        is_long = self._max_chars is not None and len(text) > self._max_chars
        kept = text[: self._max_chars]
        if self._max_tokens is not None and _has_more_tokens(kept if is_long else text, self._max_tokens):
            return Detection(found=True, reason="more tokens than max_tokens")
        if is_long:
            return Detection(found=True, reason="more characters than max_chars", fixed=kept)
        return Detection()


def _has_more_tokens(text: str, most: int) -> bool:
    if len(text) * 4 <= most:  # a token has at least one byte of UTF-8
        return False
    tokens = 0
    for start in range(0, len(text), _PART):
        tokens += count_tokens(text[start : start + _PART])
        if tokens > most:
            return True
    return False
