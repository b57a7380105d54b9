"""`cassette/NAME`: record a real model's answers once, and replay them from a file.

A cassette replaces the vendor's client, below retries, cache, guards and spans. A test of the whole application
therefore runs as in production, without the network.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, closing, contextmanager
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from llmops_sdk._util._clock import Clock
from llmops_sdk.config import current
from llmops_sdk.errors import CassetteError, ConfigError, ProviderError, StreamInterruptedError
from llmops_sdk.providers._accumulate import Accumulator, chunks_of
from llmops_sdk.providers._types import Chunk, Embeddings, Request, Response
from llmops_sdk.providers.cassettes._codec import (
    decode_chunk,
    decode_embeddings,
    decode_error,
    decode_response,
    encode,
    encode_error,
)
from llmops_sdk.providers.cassettes._file import CassetteFile, Recording
from llmops_sdk.providers.cassettes._redact import redacted_line
from llmops_sdk.providers.cassettes._request import (
    CanonicalRequest,
    canonical_chat,
    canonical_embed,
    differences,
    digest,
    nearest_request,
    same_request,
    secret_values,
    shortened,
)

if TYPE_CHECKING:
    from llmops_sdk.providers._protocol import Provider

__all__ = ["CassetteProvider"]

_Result = TypeVar("_Result", Response, Embeddings)
_NAME = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)*")


class CassetteProvider:
    """Replays recordings, or asks a model and records its answers, as `[cassettes] mode` says.

    Recordings of the same request replay in order; the last one repeats.

    Args:
        name: The cassette's name, as in "support" or "support/refunds".
        open_recorded: Opens the model to record from; raises `ConfigError` if there is none.
        realtime: Whether to replay the recorded delays.
        clock: The clock that replayed delays wait on.
    """

    def __init__(
        self, name: str, open_recorded: Callable[[], tuple[str, Provider]], *, realtime: bool, clock: Clock
    ) -> None:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f'"cassette/{name}" is not a valid cassette name: use letters, digits, "_", "-", "." and "/", as in '
                '"cassette/support"',
                key="model",
                value=f"cassette/{name}",
            )
        self._name = name
        self._open_recorded = open_recorded
        self._realtime = realtime
        self._clock = clock
        self._only_missing = False
        # Copies of this object share what follows.
        self._lock = threading.Lock()
        self._recorded: list[tuple[str, Provider]] = []
        self._files: list[CassetteFile] = []
        self._replays: dict[str, int] = {}
        self._recorded_now: set[str] = set()

    @property
    def name(self) -> str:
        return "cassette"

    def recording_by(self, provider: Provider) -> CassetteProvider:
        """Return the same cassette with `provider` as its model, asked for missing recordings only."""
        copied = copy(self)
        copied._recorded = [("", provider)]
        copied._only_missing = True
        return copied

    # --- Calls --------------------------------------------------------------------------------------------------------

    def complete(self, request: Request) -> Response:
        canonical = canonical_chat(request)
        if (recording := self._find(canonical)) is not None:
            self._clock.sleep(self._delay(recording.get("seconds", 0)))
            return _replay_response(recording)
        model, request = self._recorded_model(request)
        with self._record(canonical, request) as outcome:
            return outcome.keep("response", model.complete(request))

    async def acomplete(self, request: Request) -> Response:
        canonical = canonical_chat(request)
        if (recording := self._find(canonical)) is not None:
            await self._clock.asleep(self._delay(recording.get("seconds", 0)))
            return _replay_response(recording)
        model, request = self._recorded_model(request)
        with self._record(canonical, request) as outcome:
            return outcome.keep("response", await model.acomplete(request))

    def stream(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer in chunks. A stream that the consumer closes early is not recorded."""
        canonical = canonical_chat(request)
        if (recording := self._find(canonical)) is not None:
            for seconds, step in _replay_chunks(recording):
                self._clock.sleep(self._delay(seconds))
                yield _return_or_raise(step)
            return
        model, request = self._recorded_model(request)
        with (
            self._record(canonical, request) as outcome,
            closing(cast("Generator[Chunk]", model.stream(request))) as source,
        ):
            for chunk in source:
                yield outcome.keep_chunk(chunk)

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        canonical = canonical_chat(request)
        if (recording := self._find(canonical)) is not None:
            for seconds, step in _replay_chunks(recording):
                await self._clock.asleep(self._delay(seconds))
                yield _return_or_raise(step)
            return
        model, request = self._recorded_model(request)
        with self._record(canonical, request) as outcome:
            async with aclosing(cast("AsyncGenerator[Chunk]", model.astream(request))) as source:
                async for chunk in source:
                    yield outcome.keep_chunk(chunk)

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        canonical = canonical_embed(texts, request)
        if (recording := self._find(canonical)) is not None:
            return _replay_embeddings(recording)
        model, request = self._recorded_model(request)
        with self._record(canonical, request) as outcome:
            return outcome.keep("embeddings", model.embed(texts, request))

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        canonical = canonical_embed(texts, request)
        if (recording := self._find(canonical)) is not None:
            return _replay_embeddings(recording)
        model, request = self._recorded_model(request)
        with self._record(canonical, request) as outcome:
            return outcome.keep("embeddings", await model.aembed(texts, request))

    def close(self) -> None:
        for _, provider in self._recorded:
            provider.close()

    async def aclose(self) -> None:
        for _, provider in self._recorded:
            await provider.aclose()

    # --- The file -----------------------------------------------------------------------------------------------------

    def _delay(self, seconds: float) -> float:
        return seconds if self._realtime else 0.0

    def _recorded_model(self, request: Request) -> tuple[Provider, Request]:
        """Return the model to record from, opened once, and the request for that model."""
        with self._lock:
            if not self._recorded:
                self._recorded.append(self._open_recorded())
            model, provider = self._recorded[0]
        return provider, replace(request, model=model or request.model)

    def _file(self) -> CassetteFile:
        path = current().cassettes.folder / f"{self._name}.jsonl"
        with self._lock:
            if not self._files or self._files[0].path != path:
                self._files[:] = [CassetteFile(path)]
            return self._files[0]

    def _find(self, canonical: CanonicalRequest) -> Recording | None:
        """Return the recording to replay, or None if the model must be asked."""
        mode, key, file = current().cassettes.mode, digest(canonical), self._file()
        recordings = file.recordings()
        matching = [one for one in recordings if one["digest"] == key] or same_request(canonical, recordings)
        with self._lock:
            if mode == "record" and self._only_missing:
                return None  # real calls are blocked: the model says so, instead of an old recording
            # Once this run has recorded a request, it records its repetitions too: a retry gets another answer.
            record_again = (mode == "record" or key in self._recorded_now) and not self._only_missing
            if mode != "replay" and (record_again or not matching):
                return None
            if matching:
                replayed = self._replays.get(key, 0)
                self._replays[key] = replayed + 1
                return matching[min(replayed, len(matching) - 1)]
        nearest = nearest_request(canonical, (one.get("request", {}) for one in recordings))
        hint = "it is empty"
        if nearest is not None:
            hint = f"the nearest of {len(recordings)} differs: {differences(canonical, nearest)}"
        raise CassetteError(
            f"the cassette {file.path} has no recording of this request; {hint}. To record it, run with "
            "LLMOPS_CASSETTES__MODE=new",
            path=str(file.path),
            nearest=nearest,
        )

    @contextmanager
    def _record(self, canonical: CanonicalRequest, request: Request) -> Generator[_Outcome]:
        """Record what the block keeps, or the provider's error; nothing if the call is cancelled."""
        outcome = _Outcome()
        started = time.monotonic()
        try:
            yield outcome
        except ProviderError as error:
            outcome.encoded["error"] = encode_error(error)
            self._write(canonical, request, time.monotonic() - started, outcome)
            raise
        self._write(canonical, request, time.monotonic() - started, outcome)

    def _write(self, canonical: CanonicalRequest, request: Request, seconds: float, outcome: _Outcome) -> None:
        key = digest(canonical)
        recording = {"digest": key, "request": shortened(canonical), "seconds": round(seconds, 3), **outcome.encoded}
        line = redacted_line(recording, secret_values([request.extra, list(request.tools)]))
        with self._lock:
            first = key not in self._recorded_now
            self._recorded_now.add(key)
        self._file().add(line, replacing=key if first else None)


