"""Errors for unknown names, with the nearest known one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from llmops_sdk.errors import ConfigError

__all__ = ["nearest", "unknown"]


def unknown(what: str, name: str, part: str, known: Sequence[str] | Mapping[str, Any], *, of: str = "") -> ConfigError:
    """Return the error for a name that is not known.

    Args:
        what: What the name is for.
        name: The whole name.
        part: The part of it that is not known.
        known: The names that are known in its place.
        of: What it belongs to, or "".
    """
    near = nearest(part, known)
    whole = near if near is None or part == name else name.replace(part, near)
    hint = f": did you mean {whole!r}?" if whole else "."
    return ConfigError(
        f"there is no {what} {part!r}"
        + (f" of {of}" if of else "")
        + ("" if part == name else f" ({name!r})")
        + f"{hint} The known ones are {', '.join(known)}.",
        value=name,
        nearest=whole,
    )


def nearest(name: str, known: Sequence[str] | Mapping[str, Any]) -> str | None:
    """Return the most similar of the known names, or None if none is similar."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.4)), None)
