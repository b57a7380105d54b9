"""Estimate the tokens and the cost of a call before it is made."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import orjson

from llmops_sdk.config import ResolvedModel
from llmops_sdk.pricing._cost import ModelPrice, Tokens
from llmops_sdk.pricing._find import find_price
from llmops_sdk.providers import Request
from llmops_sdk.providers._types import model_name

__all__ = ["FIRST_OUTPUT", "PART_TOKENS", "Estimate", "Estimator", "estimate_call", "estimate_texts"]

FIRST_OUTPUT = 256
"""Tokens of an answer, before any was seen."""
PART_TOKENS = 1_000
"""Tokens of an image, a sound or a file in a prompt: about a square image of 1,000 pixels."""

_BYTES_PER_TOKEN = 4
_MESSAGE = 3
"""Tokens around a message."""
_OPAQUE = 500
"""Tokens of a definition that is no JSON; no provider takes it anyway."""
_WEIGHT = 0.1
"""What the latest answer counts in the usual length."""
_OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_MOST_TOKENS = 10_000_000
"""A larger limit is a mistake of the caller, and must not turn the sums of a budget into infinity."""
_PRICELESS = frozenset({"offline", "cassette", "openai_compatible"})
"""Providers whose models the built-in table does not price."""


class Estimate(NamedTuple):
    """What a call will probably use.

    Attributes:
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of the answer.
        usd: USD, or None when the price is unknown.
    """

    input_tokens: int
    output_tokens: int
    usd: float | None = None

    @property
    def tokens(self) -> int:
        """Return the tokens of prompt and answer together."""
        return self.input_tokens + self.output_tokens


def estimate_call(request: Request, price: ModelPrice | None, usual_output: float = FIRST_OUTPUT) -> Estimate:
    """Estimate a call without a tokenizer: a token for four bytes of text, and 3 for each message.

    Bytes, because a character beyond ASCII is about a token by itself. Tools and the schema count as their JSON, an
    image or a file as `PART_TOKENS`. The answer counts as `max_tokens`, else as the usual output.

    Args:
        request: The request.
        price: The price of the model, or None when it is unknown.
        usual_output: Tokens of a usual answer of the model.

    Example:
        >>> from llmops_sdk.providers import Request
        >>> from llmops_sdk.resilience.budgets._estimate import estimate_call
        >>> request = Request(model="a/b", messages=[{"role": "user", "content": "Hello!!!"}], params={"max_tokens": 9})
        >>> estimate_call(request, None)
        Estimate(input_tokens=5, output_tokens=9, usd=None)
    """
    size, parts = 0, 0
    for message in request.messages:
        content = message.get("content")
        if isinstance(content, str):
            size += len(content) if content.isascii() else _size(content)
        elif isinstance(content, list | tuple):
            in_text, others = _parts(cast("Sequence[object]", content))
            size += in_text
            parts += others
        if calls := message.get("tool_calls"):
            size += _json_size(calls)
    if request.tools:
        size += _json_size(request.tools)
    if request.response_schema:
        size += _json_size(request.response_schema)
    prompt = -(-size // _BYTES_PER_TOKEN) + _MESSAGE * len(request.messages) + PART_TOKENS * parts
    return _priced(prompt, _output(request, usual_output), price)


def estimate_texts(texts: Sequence[str], price: ModelPrice | None) -> Estimate:
    """Estimate a call for vectors, which has no answer in tokens."""
    return _priced(sum(-(-_size(text) // _BYTES_PER_TOKEN) for text in texts), 0, price)


class Estimator:
    """Estimates the calls to one deployment, and learns the usual length of its answers.

    Args:
        resolved: The model. Its price is looked up at the first estimate that needs it.

    Attributes:
        usual_output: Tokens of a usual answer.
    """

    def __init__(self, resolved: ResolvedModel) -> None:
        self._resolved = resolved
        self.usual_output = float(FIRST_OUTPUT)

    def estimate(self, request: Request, *, priced: bool = True) -> Estimate:
        """Estimate a call.

        Args:
            request: The request.
            priced: Whether the cost is needed, too.
        """
        return estimate_call(request, self.price if priced else None, self.usual_output)

    def estimate_texts(self, texts: Sequence[str], *, priced: bool = True) -> Estimate:
        """Estimate a call for vectors."""
        return estimate_texts(texts, self.price if priced else None)

    def observe(self, output_tokens: int) -> None:
        """Learn from the tokens of an answer. Two threads may overwrite each other, which loses one observation."""
        if 0 <= output_tokens <= _MOST_TOKENS:
            self.usual_output += _WEIGHT * (output_tokens - self.usual_output)

    def cost(self, input_tokens: int, output_tokens: int) -> float | None:
        """Return the USD of so many tokens, or None when the price is unknown."""
        price = self.price
        return None if price is None else price.cost(Tokens(input=input_tokens, output=output_tokens))

    @functools.cached_property
    def price(self) -> ModelPrice | None:
        """Return the configured price, else that of the built-in table, else None."""
        resolved = self._resolved
        if resolved.price is not None:
            return ModelPrice(((-1, resolved.price),))
        # A server given by its URL may give its model any name, also a priced one.
        if resolved.provider in _PRICELESS:
            return None
        return find_price(resolved.provider, [model_name(resolved.model)])


def _priced(prompt: int, output: int, price: ModelPrice | None) -> Estimate:
    if price is None:
        return Estimate(prompt, output)
    if len(price.tiers) == 1:  # most prices, in half of the time
        rates = price.tiers[0][1]
        return Estimate(prompt, output, (prompt * rates.input + output * rates.output) / 1_000_000)
    return Estimate(prompt, output, price.cost(Tokens(input=prompt, output=output)))


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _parts(parts: Sequence[object]) -> tuple[int, int]:
    """Return the size of the texts in a message's content, and the number of its other parts."""
    size, others = 0, 0
    for part in parts:
        text = cast("Mapping[str, object]", part).get("text") if isinstance(part, Mapping) else part
        if isinstance(text, str):
            size += _size(text)
        else:
            others += 1
    return size, others


def _json_size(value: object) -> int:
    try:
        return len(orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS))
    except (TypeError, RecursionError):  # orjson's own error is a TypeError
        return _OPAQUE * _BYTES_PER_TOKEN


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    raise TypeError(type(value).__name__)


def _output(request: Request, usual_output: float) -> int:
    tokens = None
    for given in (request.params, request.extra):
        if given:
            for name in _OUTPUT_LIMITS:
                if tokens is None and name in given:
                    tokens = _count(given[name])
    if tokens is None:
        tokens = round(usual_output)
    answers = _count(request.params["n"]) if "n" in request.params else None
    return tokens if answers is None else min(tokens * answers, _MOST_TOKENS)


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        return None
    return min(value, _MOST_TOKENS)
