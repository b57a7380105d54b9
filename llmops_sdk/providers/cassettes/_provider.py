"""`cassette/NAME`: answers recorded from a real model once, and replayed from a file ever after.

It stands where a vendor's client would, below retries, cache, guards and spans, so that a test of the whole application
runs as in production but for the network.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, closing, contextmanager
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from llmops_sdk._util._clock import Clock
from llmops_sdk.config import current
from llmops_sdk.errors import CassetteError, ConfigError, ProviderError, StreamInterruptedError
from llmops_sdk.providers._accumulate import Accumulator, chunks_of
from llmops_sdk.providers._types import Chunk, Embeddings, Request, Response
from llmops_sdk.providers.cassettes._answers import chunk_of, embeddings_of, error_of, plain, plain_error, response_of
from llmops_sdk.providers.cassettes._request import (
    Canonical,
    canonical_chat,
    canonical_embed,
    differences,
    digest,
    nearest_request,
    shortened,
)
from llmops_sdk.providers.cassettes._tape import Recording, Tape

if TYPE_CHECKING:
    from llmops_sdk.providers._protocol import Provider

__all__ = ["CassetteProvider"]

_NAME = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)*")


class CassetteProvider:
    """Replays recordings, or has a model answer and records that, as `[cassettes] mode` says.

    Recordings of the same request are replayed in their order, and the last of them from then on.

    Args:
        name: The cassette's, as in "support" or "support/refunds".
        recorder: Opens the model to record from; raises `ConfigError` when there is none.
        realtime: Whether pieces come as late as they were recorded.
        clock: What those waits are waited with.
    """

    def __init__(
        self, name: str, recorder: Callable[[], tuple[str, Provider]], *, realtime: bool, clock: Clock
    ) -> None:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f'"cassette/{name}" names no file: use letters, digits, "_", "-", "." and "/", as in '
                '"cassette/support"',
                key="model",
                value=f"cassette/{name}",
            )
        self._name = name
        self._recorder = recorder
        self._realtime = realtime
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: list[tuple[str, Provider]] = []
        self._played: dict[str, int] = {}
        self._new: set[str] = set()
        self._tape: list[Tape] = []
        self._sparing = False

    @property
    def name(self) -> str:
        """Always "cassette"."""
        return "cassette"

    def recording_by(self, provider: Provider) -> CassetteProvider:
        """The same cassette with another provider in the place of the model, asked only for what was not recorded."""
        made = copy(self)
        made._opened = [("", provider)]
        made._sparing = True
        return made

    # --- Calls --------------------------------------------------------------------------------------------------------

    def complete(self, request: Request) -> Response:
        """The whole answer."""
        asked = canonical_chat(request)
        if (found := self._found(asked)) is not None:
            self._clock.sleep(self._wait(found.get("seconds", 0)))
            return _whole(found)
        inner, request = self._inner(request)
        with self._recorded(asked) as came:
            made = inner.complete(request)
            came["response"] = plain(made)
            return made

    async def acomplete(self, request: Request) -> Response:
        """The whole answer, async."""
        asked = canonical_chat(request)
        if (found := self._found(asked)) is not None:
            await self._clock.asleep(self._wait(found.get("seconds", 0)))
            return _whole(found)
        inner, request = self._inner(request)
        with self._recorded(asked) as came:
            made = await inner.acomplete(request)
            came["response"] = plain(made)
            return made

    def stream(self, request: Request) -> Iterator[Chunk]:
        """The answer in pieces; a stream that its consumer leaves early is not recorded."""
        asked = canonical_chat(request)
        if (found := self._found(asked)) is not None:
            for seconds, piece in _pieces(found):
                self._clock.sleep(self._wait(seconds))
                yield _raised(piece)
            return
        inner, request = self._inner(request)
        with self._recorded(asked) as came, closing(cast("Generator[Chunk]", inner.stream(request))) as source:
            pieces = came["chunks"] = _Pieces()
            for chunk in source:
                yield pieces.add(chunk)

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer in pieces, async."""
        asked = canonical_chat(request)
        if (found := self._found(asked)) is not None:
            for seconds, piece in _pieces(found):
                await self._clock.asleep(self._wait(seconds))
                yield _raised(piece)
            return
        inner, request = self._inner(request)
        with self._recorded(asked) as came:
            pieces = came["chunks"] = _Pieces()
            async with aclosing(cast("AsyncGenerator[Chunk]", inner.astream(request))) as source:
                async for chunk in source:
                    yield pieces.add(chunk)

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """The vectors of `texts`."""
        asked = canonical_embed(texts, request)
        if (found := self._found(asked)) is not None:
            return _vectors(found)
        inner, request = self._inner(request)
        with self._recorded(asked) as came:
            made = inner.embed(texts, request)
            came["embeddings"] = plain(made)
            return made

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        """The vectors of `texts`, async."""
        asked = canonical_embed(texts, request)
        if (found := self._found(asked)) is not None:
            return _vectors(found)
        inner, request = self._inner(request)
        with self._recorded(asked) as came:
            made = await inner.aembed(texts, request)
            came["embeddings"] = plain(made)
            return made

    def close(self) -> None:
        """Close the model that was recorded from."""
        for _, provider in self._opened:
            provider.close()

    async def aclose(self) -> None:
        """Close the model that was recorded from, async."""
        for _, provider in self._opened:
            await provider.aclose()

    # --- The tape -----------------------------------------------------------------------------------------------------

    def _wait(self, seconds: float) -> float:
        return seconds if self._realtime else 0.0

    def _inner(self, request: Request) -> tuple[Provider, Request]:
        """Who is asked, and the request as it is for them."""
        with self._lock:
            if not self._opened:
                self._opened.append(self._recorder())
            model, provider = self._opened[0]
        return provider, replace(request, model=model or request.model)

    def _reel(self) -> Tape:
        path = current().cassettes.folder / f"{self._name}.jsonl"
        with self._lock:
            if not self._tape or self._tape[0].path != path:
                self._tape[:] = [Tape(path)]
            return self._tape[0]

    def _found(self, asked: Canonical) -> Recording | None:
        """What to replay, or None where it is to be recorded."""
        mode, key, tape = current().cassettes.mode, digest(asked), self._reel()
        known = tape.recordings()
        mine = [one for one in known if one["digest"] == key]
        with self._lock:
            # What is recorded now goes on to be: the retry of a recorded error is another answer.
            renewed = (mode == "record" or key in self._new) and not self._sparing
            if mode != "replay" and (renewed or not mine):
                return None
            if mine:
                at = self._played.get(key, 0)
                self._played[key] = at + 1
                return mine[min(at, len(mine) - 1)]
        near = nearest_request(asked, (one.get("request", {}) for one in known))
        there = (
            f"the nearest of {len(known)} differs: {differences(asked, near)}" if near is not None else "it has none"
        )
        raise CassetteError(
            f"the cassette {tape.path} has no recording of this request; {there}. To record it, run with "
            "LLMOPS_CASSETTES__MODE=new",
            path=str(tape.path),
            nearest=near,
        )

    @contextmanager
    def _recorded(self, asked: Canonical) -> Generator[dict[str, Any]]:
        """Record what is put into the mapping, and an error of the provider's; nothing of a call that is left."""
        came: dict[str, Any] = {}
        began = time.monotonic()
        try:
            yield came
        except ProviderError as error:
            came["error"] = plain_error(error)
            self._keep(asked, time.monotonic() - began, came)
            raise
        self._keep(asked, time.monotonic() - began, came)

    def _keep(self, asked: Canonical, seconds: float, came: dict[str, Any]) -> None:
        key = digest(asked)
        if isinstance(came.get("chunks"), _Pieces):
            came["chunks"] = came["chunks"].made
        recording = {"digest": key, "request": shortened(asked), "seconds": round(seconds, 3), **came}
        line = json.dumps(recording, ensure_ascii=False, separators=(",", ":"), default=repr)
        with self._lock:
            first = key not in self._new
            self._new.add(key)
        self._reel().add(_redacted(line), instead_of=key if first else None)


