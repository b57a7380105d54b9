"""`replay`: send waiting spans, or stored spans, to a backend now."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_sdk._util._public import public
from llmops_sdk.errors import StoreError
from llmops_sdk.export._delivery import Delivery
from llmops_sdk.export._destinations import Destination, destination_for_url, find_destinations
from llmops_sdk.export._filter import select_records
from llmops_sdk.export._sizes import BATCH_BYTES, size_of
from llmops_sdk.export._threads import uninstrumented
from llmops_sdk.store.files._folders import check_folder
from llmops_sdk.store.lines._decode import RecordReader
from llmops_sdk.store.outbox._outbox import FOLDER, SegmentOutbox, outbox_sizes
from llmops_sdk.store.reading._query import StorePath, flush_first, store_folder
from llmops_sdk.store.reading._rows import rows_of_spans
from llmops_sdk.tracing.records._records import ScoreRecord, SpanRecord

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["Replayed", "discard", "replay"]

_PIECE = 512 * 1024
_PATIENCE = 3
"""Failed tries in a row after which a backend counts as unavailable."""


@public("llmops_sdk.store")
@dataclass(slots=True)
class Replayed:
    """The outcome of a replay for one destination.

    Attributes:
        destination: The destination's name or URL.
        sent: Spans that it accepted.
        lost: Spans that it rejected for good.
        left: Bytes still in the outbox; 1 when the replay of a store ended early.
        filtered: Spans that its filter excludes.
        reason: Why something is left, or empty.
    """

    destination: str
    sent: int = 0
    lost: int = 0
    left: int = 0
    filtered: int = 0
    reason: str = ""


def replay(
    *,
    to: str | None = None,
    protocol: str = "http/protobuf",
    headers: Mapping[str, str] | None = None,
    content: bool | None = None,
    where: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    path: StorePath | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Replayed]:
    """Send the spans in the outboxes, or with `to` the spans in the store, and wait until they are sent.

    A living process sends its own waiting spans; a replay leaves them to it. A replay with `to` marks nothing as sent:
    a second one sends the same spans again.

    Args:
        to: A base URL, or the name of a configured destination; None for the outboxes of all destinations.
        protocol: "http/protobuf" or "grpc", for a URL.
        headers: Headers of each request, for a URL.
        content: Whether to send prompts, answers, arguments and results; by default as configured.
        where: With `to`: an SQL condition on the columns of `llm_calls`.
        since: With `to`: only spans that began at this time or later; a time without a zone is UTC.
        until: With `to`: only spans that began before this time.
        path: The store's folder; by default the configured one.
        progress: Called with the bytes or spans done and the total (0 when unknown).

    Raises:
        StoreError: The destination does not exist, or the store cannot be read.
        QueryError: The condition is invalid or not allowed.

    Example:
        >>> from llmops_sdk.store import replay
        >>> replay()
        []
    """
    from llmops_sdk.config import current

    settings, folder = current(), store_folder(path)
    check_folder(folder)
    flush_first()
    with uninstrumented():
        if to is None:
            return [_drain(folder, destination, progress) for destination in _waiting(settings, folder)]
        destination = _destination(settings, to, protocol, headers or {}, content)
        rows = rows_of_spans(folder, where, since, until)
        return [_send_rows(destination, rows, progress)]


def discard(name: str, *, path: StorePath | None = None) -> int:
    """Delete the spans that wait for a destination; return their bytes.

    Args:
        name: The destination's name.
        path: The store's folder; by default the configured one.

    Raises:
        StoreError: Nothing waits for a destination of that name.
    """
    folder = store_folder(path)
    check_folder(folder)
    sizes = outbox_sizes(folder)
    if name not in sizes:
        raise StoreError(
            f'nothing waits for a destination "{name}": {", ".join(sizes) or "there is no outbox"}', path=str(folder)
        )
    shutil.rmtree(folder / FOLDER / name)
    return sizes[name]


def _waiting(settings: Settings, folder: Path) -> list[Destination]:
    sizes = outbox_sizes(folder)
    return [destination for destination in find_destinations(settings) if sizes.get(destination.name)]


def _destination(
    settings: Settings, to: str, protocol: str, headers: Mapping[str, str], content: bool | None
) -> Destination:
    known = {destination.name: destination for destination in find_destinations(settings)}
    if "//" not in to:
        if to not in known:
            names = ", ".join(known) or "none is configured"
            raise StoreError(f'there is no destination "{to}": {names}; or give a URL, as in http://127.0.0.1:4318')
        found = known[to]
    else:
        found = destination_for_url(
            to,
            protocol=protocol,
            headers=headers,
            content=settings.export.content,
            allow_attributes=settings.export.allow_attributes,
        )
    from dataclasses import replace

    return found if content is None else replace(found, content=content)


def _drain(folder: Path, destination: Destination, progress: Callable[[int, int], None] | None) -> Replayed:
    done = Replayed(destination.name)
    total, past = outbox_sizes(folder)[destination.name], 0
    outbox = SegmentOutbox(folder, destination.name, max_bytes=2**63, max_days=1e9, lose=_ignore_loss)
    delivery = Delivery(destination, "spans", lambda: None)
    try:
        while not done.reason and (begin := outbox.adopt()) is not None:
            past += begin.offset
            while not done.reason and (piece := outbox.read_adopted(begin, _PIECE)) is not None:
                records = select_records(piece.records, scores=False, passes=destination.passes)
                done.filtered += len(piece.records) - len(records)
                if _send(delivery, records, done):
                    outbox.acknowledge(piece.end)
                    past += piece.end.offset - begin.offset
                    begin = piece.end
                if progress is not None:
                    progress(min(past, total), total)
    finally:
        delivery.close()
        outbox.close()
    done.left = outbox_sizes(folder).get(destination.name, 0)
    if done.left and not done.reason:
        done.reason = "a living process writes or sends it"
    return done


def _ignore_loss(_what: str, _reason: str, _count: int, _bytes: int) -> None:
    """Do nothing: these limits drop no segment."""


def _send_rows(
    destination: Destination, rows: Iterable[Mapping[str, object]], progress: Callable[[int, int], None] | None
) -> Replayed:
    done = Replayed(destination.name if destination.name != "url" else destination.shown)
    delivery = Delivery(destination, "spans", lambda: None)
    try:
        for records in _batches(_records(destination, rows, done), delivery.batch_limit):
            if not _send(delivery, records, done):
                done.left = 1
                break
            if progress is not None:
                progress(done.sent + done.lost + done.filtered, 0)
    finally:
        delivery.close()
    return done


def _records(
    destination: Destination, rows: Iterable[Mapping[str, object]], done: Replayed
) -> Iterator[SpanRecord | ScoreRecord]:
    reader = RecordReader()
    for row in rows:
        record = reader.record_of_row(row)
        passing = [] if record is None else select_records([record], scores=False, passes=destination.passes)
        done.filtered += 1 - len(passing)
        yield from passing


def _batches(records: Iterable[SpanRecord | ScoreRecord], most: int) -> Iterator[list[SpanRecord | ScoreRecord]]:
    """Split records into batches by number and by size: prompts may have megabytes."""
    batch: list[SpanRecord | ScoreRecord] = []
    size = 0
    for record in records:
        more = size_of(record)
        if batch and (len(batch) >= most or size + more > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += more
    if batch:
        yield batch


def _send(delivery: Delivery, records: Sequence[SpanRecord | ScoreRecord], done: Replayed) -> bool:
    """Send all records; return False and set `done.reason` when the backend gives no answer."""
    from llmops_sdk._util._clock import SYSTEM_CLOCK

    at = 0
    while at < len(records):
        batch = records[at : at + delivery.batch_limit]
        judgement = delivery.send(batch)
        if judgement.done:
            done.sent += len(batch) - judgement.lost
            done.lost += judgement.lost
            at += len(batch)
        elif judgement.pause and delivery.failures >= _PATIENCE:
            done.reason = delivery.reason or "the backend does not answer"
            return False
        elif judgement.pause:
            SYSTEM_CLOCK.sleep(judgement.pause)
    return True
