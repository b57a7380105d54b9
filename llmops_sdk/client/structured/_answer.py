"""The type that an answer must have: the JSON schema for the request, the validator for the text."""

from __future__ import annotations

import functools
import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from llmops_sdk.client.structured._typeddict import readable

__all__ = ["AnswerType", "InvalidAnswerError", "answer_type"]

# A model that was asked for JSON often wraps it in a code block, sometimes with a sentence around it.
_FENCE = re.compile(r"```(?:json|JSON)?[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)


class InvalidAnswerError(Exception):
    """An answer's text does not fit its type; `errors` says why, without the content itself."""

    def __init__(self, errors: tuple[str, ...]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


@dataclass(frozen=True, eq=False, slots=True)
class AnswerType:
    """A pydantic model, dataclass, TypedDict or other type that pydantic understands, with its JSON schema."""

    name: str
    schema: dict[str, Any]
    adapter: TypeAdapter[Any]

    def parse(self, text: str) -> Any:
        """Return the object that the text describes, with or without a code block around it.

        Raises:
            InvalidAnswerError: The text is not JSON or does not fit the type.
        """
        fenced = _FENCE.search(text)
        try:
            return self.adapter.validate_json(fenced.group(1) if fenced else text.strip())
        except ValidationError as error:
            # Without the input: these lines end up in exceptions and spans, which must not have content.
            details = error.errors(include_url=False, include_input=False, include_context=False)
            lines = tuple(f"{'.'.join(map(str, one['loc'])) or 'the answer'}: {one['msg']}" for one in details)
        raise InvalidAnswerError(lines)


def answer_type(wanted: Any) -> AnswerType:
    """Return the `AnswerType` of a type, made once for each type.

    Raises:
        TypeError: The type has no JSON schema.
    """
    return _cached(wanted) if isinstance(wanted, Hashable) else _build(wanted)


def _build(wanted: Any) -> AnswerType:
    name = re.sub(r"[^A-Za-z0-9_-]", "_", getattr(wanted, "__name__", "") or "answer")
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(readable(wanted))
        schema = adapter.json_schema()
    except PydanticUserError as error:
        raise TypeError(
            f"{wanted!r} has no JSON schema: use a pydantic model, a dataclass or a TypedDict ({error.message})"
        ) from error
    return AnswerType(name=name, schema=schema, adapter=adapter)


_cached = functools.lru_cache(maxsize=256)(_build)
