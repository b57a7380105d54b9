"""The type that an answer must have: the JSON schema for the request, the validator for the text."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, cast

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError, create_model

from llmops_sdk.client.structured._json_text import json_text
from llmops_sdk.client.structured._typeddict import readable

__all__ = ["AnswerType", "InvalidAnswerError", "answer_type"]

_WRAPPED = "answer"
_MAX_NAME = 64  # of OpenAI


class InvalidAnswerError(Exception):
    """An answer's text does not fit its type; `errors` says why, without the content itself."""

    def __init__(self, errors: tuple[str, ...]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


@dataclass(frozen=True, eq=False, slots=True)
class AnswerType:
    """A pydantic model, dataclass, TypedDict or other type that pydantic understands, with its JSON schema.

    Attributes:
        wrapper: Vendors take only objects: the adapter of an object with the type under the key "answer", or None for a
            type that is an object itself.
    """

    name: str
    schema: dict[str, Any]
    adapter: TypeAdapter[Any]
    wrapper: TypeAdapter[Any] | None = None

    def parse(self, text: str, restore: Callable[[str], str] | None = None) -> Any:
        """Return the object that the text describes, with or without a code block and a wrapper around it.

        Args:
            text: The answer.
            restore: Puts values back into JSON where guards masked them, or None.

        Raises:
            InvalidAnswerError: The text is not JSON or does not fit the type. The error has no value that was masked.
        """
        found = json_text(text)
        restored = found if restore is None else restore(found)
        try:
            return self._validated(restored)
        except InvalidAnswerError as error:
            if restored == found:
                raise
            errors = error.errors
        # The words of a validator may quote the value, and they go to the model and to the trace.
        known = self._errors_of(found)
        raise InvalidAnswerError(tuple(one if one in known else _without_value(one, found) for one in errors))

    def _errors_of(self, found: str) -> tuple[str, ...]:
        try:
            self._validated(found)
        except InvalidAnswerError as error:
            return error.errors
        return ()

    def _validated(self, found: str) -> Any:
        wrapped: ValidationError | None = None
        if self.wrapper is not None:
            try:
                return self.wrapper.validate_json(found).answer
            except ValidationError as error:
                wrapped = error
        try:
            return self.adapter.validate_json(found)
        except ValidationError as error:
            lines = _reasons(error)
        if wrapped is not None and any(_WRAPPED in one["loc"] and one["type"] != "missing" for one in wrapped.errors()):
            lines = _reasons(wrapped, skip=1)
        raise InvalidAnswerError(lines)


def _reasons(error: ValidationError, *, skip: int = 0) -> tuple[str, ...]:
    # Without the input: these lines end up in exceptions and spans, which must not have content.
    details = error.errors(include_url=False, include_input=False, include_context=False)
    return tuple(f"{'.'.join(map(str, one['loc'][skip:])) or 'the answer'}: {one['msg']}" for one in details)


def answer_type(wanted: Any) -> AnswerType:
    """Return the `AnswerType` of a type, made once for each type.

    Raises:
        TypeError: The type has no JSON schema.
    """
    return _cached(wanted) if isinstance(wanted, Hashable) else _build(wanted)


def _build(wanted: Any) -> AnswerType:
    try:
        hint = readable(wanted)
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        schema = _rooted(adapter.json_schema())
        if schema.get("type") == "object":
            return AnswerType(name=_name_of(wanted), schema=schema, adapter=adapter)
        model = create_model("Wrapper", __config__=ConfigDict(extra="forbid"), **cast("Any", {_WRAPPED: (hint, ...)}))
        wrapper: TypeAdapter[Any] = TypeAdapter(model)
    except PydanticUserError as error:
        raise TypeError(
            f"{wanted!r} has no JSON schema: use a pydantic model, a dataclass or a TypedDict ({error.message})"
        ) from error
    return AnswerType(name=_name_of(wanted), schema=wrapper.json_schema(), adapter=adapter, wrapper=wrapper)


def _without_value(line: str, found: str) -> str:
    """Return a reason without the validator's words, and with its place if the text as the model wrote it has that."""
    place = line.partition(": ")[0]
    parts = place.split(".")
    shown = place if all(part.isdigit() or part in found for part in parts) else "the answer"
    return f"{shown}: not valid with the value that stands behind a placeholder"


def _rooted(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with the definition that its root refers to at the root: a recursive model's root is a `$ref`.

    Vendors refuse a root without a type.
    """
    reference = schema.get("$ref")
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    if not isinstance(reference, str):
        return schema
    target: Mapping[str, Any] = definitions.get(reference.removeprefix("#/$defs/"), {})
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def _name_of(wanted: Any) -> str:
    """Return a name that vendors take: letters, digits, "_" and "-", at most 64."""
    full = getattr(wanted, "__name__", "") or "answer"
    name = re.sub(r"[^A-Za-z0-9_-]", "_", full)
    if len(name) <= _MAX_NAME:
        return name
    digest = blake2b(full.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{name[: _MAX_NAME - 9]}_{digest}"


_cached = functools.lru_cache(maxsize=256)(_build)
