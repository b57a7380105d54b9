"""The functions `chat`, `stream` and `embed`: calls on one `LLM` without options of its own."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from typing import Unpack

from llmops_sdk._util._guard import guarded
from llmops_sdk.client._llm import LLM
from llmops_sdk.client._options import CallOptions, Prompt, with_full_signature
from llmops_sdk.client._stream import AsyncStream, Stream
from llmops_sdk.providers import Embeddings, Response

__all__ = ["DEFAULT", "achat", "aembed", "astream", "chat", "embed", "stream"]

DEFAULT = LLM()
atexit.register(guarded, "closing providers at exit", None, DEFAULT.at_exit)


@with_full_signature()
def chat(prompt: Prompt, **options: Unpack[CallOptions]) -> Response:
    """Ask a model and wait for the whole answer.

    Args:
        prompt: The question, or a conversation as a list of messages in the OpenAI chat shape; not changed.
        model: A name from `[models]`, "provider/model" or "https://server/v1#model"; the configured one by default.
        system: A system prompt, sent before the messages.
        tools: Tool definitions in the OpenAI shape, or plain functions with annotated parameters.
        response_model: A pydantic model, dataclass, TypedDict, or any other type with a JSON schema, as `list[int]`:
            the model answers with its JSON, and `.parsed` has the object.
        temperature: How random the answer is; 0 for not at all.
        max_tokens: The longest answer, in tokens.
        timeout: Seconds for the whole call, a `Timeout`, or a dict of its keys.
        retry: False for one attempt, a number of attempts, a dict of keys of `[retry]`, or a `RetrySettings`.
        cache: False bypasses the cache, True turns it on, a dict has keys of `[cache]`.
        guards: Names or guards for input and output, `{"input": [...], "output": [...]}`, or [] for none.
        tool_policy: What the tool calls of the answer must satisfy, in place of `[guardrails.tools]`.
        extra: A vendor's own parameters, passed on unchanged.
        top_p: The probability mass of the tokens considered.
        stop: Texts at which the answer ends.
        seed: A number; the same seed asks for the same answer.
        tool_choice: "auto", "none", "required", or the tool to call: its name, its function or the OpenAI shape.
        parallel_tool_calls: Whether the model may call several tools at once.
        frequency_penalty: How strongly to avoid repetition, -2 to 2.
        presence_penalty: How strongly to favour new topics, -2 to 2.
        logit_bias: Numbers added to the logits, by token id.
        logprobs: Whether `.raw` has log probabilities.
        top_logprobs: How many for each token.
        n: How many choices `.raw` has; the response is the first.
        user: Your end user's id, for the provider.
        reasoning_effort: "minimal", "low", "medium", "high", where the model reasons.
        service_tier: The provider's tier.
        verbosity: "low", "medium" or "high", where the model takes it.

    Raises:
        TypeError: A parameter is unknown or of the wrong type.
        ValueError: A message lacks what it needs.
        ConfigError: The model, a policy or a guard is unknown.
        ProviderError: Every attempt failed; `.attempts` lists them.
        GuardrailViolation: A guard blocked the prompt or the answer.
        ValidationFailedError: No answer is valid for `response_model`.

    Example:
        >>> import llmops_sdk as llmops
        >>> answer = llmops.chat("Say hello", model="offline/echo", temperature=0)
        >>> answer.text, answer.finish_reason, len(answer.attempts)
        ('Say hello', 'stop', 1)
    """
    return DEFAULT.chat(prompt, **options)


@with_full_signature()
async def achat(prompt: Prompt, **options: Unpack[CallOptions]) -> Response:
    """Ask a model and wait for the whole answer, async; the parameters are those of `chat`.

    Example:
        >>> import asyncio
        >>> import llmops_sdk as llmops
        >>> asyncio.run(llmops.achat("Say hello", model="offline/echo")).text
        'Say hello'
    """
    return await DEFAULT.achat(prompt, **options)


@with_full_signature()
def stream(prompt: Prompt, **options: Unpack[CallOptions]) -> Stream:
    """Ask a model and take the answer in pieces; the parameters are those of `chat`.

    The request is sent when the first chunk is asked for. With `response_model` the whole answer is validated at its
    end.

    Raises:
        TypeError: A parameter is unknown or of the wrong type.
        ConfigError: The model, a policy or a guard is unknown.

    Example:
        >>> import llmops_sdk as llmops
        >>> chunks = llmops.stream("Good day", model="offline/echo")
        >>> "".join(chunk.text for chunk in chunks)
        'Good day'
        >>> chunks.response.usage.output_tokens > 0
        True
    """
    return DEFAULT.stream(prompt, **options)


@with_full_signature()
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
    """Return the vectors of texts.

    Args:
        texts: The texts, at least one.
        model: A name from `[models]`, "provider/model" or "https://server/v1#model"; the configured one by default.

    Raises:
        TypeError: `texts` is not a list of strings.
        ProviderError: Every attempt failed.

    Example:
        >>> import llmops_sdk as llmops
        >>> len(llmops.embed(["one", "two"], model="offline/echo").vectors)
        2
    """
    return DEFAULT.embed(texts, model=model)


async def aembed(texts: Sequence[str], *, model: str | None = None) -> Embeddings:
    """Return the vectors of texts, async; see `embed`.

    Example:
        >>> import asyncio
        >>> import llmops_sdk as llmops
        >>> len(asyncio.run(llmops.aembed(["one", "two"], model="offline/echo")).vectors)
        2
    """
    return await DEFAULT.aembed(texts, model=model)
