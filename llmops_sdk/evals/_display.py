"""Values of an application as text for people and for judges."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["as_text"]


def as_text(value: Any) -> str:
    """Return a text as it is, None as an empty text, and another value as indented JSON, or else its `repr`.

    Lone surrogates, which neither a file nor a request can carry, become question marks.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        text = value
    else:
        try:
            text = json.dumps(value, indent=2, ensure_ascii=False, default=repr)
        except (TypeError, ValueError, RecursionError):
            text = repr(value)
    return text.encode("utf-8", "replace").decode()