class _Pieces:
    """The pieces of a stream, with the seconds before each."""

    def __init__(self) -> None:
        self.made: list[tuple[float, dict[str, Any]]] = []
        self._before = time.monotonic()

    def add(self, chunk: Chunk) -> Chunk:
        now = time.monotonic()
        self.made.append((round(now - self._before, 3), plain(chunk)))
        self._before = now
        return chunk


def _redacted(line: str) -> bytes:
    """A line without secrets: of the well-known formats, the configured patterns, and the application's redactors."""
    from llmops_sdk.tracing.privacy._redactors import redaction_label, registered_redactors
    from llmops_sdk.tracing.privacy._text_redactor import TextRedactor

    patterns = current().redaction.patterns
    custom = [(redaction_label(name), re.compile(pattern)) for name, pattern in patterns.items()]
    return TextRedactor([*custom, *registered_redactors()]).json(line.encode("utf-8", "surrogatepass"))


def _whole(found: Recording) -> Response:
    if "response" in found:
        return response_of(found["response"])
    whole = Accumulator()
    for _, piece in _pieces(found):
        whole.add(_raised(piece))
    return whole.response()


def _pieces(found: Recording) -> Iterator[tuple[float, Chunk | ProviderError]]:
    if "response" in found:
        for number, chunk in enumerate(chunks_of(response_of(found["response"]))):
            yield (found.get("seconds", 0) if number == 0 else 0), chunk
        return
    partial = Accumulator()
    for seconds, one in found.get("chunks", ()):
        chunk = chunk_of(one)
        partial.add(chunk)
        yield seconds, chunk
    if "error" in found:
        error = error_of(found["error"])
        if isinstance(error, StreamInterruptedError):
            error.partial = partial.response()
        yield 0, error


def _vectors(found: Recording) -> Embeddings:
    if "error" in found:
        raise error_of(found["error"])
    return embeddings_of(found["embeddings"])


def _raised(piece: Chunk | ProviderError) -> Chunk:
    if isinstance(piece, ProviderError):
        raise piece
    return piece
