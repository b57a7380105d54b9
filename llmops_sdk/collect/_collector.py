"""The collector: a server whose requests are decoded, redacted and written to the store."""

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
from llmops_sdk.collect._access import AccessRules, is_loopback
from llmops_sdk.collect._bodies import decompress
from llmops_sdk.collect._limits import Limits
from llmops_sdk.collect._refusal import RefusedError, retry_later
from llmops_sdk.collect._requests import RequestHandler
from llmops_sdk.collect._responses import IntakeResult, Signal
from llmops_sdk.collect._server import Server
from llmops_sdk.errors import ConfigError, LLMOpsError, OtlpDecodeError, StoreError
from llmops_sdk.store._sink import open_sink
from llmops_sdk.store.exchange._foreign_records import ForeignRecords
from llmops_sdk.store.otlp._bounds import OversizedRequestError
from llmops_sdk.store.otlp._read import Decoded, Decoder, Encoding
from llmops_sdk.store.reading._query import StorePath

__all__ = ["Collected", "Collector"]

_MIB = 1024 * 1024
_POLL_SECONDS = 0.1  # until the server notices a stop
_DISK_RETRY_SECONDS = 5


@public("llmops_sdk.collect")
@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The counts of a collector.

    Attributes:
        requests: Requests that got a 200.
        spans: Spans written to the store.
        scores: Scores written to the store.
        details: Spans that log records described, counted once a request.
        rejected: Spans and log records of these requests that were not written.
        refused: Other requests, by HTTP status.
    """

    requests: int
    spans: int
    scores: int
    details: int
    rejected: int
    refused: dict[int, int]


@public("llmops_sdk.collect")
class Collector:
    """Receives OTLP over HTTP into a store, from `start` to `stop` or inside a `with` block.

    Args:
        path: The store's folder, created if missing. Default: the configured store.
        host: The address to listen on.
        port: The port; 0 picks a free one.
        allow_remote: Allow a `host` that other machines can reach.
        allow_hosts: Host headers to accept in addition to localhost and loopback addresses.
        token: The bearer token that requests must carry; None turns the check off.
        limits: The limits of sizes, numbers and times.

    Raises:
        ConfigError: Other machines can reach `host` and `allow_remote` is not set.
        StoreError: The store cannot be created or written, or a newer version of the SDK wrote it.

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
                f"other machines can reach {host} and could write to the store: pass allow_remote=True "
                "(--allow-remote), best with a token (--token-env), or listen on 127.0.0.1"
            )
        settings = current()
        store = {"enabled": True} if path is None else {"enabled": True, "path": Path(path).absolute()}
        settings = settings.model_copy(update={"store": settings.store.model_copy(update=store)})
        self._path = settings.store.path
        self._host = host
        self._port = port
        self._limits = limits or Limits()
        self._access = AccessRules(any_host=not is_loopback(host), hosts=allow_hosts, token=token)
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
        """Return the store's folder."""
        return self._path

    @property
    def url(self) -> str:
        """Return the base URL, for `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def counts(self) -> Collected:
        """Return the counts so far."""
        counts = {name: self._counts[name] for name in ("requests", "spans", "scores", "details", "rejected")}
        refusals = self._refusals if self._server is None else self._server.refusals
        return Collected(**counts, refused=dict(sorted(refusals.items())))

    def start(self) -> None:
        """Start to listen.

        Raises:
            LLMOpsError: The address is not available, or the collector is already listening.
        """
        if self._server is not None:
            raise LLMOpsError(f"this collector is already listening at {self.url}")
        try:
            address = (self._host, self._port)
            self._server = Server(address, RequestHandler, consumer=self, access=self._access, limits=self._limits)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise LLMOpsError(
                f"cannot listen at {self.url}: {reason}; if another collector is running, choose another port (--port)"
            ) from error
        self._port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="llmops-collect", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, finish running requests, and seal the store's files."""
        server, self._server = self._server, None
        if server is not None:
            server.stop(self._limits.stop_seconds)
            self._refusals += server.refusals
        if self._thread is not None:
            self._thread.join(self._limits.stop_seconds)
        with self._writing:
            self._sink.close(0.0)

    def tick(self) -> None:
        """Seal old files and write counts of losses. Call this now and then while few requests arrive."""
        with self._writing:
            try:
                self._sink.write([])
            except StoreError:
                return  # the next request reports it

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    def health(self) -> bytes:
        """Return the state in JSON."""
        counts = self.counts
        return orjson.dumps(
            {
                "status": "ok",
                "requests": counts.requests,
                "spans": counts.spans,
                "scores": counts.scores,
                "details": counts.details,
            }
        )

    def take(self, signal: Signal, body: bytes, coding: str, encoding: Encoding) -> IntakeResult:
        """Write the records of a request to the disk.

        Args:
            signal: The signal of the request's path.
            body: The body, perhaps compressed.
            coding: The compression: "gzip", "deflate" or "".
            encoding: The encoding: "protobuf" or "json".

        Raises:
            RefusedError: Nothing was written.
        """
        if not self._turns.acquire(timeout=self._limits.turn_seconds):
            raise retry_later("more data arrives than can be written")
        try:
            limits = self._limits
            content = decompress(body, coding, min(limits.body_bytes, _MIB + limits.expansion * len(body)))
            elements = min(limits.elements, limits.free_elements + len(body))
            try:
                decode = self._decoder.traces if signal == "traces" else self._decoder.logs
                decoded = decode(content, encoding, elements)
            except OversizedRequestError as error:
                raise RefusedError(413, str(error)) from error
            except OtlpDecodeError as error:
                raise RefusedError(400, str(error)) from error
            return self._write(decoded)
        finally:
            self._turns.release()

    def _write(self, decoded: Decoded) -> IntakeResult:
        if not self._writing.acquire(timeout=self._limits.turn_seconds):
            raise retry_later("more data arrives than can be written")
        try:
            losses = decoded.losses
            if decoded.ignored:
                losses["log", "not_kept"] += decoded.ignored
            found = [*decoded.spans, *decoded.scores, *decoded.details]
            written = self._sink.write(self._intake(found, losses))
            rejected = decoded.rejected + decoded.ignored + len(decoded.spans) - written
            self._counts.update(
                requests=1,
                spans=written,
                scores=len(decoded.scores),
                details=len(decoded.details),
                rejected=rejected,
            )
        except StoreError as error:
            raise retry_later(str(error), _DISK_RETRY_SECONDS) from error
        finally:
            self._writing.release()
        problems = list(decoded.problems)
        if decoded.ignored:
            problems.append("only log records with an event of the GenAI conventions are kept (docs/collect.md)")
        return IntakeResult(rejected, "; ".join(problems))
