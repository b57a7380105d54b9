"""Whether answers are JSON, match a pattern, or fit a schema; all in time that a hostile answer cannot stretch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast, overload

import orjson

from llmops_sdk._util._optional import require
from llmops_sdk.evals.metrics._pairs import checked_texts, mean_or_each

__all__ = ["json_valid", "matches", "matches_schema"]


@overload
def json_valid(predictions: str | Iterable[str], *, each: Literal[False] = False) -> float: ...
@overload
def json_valid(predictions: str | Iterable[str], *, each: Literal[True]) -> list[float]: ...
def json_valid(predictions: str | Iterable[str], *, each: bool = False) -> float | list[float]:
    r"""Return the share of texts that are one JSON value, from 0 to 1.

    NaN, comments, trailing commas, lone surrogates, and nesting deeper than 1,024 are not valid. Neither is JSON inside
    a Markdown fence.

    Args:
        predictions: The texts to check, or one text.
        each: Whether to return a 0.0 or a 1.0 for each.

    Raises:
        TypeError: A text is no string.
        ValueError: There are no texts.

    Example:
        >>> from llmops_sdk.evals.metrics import json_valid
        >>> json_valid(['{"answer": 42}', "{'answer': 42}"])
        0.5
    """
    values = [float(_parsed(text)[0]) for text in checked_texts(predictions, "predictions")]
    return mean_or_each(values, each=each)


@overload
def matches(
    predictions: str | Iterable[str], pattern: str, *, whole: bool = True, each: Literal[False] = False
) -> float: ...
@overload
def matches(
    predictions: str | Iterable[str], pattern: str, *, whole: bool = True, each: Literal[True]
) -> list[float]: ...
def matches(
    predictions: str | Iterable[str], pattern: str, *, whole: bool = True, each: bool = False
) -> float | list[float]:
    r"""Return the share of texts that match a regular expression, from 0 to 1.

    google-re2 takes linear time for every pattern. It knows no look-around and no references to groups.

    Args:
        predictions: The texts to check, or one text.
        pattern: The regular expression.
        whole: Whether the whole text must match; otherwise a part of it.
        each: Whether to return a 0.0 or a 1.0 for each.

    Raises:
        MissingDependencyError: google-re2 is not installed.
        TypeError: A text is no string.
        ValueError: There are no texts, or the pattern is no regular expression of google-re2.

    Example:
        >>> from llmops_sdk.evals.metrics import matches
        >>> matches(["A-17", "A-x"], r"[A-Z]-\d+")
        0.5
    """
    found = _compiled(pattern, "matches")
    test = found.fullmatch if whole else found.search
    # A lone surrogate has no bytes; "?" stands in its place.
    values = [
        float(test(text.encode("utf-8", "replace").decode()) is not None)
        for text in checked_texts(predictions, "predictions")
    ]
    return mean_or_each(values, each=each)


@overload
def matches_schema(
    predictions: str | Iterable[str], schema: Mapping[str, Any] | type, *, each: Literal[False] = False
) -> float: ...
@overload
def matches_schema(
    predictions: str | Iterable[str], schema: Mapping[str, Any] | type, *, each: Literal[True]
) -> list[float]: ...
def matches_schema(
    predictions: str | Iterable[str], schema: Mapping[str, Any] | type, *, each: bool = False
) -> float | list[float]:
    """Return the share of texts that are JSON and fit a schema, from 0 to 1.

    `pattern` in a JSON schema is matched by google-re2, so in linear time. References reach into the schema itself
    only; nothing is fetched. `format` is not checked, as the standard's default says.

    Args:
        predictions: The texts to check, or one text.
        schema: A JSON schema (draft 2020-12 if it names no other), or a type that pydantic can validate, such as a
            model.
        each: Whether to return a 0.0 or a 1.0 for each.

    Raises:
        MissingDependencyError: jsonschema or google-re2 is not installed.
        TypeError: A text is no string.
        ValueError: There are no texts, or the schema is not valid or refers to another.

    Example:
        >>> from llmops_sdk.evals.metrics import matches_schema
        >>> schema = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}
        >>> matches_schema(['{"city": "Bern"}', '{"city": 3}', "Bern"], schema)
        0.3333333333333333
    """
    texts = checked_texts(predictions, "predictions")
    fits = _schema_test(schema) if isinstance(schema, Mapping) else _type_test(schema)
    values: list[float] = []
    for text in texts:
        is_json, value = _parsed(text)
        values.append(float(is_json and fits(text, value)))
    return mean_or_each(values, each=each)


def _parsed(text: str) -> tuple[bool, Any]:
    try:
        return True, orjson.loads(text)
    except orjson.JSONDecodeError:
        return False, None


def _compiled(pattern: str, purpose: str) -> Any:
    re2 = require("re2", extra="evals", purpose=purpose)
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(f"the pattern {pattern!r} is no regular expression of google-re2: {_told(error)}") from error


def _told(error: Exception) -> str:
    text = error.args[0] if error.args else error
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _type_test(schema: Any) -> Any:
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    try:
        adapter = TypeAdapter[Any](schema)
    except PydanticUserError as error:
        raise ValueError(f"schema is {schema!r}: give a mapping or a type that pydantic can validate") from error

    def fits(text: str, value: Any) -> bool:  # noqa: ARG001 - pydantic reads the text itself
        try:
            adapter.validate_json(text)
        except ValidationError:
            return False
        return True

    return fits


def _schema_test(schema: Mapping[str, Any]) -> Any:
    library = require("jsonschema", extra="evals", purpose="matches_schema")
    registry = require("referencing", extra="evals", purpose="matches_schema")
    kind = library.validators.validator_for(schema, default=library.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except library.SchemaError as error:
        raise ValueError(f"the schema is not valid: {error.message}") from error
    checker = library.validators.extend(
        kind, {"pattern": _pattern, "patternProperties": _properties, "uniqueItems": _unique}
    )
    # An empty registry: by default, jsonschema fetches what a reference names from the network.
    validator = checker(schema, registry=registry.Registry())

    def fits(text: str, value: Any) -> bool:  # noqa: ARG001 - as of `_type_test`
        try:
            return bool(validator.is_valid(value))
        except registry.exceptions.Unresolvable as error:
            raise ValueError(f"the schema refers to {error.ref!r}, which it does not contain") from error
        except RecursionError as error:
            raise ValueError("the schema refers to itself without an end") from error

    return fits


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Any:  # noqa: ARG001 - jsonschema's signature
    from jsonschema import ValidationError

    if isinstance(value, str) and _compiled(pattern, "matches_schema").search(value) is None:
        yield ValidationError(f"the text does not match {pattern!r}")


def _properties(validator: Any, patterns: Mapping[str, Any], value: Any, schema: Any) -> Any:  # noqa: ARG001
    if isinstance(value, dict):
        for pattern, inner in patterns.items():
            found = _compiled(pattern, "matches_schema")
            for name, one in value.items():  # pyright: ignore[reportUnknownVariableType]
                if found.search(name) is not None:
                    yield from validator.descend(one, inner, path=name, schema_path=pattern)


def _unique(validator: Any, is_wanted: bool, value: Any, schema: Any) -> Any:  # noqa: ARG001
    """Check `uniqueItems` in linear time; jsonschema compares each item with each."""
    from jsonschema import ValidationError

    if is_wanted and isinstance(value, list):
        items = cast("list[Any]", value)
        if len({orjson.dumps(_plain(one), option=orjson.OPT_SORT_KEYS) for one in items}) < len(items):
            yield ValidationError("the list has an item twice")


def _plain(value: Any) -> Any:
    """Return a value with 1.0 as 1, which JSON schema takes for equal."""
    if isinstance(value, float) and value.is_integer():
        return int(value) if abs(value) < 2**53 else value
    if isinstance(value, list):
        return [_plain(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value
