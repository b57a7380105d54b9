"""`LLM`: calls to models, with policies that override those of the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, Unpack

from llmops_sdk._util._public import public
from llmops_sdk.client import _call
from llmops_sdk.client._call import Call, PromptSource
from llmops_sdk.client._options import CallOptions, Prompt, PromptOptions, checked_options, with_full_signature
from llmops_sdk.client._stages import CurrentStages, Stages, StagesLease
from llmops_sdk.client._stream import AsyncStream, Stream, StreamEnd, StreamState
from llmops_sdk.providers import Embeddings, Response

__all__ = ["LLM", "llm_options"]


@public("llmops_sdk")
class LLM:
    """Calls models with options of its own: a call's options override them, and they override the configuration.

    It follows the configuration: after `llmops.configure(...)` new calls use the new providers and policies; calls and
    streams in flight finish on the old ones, which are then closed.

    Args:
        model: A name from `[models]`, "provider/model" or "https://server/v1#model"; the configured one by default.
        policies: The keyword parameters of `chat` for all its calls, such as `retry`, `cache`, `guards`, `timeout`,
            `system`, `temperature`.

    Raises:
        TypeError: A parameter's name is unknown; the message suggests the nearest known one.

    Example:
        >>> import llmops_sdk as llmops
        >>> with llmops.LLM("offline/echo", retry={"attempts": 5}, system="Be brief.") as assistant:
        ...     assistant.chat("Hello").text
        'Hello'
    """

    @with_full_signature(PromptOptions)
    def __init__(self, model: str | None = None, **policies: Unpack[PromptOptions]) -> None:
        self._options = checked_options("LLM", policies, PromptOptions, more=("model",))
        if model is not None:
            self._options["model"] = model
        self._stages = CurrentStages()

    @with_full_signature()
    def chat(self, prompt: Prompt, **options: Unpack[CallOptions]) -> Response:
        """Ask a model and wait for the whole answer; see `llmops.chat`."""
        chosen = self._merged("chat", options)
        with self.lease() as stages:
            return _call.complete(_call.prepare(stages, prompt, chosen))

    @with_full_signature()
    async def achat(self, prompt: Prompt, **options: Unpack[CallOptions]) -> Response:
        """Ask a model and wait for the whole answer, async; see `llmops.achat`."""
        chosen = self._merged("achat", options)
        with self.lease() as stages:
            return await _call.acomplete(_call.prepare(stages, prompt, chosen))

    @with_full_signature()
    def stream(self, prompt: Prompt, **options: Unpack[CallOptions]) -> Stream:
        """Ask a model and take the answer in pieces; see `llmops.stream`."""
        return Stream(self.open_stream(prompt, self._merged("stream", options)))

    @with_full_signature()
    def astream(self, prompt: Prompt, **options: Unpack[CallOptions]) -> AsyncStream:
        """Ask a model and take the answer in pieces, async; see `llmops.astream`."""
        return AsyncStream(self.open_stream(prompt, self._merged("astream", options)))

    def embed(self, texts: Sequence[str], *, model: str | None = None) -> Embeddings:
        """Return the vectors of texts; see `llmops.embed`."""
        listed = _call.texts_of(texts)
        with self.lease() as stages:
            return _call.embed(self._embedding_call(stages, model), listed)

    async def aembed(self, texts: Sequence[str], *, model: str | None = None) -> Embeddings:
        """Return the vectors of texts, async; see `llmops.aembed`."""
        listed = _call.texts_of(texts)
        with self.lease() as stages:
            return await _call.aembed(self._embedding_call(stages, model), listed)

    def close(self) -> None:
        """Refuse further calls, and close the providers when the last call in flight has ended."""
        self._stages.close()

    async def aclose(self) -> None:
        """Refuse further calls, and close the providers when the last call in flight has ended, async."""
        await self._stages.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def lease(self) -> StagesLease:
        """Return a lease of the stages of the settings in force."""
        return self._stages.lease()

    def open_stream(
        self,
        prompt: object,
        options: Mapping[str, Any],
        *,
        source: PromptSource | None = None,
        on_end: StreamEnd | None = None,
    ) -> StreamState:
        """Return the state of a new stream; the stream releases its lease at its end."""
        with ExitStack() as on_failure:
            lease = self.lease()
            on_failure.callback(lease.release)
            call = _call.prepare(lease.stages, prompt, options, streaming=True, source=source)
            state = StreamState(call, lease, on_end)
            on_failure.pop_all()
        return state

    def at_exit(self) -> None:
        """Close the providers at the end of the process."""
        self._stages.close_providers()

    def _merged(self, function: str, options: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._options, **checked_options(function, options)}

    def _embedding_call(self, stages: Stages, model: str | None) -> Call:
        options = self._options if model is None else {**self._options, "model": model}
        return _call.embedding_call(stages, options)


def llm_options(llm: LLM) -> dict[str, Any]:
    """Return the model and the policies that an `LLM` was made with.

    Args:
        llm: The `LLM`.
    """
    return dict(llm._options)  # pyright: ignore[reportPrivateUsage] - this module's own class
