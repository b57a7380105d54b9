"""Check the options that these detectors share, and bound the length of what they read."""

from __future__ import annotations

from llmops_sdk.errors import ConfigError

__all__ = ["bounded", "checked_max_chars", "checked_threshold"]


def bounded(text: str, most: int) -> tuple[str, ...]:
    """Return the text to read: the whole, or the first and the last half of `most` characters of a longer one."""
    return (text,) if len(text) <= most else (text[: most // 2], text[len(text) - most // 2 :])


def checked_threshold(threshold: float) -> float:
    """Return the threshold.

    Raises:
        ConfigError: It is not a number above 0 and at most 1.
    """
    # bool is an int to Python.
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:  # pyright: ignore[reportUnnecessaryIsInstance] - a file may hold anything
        raise ConfigError(
            f"threshold is {threshold!r}: give a score above 0 and at most 1", key="threshold", value=threshold
        )
    return float(threshold)


def checked_max_chars(most: int, least: int) -> int:
    """Return the most characters to read.

    Raises:
        ConfigError: It is not a whole number, or below `least`.
    """
    if type(most) is not int or most < least:
        raise ConfigError(f"max_chars is {most!r}: give a whole number from {least}", key="max_chars", value=most)
    return most
