"""Types of strings that settings validate."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

__all__ = ["ColumnName", "Regex"]


def _regex(text: str) -> str:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from None
    if pattern.match(""):
        raise ValueError("a regular expression that does not match the empty text")
    return text


Regex = Annotated[str, AfterValidator(_regex)]


def _identifier(name: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name):
        raise ValueError("a column name: lower-case letters, digits and _, not starting with a digit")
    return name


ColumnName = Annotated[str, AfterValidator(_identifier)]
