"""The collector: what a server takes in goes through the decoder and the redaction stage into the store."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from llmops_sdk._util._public import public
from llmops_sdk.collect._access import Access, is_loopback
from llmops_sdk.collect._answers import Signal, Taken
from llmops_sdk.collect._bodies import unpack
from llmops_sdk.collect._limits import Limits
from llmops_sdk.collect._refusal import RefusedError, later
from llmops_sdk.collect._server import Server
from llmops_sdk.errors import ConfigError, LLMOpsError, OtlpDecodeError, StoreError
from llmops_sdk.store._sink import open_sink
from llmops_sdk.store.exchange._foreign_records import ForeignRecords
from llmops_sdk.store.otlp._read import Decoded, Decoder, Encoding
from llmops_sdk.store.reading._query import StorePath

__all__ = ["Collected", "Collector"]

_POLL = 0.1  # seconds until a stop is seen
_FULL_SECONDS = 5


@public("llmops_sdk.collect")
@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collector has taken so far.

    Attributes:
        requests: Requests that were answered 200.
        spans: Spans in the store.
        scores: Scores in the store.
        rejected: Spans and log records of those requests that are not.
        refused: Requests that were answered otherwise, by status.
    """

    requests: int
    spans: int
    scores: int
    rejected: int
    refused: dict[int, int]


@public("llmops_sdk.collect")
class Collector:
    """Receives OTLP over HTTP and keeps it in a store, from `start`, or the head of a `with`, to `stop`.

    Args:
        path: The store's folder, made where it is missing; by default that of the configuration.
        host: The address to listen at.
        port: The port; 0 takes any free one.
        allow_remote: Whether `host` may be one that other machines reach.
        allow_hosts: Names in a request's `Host`, besides localhost and loopback addresses.
        token: What requests must bear, as `Authorization: Bearer TOKEN`; None for no check.
        limits: How much is taken at once.

    Raises:
        ConfigError: `host` is reached by other machines and `allow_remote` is not given.
        StoreError: The store cannot be made or written, or a newer version of the SDK wrote it.

    Example:
        >>> from tempfile import mkdtemp
        >>> from llmops_sdk.collect import Collector
        >>> with Collector(path=mkdtemp(), port=0) as collector:
        ...     print(collector.url.rpartition(":")[0])  # for OTEL_EXPORTER_OTLP_ENDPOINT
        http://127.0.0.1
        >>> collector.counts.spans
        0
    """

    def __init__(
        self,
        *,
        path: StorePath | None = None,
        host: str = "127.0.0.1",
        port: int = 4318,
        allow_remote: bool = False,
        allow_hosts: Sequence[str] = (),
        token: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        from llmops_sdk.config import current

        if not is_loopback(host) and not allow_remote:
            raise ConfigError(
                f"other machines can reach {host}, and could write into the store: pass allow_remote=True "
                "(--allow-remote), best with a token (--token-env), or listen at 127.0.0.1"
            )
        settings = current()
        store = {"enabled": True} if path is None else {"enabled": True, "path": Path(path).absolute()}
        settings = settings.model_copy(update={"store": settings.store.model_copy(update=store)})
        self._path = settings.store.path
        self._host = host
        self._port = port
        self._limits = limits or Limits()
        self._access = Access(any_host=not is_loopback(host), hosts=allow_hosts, token=token)
        sink = open_sink(settings)
        assert sink is not None
        self._sink = sink
        self._intake = ForeignRecords(settings)
        self._decoder = Decoder()
        self._turns = threading.BoundedSemaphore(self._limits.turns)
        self._writing = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._server: Server | None = None
        self._refusals: Counter[int] = Counter()
        self._thread: threading.Thread | None = None

    @property
    def path(self) -> Path:
        """The store's folder."""
        return self._path

    @property
    def url(self) -> str:
        """The base URL, as in `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def counts(self) -> Collected:
        """What was taken so far."""
        named = {name: self._counts[name] for name in ("requests", "spans", "scores", "rejected")}
        refusals = self._refusals if self._server is None else self._server.refusals
        return Collected(**named, refused=dict(sorted(refusals.items())))

    def start(self) -> None:
        """Begin to listen.

        Raises:
            LLMOpsError: The address cannot be had, or it listens already.
        """
        if self._server is not None:
            raise LLMOpsError(f"this collector listens at {self.url} already")
        try:
            self._server = Server((self._host, self._port), self, self._access, self._limits)
        except (OSError, OverflowError) as error:
            told = getattr(error, "strerror", None) or str(error)
            raise LLMOpsError(
                f"cannot listen at {self.url}: {told}; is another collector running? Name another port with --port"
            ) from error
        self._port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL,), name="llmops-collect", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Take no more, bring what is under way to the disk, and seal the store's files."""
        server, self._server = self._server, None
        if server is not None:
            server.stop(self._limits.stop_seconds)
            self._refusals += server.refusals
        if self._thread is not None:
            self._thread.join(self._limits.stop_seconds)
        with self._writing:
            self._sink.close(0.0)

    def tick(self) -> None:
        """Called now and then where little comes: files that are old enough are sealed, counts of losses written."""
        with self._writing:
            try:
                self._sink.write([])
            except StoreError:
                return  # the next request is told

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    # --- for the server ---------------------------------------------------------------------------------------

    def health(self) -> bytes:
        """How it goes, in JSON."""
        counts = self.counts
        return orjson.dumps(
            {"status": "ok", "requests": counts.requests, "spans": counts.spans, "scores": counts.scores}
        )

    def take(self, signal: Signal, body: bytes, coding: str, encoding: Encoding) -> Taken:
        """Bring what is in a request to the disk.

        Args:
            signal: What it is for.
            body: Its body.
            coding: How that is compressed.
            encoding: How it is written.

        Raises:
            RefusedError: Nothing of it is in the store.
        """
        if not self._turns.acquire(timeout=self._limits.turn_seconds):
            raise later("more comes in than can be written")
        try:
            unpacked = unpack(body, coding, self._limits.body_bytes)
            try:
                read = self._decoder.traces if signal == "traces" else self._decoder.logs
                decoded = read(unpacked, encoding)
            except OtlpDecodeError as error:
                raise RefusedError(400, str(error)) from error
            return self._write(decoded)
        finally:
            self._turns.release()

    def _write(self, decoded: Decoded) -> Taken:
        if not self._writing.acquire(timeout=self._limits.turn_seconds):
            raise later("more comes in than can be written")
        try:
            losses = decoded.losses
            if decoded.ignored:
                losses["log", "no_score"] += decoded.ignored
            written = self._sink.write(self._intake([*decoded.spans, *decoded.scores], losses))
            rejected = decoded.rejected + decoded.ignored + len(decoded.spans) - written
            self._counts.update(requests=1, spans=written, scores=len(decoded.scores), rejected=rejected)
        except StoreError as error:
            raise later(str(error), _FULL_SECONDS) from error
        finally:
            self._writing.release()
        problems = list(decoded.problems)
        if decoded.ignored:
            problems.append("of log records, only the events gen_ai.evaluation.result are kept")
        return Taken(rejected, "; ".join(problems))