class _Outcome:
    """What a call returns, encoded; chunks with the seconds before each."""

    def __init__(self) -> None:
        self.encoded: dict[str, Any] = {}
        self._last = time.monotonic()

    def keep(self, name: str, value: _Result) -> _Result:
        self.encoded[name] = encode(value)
        return value

    def keep_chunk(self, chunk: Chunk) -> Chunk:
        now = time.monotonic()
        self.encoded.setdefault("chunks", []).append((round(now - self._last, 3), encode(chunk)))
        self._last = now
        return chunk


def _replay_response(recording: Recording) -> Response:
    if "response" in recording:
        return decode_response(recording["response"])
    whole = Accumulator()
    for _, step in _replay_chunks(recording):
        whole.add(_return_or_raise(step))
    return whole.response()


def _replay_chunks(recording: Recording) -> Iterator[tuple[float, Chunk | ProviderError]]:
    if "response" in recording:
        for number, chunk in enumerate(chunks_of(decode_response(recording["response"]))):
            yield (recording.get("seconds", 0) if number == 0 else 0), chunk
        return
    partial = Accumulator()
    for seconds, encoded in recording.get("chunks", ()):
        chunk = decode_chunk(encoded)
        partial.add(chunk)
        yield seconds, chunk
    if "error" in recording:
        error = decode_error(recording["error"])
        if isinstance(error, StreamInterruptedError):
            error.partial = partial.response()
        yield 0, error


def _replay_embeddings(recording: Recording) -> Embeddings:
    if "error" in recording:
        raise decode_error(recording["error"])
    return decode_embeddings(recording["embeddings"])


def _return_or_raise(step: Chunk | ProviderError) -> Chunk:
    if isinstance(step, ProviderError):
        raise step
    return step
