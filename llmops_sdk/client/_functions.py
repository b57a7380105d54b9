"""The module's functions: calls on the one `LLM` that follows the configuration alone."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from typing import Unpack

from llmops_sdk._util._guard import guarded
from llmops_sdk.client._llm import LLM
from llmops_sdk.client._options import CallOptions, Prompt, spelled_out
from llmops_sdk.client._stream import AsyncStream, Stream
from llmops_sdk.providers import Embeddings, Response

__all__ = ["DEFAULT", "achat", "aembed", "astream", "chat", "embed", "stream"]

DEFAULT = LLM()
atexit.register(guarded, "closing providers at exit", None, DEFAULT.at_exit)


@spelled_out()
def chat(prompt: Prompt, **options: Unpack[CallOptions]) -> Response:
    """Ask a model and wait for the whole answer.

    Args:
        prompt: The question, or a conversation as a list of messages in the OpenAI chat shape; it is not changed.
        model: A name from `[models]`, "provider/model" or "https://server/v1#model"; the configured one by default.
        system: A system prompt, put before the messages.
        tools: Tool definitions in the OpenAI shape, or plain functions with annotated parameters.
        response_model: A pydantic model, dataclass or TypedDict that the answer shall fit: `.parsed` is one.
        temperature: How much chance there is in the answer, 0 for none.
        max_tokens: The longest answer, in tokens.
        timeout: Seconds for the whole call, a `Timeout`, or a dict of its keys.
        retry: False for one attempt, a number of attempts, a dict of keys of `[retry]`, or a `RetrySettings`.
        cache: False goes around the cache, True turns it on, a dict has keys of `[cache]`.
        guards: Names or guards for input and output, `{"input": [...], "output": [...]}`, or [] for none.
        extra: A vendor's own parameters, passed on as they are.
        top_p: The probability mass of the tokens that are considered.
        stop: Texts at which the answer ends.
        seed: Asks for the same answer again.
        tool_choice: "auto", "none", "required", or the tool to be called.
        parallel_tool_calls: Whether several tools may be called at once.
        frequency_penalty: Against repeating, -2 to 2.
        presence_penalty: For new topics, -2 to 2.
        logit_bias: Added to the logits, by token id.
        logprobs: Whether `.raw` shall have log probabilities.
        top_logprobs: How many for each token.
        n: How many choices `.raw` shall have; the response is the first.
        user: Your end user's id, for the provider.
        reasoning_effort: "minimal", "low", "medium", "high", where the model reasons.
        service_tier: The provider's tier.
        verbosity: "low", "medium" or "high", where the model takes it.

    Raises:
        TypeError: A parameter is unknown or of the wrong type.
        ValueError: A message lacks what it needs.
        ConfigError: The model, a policy or a guard is not known.
        ProviderError: The call failed, after every attempt; `.attempts` has them.
        GuardrailViolation: A guard blocked the prompt or the answer.
        ValidationFailedError: No answer fits `response_model`.

    Example:
        >>> import llmops_sdk as llmops
        >>> answer = llmops.chat("Say hello", model="offline/echo", temperature=0)
        >>> answer.text, answer.finish_reason, len(answer.attempts)
        ('Say hello', 'stop', 1)
    """
    return DEFAULT.chat(prompt, **options)


@spelled_out()
async def achat(prompt: Prompt, **options: Unpack[CallOptions]) -> Response:
    """Ask a model and wait for the whole answer, async; the parameters are those of `chat`.

    Example:
        >>> import asyncio
        >>> import llmops_sdk as llmops
        >>> asyncio.run(llmops.achat("Say hello", model="offline/echo")).text
        'Say hello'
    """
    return await DEFAULT.achat(prompt, **options)


@spelled_out()
def stream(prompt: Prompt, **options: Unpack[CallOptions]) -> Stream:
    """Ask a model and take the answer in pieces; the parameters are those of `chat`.

    Nothing is sent before the first chunk is asked for. With `response_model` the whole is validated at the end.

    Raises:
        TypeError: A parameter is unknown or of the wrong type.
        ConfigError: The model, a policy or a guard is not known.

    Example:
        >>> import llmops_sdk as llmops
        >>> chunks = llmops.stream("Good day", model="offline/echo")
        >>> "".join(chunk.text for chunk in chunks)
        'Good day'
        >>> chunks.response.usage.output_tokens > 0
        True
    """
    return DEFAULT.stream(prompt, **options)


@spelled_out()
def astream(prompt: Prompt, **options: Unpack[CallOptions]) -> AsyncStream:
    """Ask a model and take the answer in pieces, async; the parameters are those of `chat`.

    Example:
        >>> import asyncio
        >>> import llmops_sdk as llmops
        >>> async def main() -> list[str]:
        ...     return [chunk.text async for chunk in llmops.astream("Good day", model="offline/echo")]
        >>> "".join(asyncio.run(main()))
        'Good day'
    """
    return DEFAULT.astream(prompt, **options)


def embed(texts: Sequence[str], *, model: str | None = None) -> Embeddings:
    """The vectors of texts.

    Args:
        texts: The texts, at least one.
        model: A name from `[models]`, "provider/model" or "https://server/v1#model"; the configured one by default.

    Raises:
        TypeError: `texts` is not a list of strings.
        ProviderError: The call failed, after every attempt.

    Example:
        >>> import llmops_sdk as llmops
        >>> len(llmops.embed(["one", "two"], model="offline/echo").vectors)
        2
    """
    return DEFAULT.embed(texts, model=model)


async def aembed(texts: Sequence[str], *, model: str | None = None) -> Embeddings:
    """The vectors of texts, async; see `embed`.

    Example:
        >>> import asyncio
        >>> import llmops_sdk as llmops
        >>> len(asyncio.run(llmops.aembed(["one", "two"], model="offline/echo")).vectors)
        2
    """
    return await DEFAULT.aembed(texts, model=model)
