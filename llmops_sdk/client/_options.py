"""The keyword parameters of a call, defined once for every function that takes them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypedDict, TypeVar, cast

from llmops_sdk.config import CacheSettings, RetrySettings, Timeout
from llmops_sdk.guardrails import Guard, ToolPolicy
from llmops_sdk.providers._tools import Tool

__all__ = [
    "STANDARD",
    "CallOptions",
    "GuardSpecs",
    "Prompt",
    "PromptOptions",
    "checked_options",
    "with_full_signature",
]

Prompt: TypeAlias = str | Sequence[Mapping[str, Any]]
"""A question, or a conversation as a list of messages in the OpenAI chat shape."""

GuardSpecs: TypeAlias = Sequence[str | Guard] | Mapping[str, Sequence[str | Guard]]
"""Guards for both rails, or by rail: `{"input": [...], "output": [...]}`; an empty list means no guards."""

_F = TypeVar("_F", bound=Callable[..., Any])


class PromptOptions(TypedDict, total=False):
    """The keyword parameters of a prompt function; None means not set."""

    system: str | None
    tools: Sequence[Tool] | None
    timeout: float | Timeout | None
    retry: bool | int | Mapping[str, Any] | RetrySettings | None
    cache: bool | Mapping[str, Any] | CacheSettings | None
    guards: GuardSpecs | None
    tool_policy: ToolPolicy | None
    extra: Mapping[str, Any] | None
    temperature: float | None
    max_tokens: int | None
    top_p: float | None
    stop: str | Sequence[str] | None
    seed: int | None
    tool_choice: str | Tool | None
    parallel_tool_calls: bool | None
    frequency_penalty: float | None
    presence_penalty: float | None
    logit_bias: Mapping[str, float] | None
    logprobs: bool | None
    top_logprobs: int | None
    n: int | None
    user: str | None
    reasoning_effort: str | None
    service_tier: str | None
    verbosity: str | None


class CallOptions(PromptOptions, total=False):
    """The keyword parameters of `chat`; None means not set."""

    model: str | None
    response_model: Any


# The SDK's own parameters; all others go to the provider under their OpenAI names.
_OURS = frozenset({
    "model", "system", "tools", "response_model", "timeout", "retry", "cache", "guards", "tool_policy", "extra",
})  # fmt: skip
_ORDER = ("model", "system", "tools", "response_model", "temperature", "max_tokens", "timeout", "retry", "cache")
STANDARD = frozenset(CallOptions.__annotations__) - _OURS


def checked_options(
    function: str, options: Mapping[str, Any], allowed: type[PromptOptions] = CallOptions, *, more: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the options that are set, after a check of their names.

    Raises:
        TypeError: A name is unknown; the message suggests the nearest one of `allowed` and `more`.
    """
    names = allowed.__annotations__
    for name in options:
        if name not in names:
            near = difflib.get_close_matches(name, [*names, *more], n=1, cutoff=0.5)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise TypeError(
                f"{function}() got an unexpected keyword argument {name!r}: {meant}"
                f"(a vendor's own parameter goes in extra={{{name!r}: ...}})"
            )
    return {name: value for name, value in options.items() if value is not None}


def with_full_signature(allowed: type[PromptOptions] = CallOptions) -> Callable[[_F], _F]:
    """Give a function with `**options` a signature that has every name, for `help` and `inspect`."""

    def decorate(function: _F) -> _F:
        signature = inspect.signature(function)
        fixed = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        taken = {one.name for one in fixed}
        types = {name: getattr(hint, "__forward_arg__", hint) for name, hint in allowed.__annotations__.items()}
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=types[name])
            for name in sorted(types, key=lambda one: _ORDER.index(one) if one in _ORDER else len(_ORDER))
            if name not in taken
        ]
        cast("Any", function).__signature__ = signature.replace(parameters=[*fixed, *added])
        return function

    return decorate
