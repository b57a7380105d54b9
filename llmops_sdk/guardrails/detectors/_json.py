"""Check that a text is one JSON value, and repair it. The one module that imports json_repair."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
from pydantic import PydanticUserError, TypeAdapter, ValidationError

from llmops_sdk._util._optional import require
from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Detection, GuardContext
from llmops_sdk.guardrails.detectors._mapped import digest

__all__ = ["JsonDetector"]

_MOST_REPAIRED = 6_000
"""The most characters that are repaired: the library takes quadratic time on some texts, 1 second at this length."""
_DEEPEST = 50
"""The deepest nesting that is repaired."""

_FENCED = re.compile(r"```[ \t]*+(?:[\w+-]*+)[ \t]*+\r?\n(.*?)\n?[ \t]*```", re.DOTALL)
_DECODER = json.JSONDecoder()
_NESTING = re.compile(r"[\[{]|[\]}]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")

NOT_JSON = "not JSON"
NOT_FITTING = "does not fit the schema"


@public("llmops_sdk.guardrails.detectors")
class JsonDetector:
    """Finds texts that are not one JSON value, and repairs them for the action "fix".

    A text may hold the value alone or in one fenced block with words around it. "fix" leaves the repaired value only;
    it takes words around a value away from any text, and repairs one of at most
    6,000 characters and 50 levels. A value of more than 1,000 levels counts as not JSON.

    Args:
        schema: A pydantic model, dataclass, TypedDict or other type that the value must fit, or None. A dict with a
            JSON schema is not supported: no library for it is among the dependencies.

    Raises:
        ConfigError: The schema is not a type that pydantic can validate.
        MissingDependencyError: json-repair is not installed.

    Example:
        >>> from llmops_sdk.guardrails import GuardContext
        >>> from llmops_sdk.guardrails.detectors._json import JsonDetector
        >>> JsonDetector().detect("{'a': [1, 2", GuardContext(rail="output")).fixed
        '{"a": [1, 2]}'
    """

    name = "json"
    whole_text = True

    def __init__(self, schema: Any = None) -> None:
        if isinstance(schema, (dict, str)):
            raise ConfigError(
                "schema must be a type, as a pydantic model, not a JSON schema: write the schema as a class",
                key="schema",
            )
        self._schema: TypeAdapter[Any] | None = None
        shape: object = None
        if schema is not None:
            try:
                self._schema = TypeAdapter(schema)
                shape = self._schema.json_schema()
            except PydanticUserError as error:
                raise ConfigError(
                    f"schema must be a type that pydantic can validate, not {schema!r}", key="schema"
                ) from error
        self._repair = require("json_repair", extra="guards", purpose="the guard `json`").repair_json
        self.version = f"1:{digest(shape)}"

    def detect(self, text: str, context: GuardContext) -> Detection:  # noqa: ARG002 - all rails alike
        """Return whether the text is not JSON, with the repaired text."""
        blocks = [match[1] for match in _FENCED.finditer(text)] if "```" in text else []
        reason = self._fault(blocks[0] if len(blocks) == 1 else text)
        if reason == NOT_JSON and blocks:
            # A string of JSON may have a fence inside.
            reason = self._fault(text)
        if not reason:
            return Detection()
        return Detection(found=True, reason=reason, fixed=self._fixed(blocks[0] if blocks else text))

    def _fault(self, text: str) -> str:
        """Return what is wrong with a text, or ""."""
        try:
            data = text.encode()
        except UnicodeEncodeError:
            return NOT_JSON  # a lone surrogate
        try:
            orjson.loads(data)
        except orjson.JSONDecodeError:
            return NOT_JSON
        if self._schema is not None:
            try:
                self._schema.validate_json(data)
            except (ValidationError, RecursionError):
                return NOT_FITTING
        return ""

    def _fixed(self, text: str) -> str | None:
        """Return the text repaired, or None if it cannot be."""
        start = min((place for place in (text.find("{"), text.find("[")) if place >= 0), default=-1)
        if start < 0:
            return None
        try:
            _, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            return self._repaired(text[start:])
        return text[start:end] if not self._fault(text[start:end]) else self._repaired(text[start:])

    def _repaired(self, text: str) -> str | None:
        if len(text) > _MOST_REPAIRED:
            return None
        if _depth(text) > _DEEPEST:
            return None
        try:
            fixed: object = self._repair(_SURROGATES.sub("\ufffd", text), ensure_ascii=False)
        except (ValueError, RecursionError):
            return None
        return fixed if isinstance(fixed, str) and fixed and not self._fault(fixed) else None


def _depth(text: str) -> int:
    """Return how deep a broken text nests, where a bracket closes only its own kind."""
    square = curly = deepest = 0
    for match in _NESTING.finditer(text):
        sign = match[0]
        if sign in "[]":
            square = max(0, square + (1 if sign == "[" else -1))
        else:
            curly = max(0, curly + (1 if sign == "{" else -1))
        deepest = max(deepest, square + curly)
    return deepest
