"""Requests, responses and chunks: plain, typed, the same for every vendor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from llmops_sdk._util._public import public
from llmops_sdk.config import Timeout
from llmops_sdk.providers._tools import arun_tool, run_tool
from llmops_sdk.providers.traffic import RateLimits, Route

__all__ = [
    "REASONING_BLOCKS",
    "Attempt",
    "Chunk",
    "Embeddings",
    "Message",
    "RateLimits",
    "Request",
    "Response",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
    "model_name",
]

Message: TypeAlias = dict[str, Any]
"""One message in the OpenAI chat shape: `role`, `content`, and if needed `tool_calls`, `tool_call_id`, `name`."""

REASONING_BLOCKS = ("thinking_blocks", "reasoning_details")
"""The fields of answers and chunks with a vendor's blocks of reasoning: JSON objects, which a next turn repeats."""


def model_name(model: str) -> str:
    """Return the name of a model without its provider: "gpt-4.1-mini" of "openai/gpt-4.1-mini"."""
    return model.partition("/")[2] or model


@public("llmops_sdk.providers")
@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call to a model, as every stage sees it.

    Attributes:
        model: Provider and model, as in "openai/gpt-4.1-mini".
        messages: The conversation in the OpenAI chat shape. A system prompt comes first.
        tools: Tool definitions in the OpenAI shape, or empty.
        response_schema: The JSON schema that the answer must satisfy, or None.
        response_schema_name: A name for that schema.
        params: Standard parameters by their OpenAI names (temperature, max_tokens, top_p, stop, seed, tool_choice, …).
            Unset parameters are absent.
        extra: The vendor's own parameters, passed on unchanged.
        timeout: Time limits of the call in seconds, or None for the configured ones.
        cache: False bypasses the cache, True uses it, None follows the configuration.
        policy_version: A digest of the active guards, part of the cache key.
        first_attempt: Number of the first attempt for this request; above 1 when the same call asks again.
        reason: Why that first attempt is made: "first", "fallback" or "reask".
        unchecked: Whether a guard on the prompt failed and let it pass. Such a call goes around the cache.
        restore: Puts the values back into JSON of the model that guards on the prompt masked, or None. A typed answer
            is validated with the values.
        route: Where the stages between a retry and the providers note what they did, or None.
    """

    model: str
    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]] = ()
    response_schema: Mapping[str, Any] | None = None
    response_schema_name: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    timeout: Timeout | None = None
    cache: bool | None = None
    policy_version: str = ""
    first_attempt: int = 1
    reason: str = "first"
    unchecked: bool = False
    restore: Callable[[str], str] | None = field(default=None, repr=False, compare=False)
    route: Route | None = field(default=None, repr=False, compare=False)

    @property
    def provider(self) -> str:
        """Return the part of the model's name before the first slash."""
        return self.model.partition("/")[0]

    @property
    def model_name(self) -> str:
        """Return the model's name without its provider, as in spans and attempts."""
        return model_name(self.model)


@public("llmops_sdk")
@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call. Sub-counts are included in the totals.

    Attributes:
        input_tokens: Tokens of the prompt, including cached ones.
        output_tokens: Tokens of the answer, including reasoning.
        cache_read_tokens: Input tokens that the provider read from its own cache.
        reasoning_tokens: Output tokens spent on reasoning.
        cache_creation_tokens: Input tokens that the provider wrote to its own cache.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    reasoning_tokens: int = 0
    cache_creation_tokens: int = 0


