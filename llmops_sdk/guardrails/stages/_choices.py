"""Answers of several choices, of which guards would see the first only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from llmops_sdk.errors import ConfigError
from llmops_sdk.providers import Chunk, Request, Response

__all__ = ["refuse_choices", "without_choices"]

_Answer = TypeVar("_Answer", Response, Chunk)


def refuse_choices(request: Request, options: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Refuse a call for several answers.

    Args:
        request: The request, which takes precedence over the options.
        options: The options of each model that may be asked, with its name.

    Raises:
        ConfigError: It asks for more than one answer.
    """
    body = _n_of(request.extra.get("extra_body"))
    asked = body or _n_of(request.extra) or _n_of(request.params)
    _refuse(asked, "n", "")
    for name, given in options:
        _refuse(_n_of(given.get("extra_body")), "options.extra_body.n", f" in the options of {name}")
        if asked is None:
            _refuse(_n_of(given), "options.n", f" in the options of {name}")


def _n_of(given: Any) -> object:
    return cast("Mapping[str, Any]", given).get("n") if isinstance(given, Mapping) else None


def _refuse(number: object, key: str, where: str) -> None:
    if number not in {None, 1}:
        raise ConfigError(
            f"guards on the output check one answer, but n is {number!r}{where}: leave n out, give n=1, or leave these "
            "guards out",
            key=key,
            value=number,
        )


def without_choices(answer: _Answer) -> _Answer:
    """Return an answer without the vendor's object if that has several answers all the same: a vendor may ignore n."""
    choices = getattr(answer.raw, "choices", None)
    return replace(answer, raw=None) if isinstance(choices, list) and len(cast("list[Any]", choices)) > 1 else answer
