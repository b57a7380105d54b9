"""`LLM`: calls to models, with policies of its own over those of the configuration."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, Unpack

from llmops_sdk import config
from llmops_sdk._util._public import public
from llmops_sdk.client import _call
from llmops_sdk.client._call import Call, Origin
from llmops_sdk.client._options import CallOptions, Prompt, PromptOptions, given, spelled_out
from llmops_sdk.client._stages import Lease, Stages
from llmops_sdk.client._stream import AsyncStream, Course, Stream, StreamEnd
from llmops_sdk.errors import LLMOpsError
from llmops_sdk.providers import Embeddings, Response

__all__ = ["LLM"]


@public("llmops_sdk")
class LLM:
    """Calls models, with options of its own; what a call gives goes before them, the configuration comes after.

    It follows the configuration: after `llmops.configure(...)` new calls use the new providers and policies, calls
    and streams in flight finish on the old ones, which are then closed.

    Args:
        model: A name from `[models]`, "provider/model" or "https://server/v1#model"; the configured one by default.
        policies: The keyword parameters of `chat` that all its calls shall have, as in `retry`, `cache`, `guards`,
            `timeout`, `system`, `temperature`.

    Raises:
        TypeError: A parameter's name is unknown; the message has the nearest known one.

    Example:
        >>> import llmops_sdk as llmops
        >>> with llmops.LLM("offline/echo", retry={"attempts": 5}, system="Be brief.") as assistant:
        ...     assistant.chat("Hello").text
        'Hello'
    """

    @spelled_out(PromptOptions)
    def __init__(self, model: str | None = None, **policies: Unpack[PromptOptions]) -> None:
        self._options = given("LLM", policies, PromptOptions, more=("model",))
        if model is not None:
            self._options["model"] = model
        self._lock = threading.Lock()
        self._stages: Stages | None = None
        self._closed = False
        _living.add(self)

    @spelled_out()
    def chat(self, prompt: Prompt, **options: Unpack[CallOptions]) -> Response:
        """Ask a model and wait for the whole answer; see `llmops.chat`."""
        chosen = self._chosen("chat", options)
        with self.lease() as stages:
            return _call.complete(_call.prepare(stages, prompt, chosen))

    @spelled_out()
    async def achat(self, prompt: Prompt, **options: Unpack[CallOptions]) -> Response:
        """Ask a model and wait for the whole answer, async; see `llmops.achat`."""
        chosen = self._chosen("achat", options)
        with self.lease() as stages:
            return await _call.acomplete(_call.prepare(stages, prompt, chosen))

    @spelled_out()
    def stream(self, prompt: Prompt, **options: Unpack[CallOptions]) -> Stream:
        """Ask a model and take the answer in pieces; see `llmops.stream`."""
        return Stream(self.course(prompt, self._chosen("stream", options)))

    @spelled_out()
    def astream(self, prompt: Prompt, **options: Unpack[CallOptions]) -> AsyncStream:
        """Ask a model and take the answer in pieces, async; see `llmops.astream`."""
        return AsyncStream(self.course(prompt, self._chosen("astream", options)))

    def embed(self, texts: Sequence[str], *, model: str | None = None) -> Embeddings:
        """The vectors of texts; see `llmops.embed`."""
        listed = _call.texts_of(texts)
        with self.lease() as stages:
            return _call.embed(self._embedding_call(stages, model), listed)

    async def aembed(self, texts: Sequence[str], *, model: str | None = None) -> Embeddings:
        """The vectors of texts, async; see `llmops.aembed`."""
        listed = _call.texts_of(texts)
        with self.lease() as stages:
            return await _call.aembed(self._embedding_call(stages, model), listed)

    def close(self) -> None:
        """Close it: further calls raise; its providers are closed when the last call in flight has ended."""
        self._closed = True
        self._let_go()

    async def aclose(self) -> None:
        """Close it, async."""
        self._closed = True
        with self._lock:
            stages, self._stages = self._stages, None
        if stages is not None:
            await stages.aretire()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.aclose()

    def lease(self) -> Lease:
        """The stages of the settings in force, held open until the lease is released."""
        with self._lock:
            if self._closed:
                raise LLMOpsError("this LLM is closed: make a new one")
            settings = config.current()
            old, stages = None, self._stages
            if stages is None or stages.settings is not settings:
                old, stages = stages, Stages(settings)
                self._stages = stages
            lease = stages.lease()
        if old is not None:
            old.retire()
        return lease

    def course(
        self,
        prompt: object,
        options: Mapping[str, Any],
        *,
        origin: Origin | None = None,
        on_end: StreamEnd | None = None,
    ) -> Course:
        """What a stream of these options runs on; it gives its lease back at its end."""
        with ExitStack() as on_error:
            lease = self.lease()
            on_error.callback(lease.release)
            call = _call.prepare(lease.stages, prompt, options, streaming=True, origin=origin)
            course = Course(call, lease, on_end)
            on_error.pop_all()
        return course

    def at_exit(self) -> None:
        """Close the providers. Not the caches: their threads have ended by then, and their files need no closing."""
        stages = self._stages
        if stages is not None:
            stages.close_providers()

    def _let_go(self) -> None:
        with self._lock:
            stages, self._stages = self._stages, None
        if stages is not None:
            stages.retire()

    def _chosen(self, function: str, options: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._options, **given(function, options)}

    def _embedding_call(self, stages: Stages, model: str | None) -> Call:
        options = self._options if model is None else {**self._options, "model": model}
        return _call.embedding_call(stages, options)

    def _forget(self) -> None:
        # A forked child must not use the parent's connections, nor close them.
        self._lock = threading.Lock()
        self._stages = None


_living: weakref.WeakSet[LLM] = weakref.WeakSet()


def _after_fork() -> None:
    for one in list(_living):
        one._forget()  # pyright: ignore[reportPrivateUsage] - same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