@public("llmops_sdk")
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A request of the model to call a tool.

    Attributes:
        id: The id that the tool's answer must repeat.
        name: The tool's name.
        arguments: The arguments as JSON text, as the model wrote them.
    """

    id: str
    name: str
    arguments: str

    def run(self, tools: Iterable[Mapping[str, Any] | Callable[..., Any]]) -> Any:
        """Run the tool with the model's arguments, and return its result; the run is a span of the kind `tool`.

        Args:
            tools: The `tools` of the call. The function with the tool's name runs; definitions have none.

        Raises:
            ToolCallError: No function has the name, the arguments do not fit it, or it is async.

        Example:
            >>> from llmops_sdk import ToolCall
            >>> def add(a: int, b: int = 1) -> int:
            ...     return a + b
            >>> ToolCall(id="1", name="add", arguments='{"a": 2}').run([add])
            3
        """
        return run_tool(self.name, self.id, self.arguments, tools)

    async def arun(self, tools: Iterable[Mapping[str, Any] | Callable[..., Any]]) -> Any:
        """Run the tool, async: await a coroutine function, and run another function in a thread.

        Args:
            tools: The `tools` of the call, as in `run`.

        Raises:
            ToolCallError: No function has the name, or the arguments do not fit it.

        Example:
            >>> import asyncio
            >>> from llmops_sdk import ToolCall
            >>> async def add(a: int, b: int = 1) -> int:
            ...     return a + b
            >>> asyncio.run(ToolCall(id="1", name="add", arguments='{"a": 2}').arun([add]))
            3
        """
        return await arun_tool(self.name, self.id, self.arguments, tools)


@public("llmops_sdk.providers")
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """A piece of a tool call in a stream.

    Attributes:
        index: The number of the parallel call that this piece belongs to.
        id: The call's id, in its first piece.
        name: The tool's name, in its first piece.
        arguments: The next part of the arguments' JSON text.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@public("llmops_sdk")
@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at one model.

    Attributes:
        number: 1 for the first.
        provider: The provider's name.
        model: The model tried, without its provider.
        start_ns: Start time, nanoseconds since the epoch.
        duration_ms: Duration in milliseconds.
        status: "ok", "error" or "cancelled".
        status_code: The HTTP status of an error, or None.
        error_type: The class of an error, or None.
        retry_after: Seconds that the provider asked to wait, or None.
        reason: Why the attempt was made: "first", "retry", "fallback" or "reask".
        cost: USD, or None when unknown.
        deployment: The name of the deployment tried (see `Response.deployment`), or None.
    """

    number: int
    provider: str
    model: str
    start_ns: int
    duration_ms: float
    status: str
    status_code: int | None = None
    error_type: str | None = None
    retry_after: float | None = None
    reason: str = "first"
    cost: float | None = None
    deployment: str | None = None


@public("llmops_sdk")
@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One piece of a streamed answer.

    The fields after `reasoning` are set on the last chunk with content or on a later one. A stage that knows one of
    them sets it there with `dataclasses.replace`.

    Attributes:
        text: The next part of the text.
        tool_calls: The next parts of tool calls.
        reasoning: The next part of the reasoning text.
        thinking_blocks: The next parts of Anthropic's thinking blocks, with their signatures.
        reasoning_details: The next parts of OpenRouter's reasoning details.
        finish_reason: "stop", "length", "tool_calls", "content_filter", "refusal" or the vendor's own word when the
            answer is finished.
        usage: The tokens of the whole call.
        model: The model that served.
        provider: The provider that served.
        response_id: The provider's id of the answer.
        cost: USD, or None when unknown.
        cache: The tier of our cache that answered, or None.
        saved_cost: USD that the cache saved, or None.
        simulated: Whether no real model answered.
        restarted: Whether another model starts over here; earlier chunks are not part of the answer.
        attempts: The attempts made so far.
        refusal: The next part of the model's refusal.
        raw: The vendor's own chunk.
        unchecked: Whether a guard on the output failed and let the answer pass.
        deployment: The name of the deployment that serves (see `Response.deployment`), or None.
        rate_limits: What the rate-limit headers of the provider say, on the first chunk, or None.
    """

    text: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    reasoning: str = ""
    thinking_blocks: tuple[Mapping[str, Any], ...] = ()
    reasoning_details: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    model: str | None = None
    provider: str | None = None
    response_id: str | None = None
    cost: float | None = None
    cache: str | None = None
    saved_cost: float | None = None
    simulated: bool = False
    restarted: bool = False
    attempts: tuple[Attempt, ...] = ()
    refusal: str = ""
    raw: Any = None
    unchecked: bool = False
    deployment: str | None = None
    rate_limits: RateLimits | None = None


@public("llmops_sdk")
@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole answer.

    Attributes:
        text: The text, "" when there is only a tool call.
        tool_calls: The tools that the model asks to call.
        parsed: The validated object, if the caller asked for a type.
        usage: Tokens of the call that produced the answer, even if it comes from the cache.
        cost: USD of this call, 0.0 when our cache served it, None when the price is unknown.
        saved_cost: USD that our cache saved, or None.
        model: The model that served, without its provider.
        provider: The provider that served.
        finish_reason: "stop", "length", "tool_calls", "content_filter", "refusal", the vendor's own word for another
            end, or None when the vendor gave none or the stream was closed early.
        cache: None, "exact" or "semantic".
        attempts: Every attempt made for this answer.
        trace_id: The trace's id, 32 lower-case hex digits, or None if the call was not traced.
        span_id: The span's id, 16 lower-case hex digits, or None.
        response_id: The provider's id of the answer.
        reasoning: The reasoning text, if the model returns it.
        thinking_blocks: Anthropic's thinking blocks with their signatures, which a next turn must repeat.
        reasoning_details: OpenRouter's reasoning details, which a next turn must repeat.
        simulated: Whether no real model answered (the offline provider).
        refusal: Why the model refuses to answer, in its own words, or "".
        raw: The vendor's own object, or None.
        unchecked: Whether a guard on the output failed and let the answer pass. The cache does not store it.
        deployment: The name of the deployment that served: that of `[models]`, or the provider and model among a
            model's `deployments`. None for a model that has no name, and for an answer of our cache.
        rate_limits: What the rate-limit headers of the provider say, or None. The cache does not store it.

    Example:
        >>> import llmops_sdk as llmops
        >>> answer = llmops.chat("Say hello", model="offline/echo")
        >>> answer.text, answer.simulated
        ('Say hello', True)
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    parsed: Any = None
    usage: Usage = field(default_factory=Usage)
    cost: float | None = None
    saved_cost: float | None = None
    model: str = ""
    provider: str = ""
    finish_reason: str | None = None
    cache: str | None = None
    attempts: tuple[Attempt, ...] = ()
    trace_id: str | None = None
    span_id: str | None = None
    response_id: str | None = None
    reasoning: str = ""
    thinking_blocks: tuple[Mapping[str, Any], ...] = ()
    reasoning_details: tuple[Mapping[str, Any], ...] = ()
    simulated: bool = False
    refusal: str = ""
    raw: Any = None
    unchecked: bool = False
    deployment: str | None = None
    rate_limits: RateLimits | None = None

    @property
    def message(self) -> Message:
        """Return the answer as an assistant message, to append to the conversation.

        It keeps the reasoning, the thinking blocks and the reasoning details, which some vendors require in the next
        turn. The SDK sends each of them only to vendors that take it.
        """
        message: Message = {"role": "assistant", "content": self.text or self.refusal or None}
        if self.tool_calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.tool_calls
            ]
        elif not message["content"]:
            message["content"] = ""
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        for name in REASONING_BLOCKS:
            if blocks := getattr(self, name):
                message[name] = [dict(block) for block in blocks]
        return message


@public("llmops_sdk")
@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """The vectors of a list of texts.

    Attributes:
        vectors: One list of floats for each text, in the order of the texts.
        usage: Tokens of the call.
        cost: USD, or None when unknown.
        model: The model that served.
        provider: The provider that served.
        simulated: Whether no real model answered.
        deployment: The name of the deployment that served (see `Response.deployment`), or None.
    """

    vectors: list[list[float]]
    usage: Usage = field(default_factory=Usage)
    cost: float | None = None
    model: str = ""
    provider: str = ""
    simulated: bool = False
    deployment: str | None = None
