"""Images and other large content on their way from the capture to files beside the store.

The call only takes a reference: nothing is decoded, hashed or written in it. Its JSON has a token where the digest will
stand. On the pipeline's thread the token becomes the SHA-256 of the content (`settled`), and the store writes the
content into a file of that name when it writes a span that refers to it: what redaction left out is never written.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from llmops_sdk._util._guard import guarded
from llmops_sdk.tracing.records._losses import record_loss
from llmops_sdk.tracing.records._records import ScoreRecord, SpanRecord

__all__ = ["FOLDER", "REFERENCE", "defer", "forget", "has_ready", "keep_files", "settling", "take"]

FOLDER = "blobs"
"""The folder inside the store's."""
REFERENCE = re.compile(rb"blobs/([0-9a-f]{64}\.[a-z0-9]{1,5})")
"""How a span's JSON refers to a file there."""

_WAITING_BYTES = 64 * 1024 * 1024
_WAITING_ENTRIES = 1_024
_PATIENCE = 600.0  # seconds that an open span's content is kept when there is no more room
_PENDING = "pending-"
_TOKEN = re.compile(_PENDING.encode() + b"[0-9a-f]{32}")


class _Waiting(NamedTuple):
    make: Callable[[], bytes]
    held: object
    size: int
    suffix: str | None
    since: float


# Both are changed by single operations of C, which need no lock: a lock may be held where a process forks.
_waiting: dict[str, _Waiting] = {}  # by token, from the application's threads
_ready: dict[str, bytes] = {}  # by name of the file, on the pipeline's thread

_T = TypeVar("_T", str, bytes)
_Stage: TypeAlias = Callable[[list[SpanRecord | ScoreRecord]], list[SpanRecord | ScoreRecord]]


# Whether content is kept in files; None while nothing is traced.
_kept: bool | None = None


def keep_files(kept: bool | None) -> None:
    """Say whether a store takes the content: True for files, False for digests alone, None while nothing is traced."""
    global _kept
    _kept = kept


def defer(make: Callable[[], bytes], held: bytes | str, suffix: str | None = None) -> dict[str, str] | None:
    """Have content hashed later, and kept in a file; what the marker in the JSON says of it.

    Args:
        make: Gives the content; called on the pipeline's thread, once.
        held: What it holds on to until then; the same object in several spans takes its room once.
        suffix: The file's, as in ".png"; None for the digest alone.

    Returns:
        `sha256` and, where there will be a file, `path`; None where nothing is traced or there is no room.
    """
    if _kept is None:
        return None
    if not _room_for(held, record_loss):
        record_loss("blob", "queue_full", 1, len(held))
        return None
    token = _PENDING + os.urandom(16).hex()
    stored = suffix if _kept else None
    _waiting[token] = _Waiting(make, held, len(held), stored, time.monotonic())
    return {"sha256": token} if stored is None else {"sha256": token, "path": f"{FOLDER}/{token}{stored}"}


def _room_for(held: bytes | str, lose: Callable[[str, str, int, int], None]) -> bool:
    if _fits(held):
        return True
    # What was captured for spans that were dropped, or closed by redaction, is never asked for.
    oldest = time.monotonic() - _PATIENCE
    for token in [token for token, entry in list(_waiting.items()) if entry.since < oldest]:
        given_up = _waiting.pop(token, None)
        if given_up is not None:
            lose("blob", "queue_full", 1, given_up.size)
    return _fits(held)


def _fits(held: bytes | str) -> bool:
    entries = list(_waiting.values())
    sizes = {id(entry.held): entry.size for entry in entries}
    sizes[id(held)] = len(held)
    return len(entries) < _WAITING_ENTRIES and sum(sizes.values()) <= _WAITING_BYTES


# --- on the pipeline's thread -------------------------------------------------------------------------------------


def settling(stage: _Stage | None, lose: Callable[[str, str, int, int], None]) -> _Stage:
    """The stage that puts digests where tokens stand, after the given one.

    Args:
        stage: Redaction, or None: what it leaves out is not settled.
        lose: Told of what could not be kept, as `record_loss` is.
    """

    def settled(records: list[SpanRecord | ScoreRecord]) -> list[SpanRecord | ScoreRecord]:
        done = records if stage is None else stage(records)
        if _waiting:
            for record in done:
                if not isinstance(record, ScoreRecord):
                    _settle(record, lose)
        return done

    return settled


def _settle(span: SpanRecord, lose: Callable[[str, str, int, int], None]) -> None:
    if span.input is not None:
        span.input = _with_digests(span.input, lose)
    if span.output is not None:
        span.output = _with_digests(span.output, lose)
    if span.attributes:
        span.attributes = _settled_values(span.attributes, lose)
    if span.events:
        span.events = [(name, when, _settled_values(kept, lose)) for name, when, kept in span.events]


def _settled_values(values: Mapping[str, Any], lose: Callable[[str, str, int, int], None]) -> Mapping[str, Any]:
    changed: dict[str, Any] = {}
    for key, value in values.items():
        kind = cast("type[object]", type(value))
        if kind is str or kind is bytes:
            new = _with_digests(value, lose)
            if new is not value:
                changed[key] = new
    return {**values, **changed} if changed else values


def _with_digests(raw: _T, lose: Callable[[str, str, int, int], None]) -> _T:
    text = raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")
    if _PENDING.encode() not in text:
        return raw
    for token in dict.fromkeys(cast("list[bytes]", _TOKEN.findall(text))):
        digest = _digest(token.decode(), lose)
        if digest is not None:
            text = text.replace(token, digest.encode())
    return cast("_T", text if isinstance(raw, bytes) else text.decode("utf-8", "surrogatepass"))


def _digest(token: str, lose: Callable[[str, str, int, int], None]) -> str | None:
    entry = _waiting.pop(token, None)
    if entry is None:
        return None  # given up, or no token of ours
    content = guarded("reading captured content", None, entry.make)
    if content is None:
        lose("blob", "not_readable", 1, entry.size)
        return None
    digest = hashlib.sha256(content).hexdigest()
    if entry.suffix is not None:
        _ready[digest + entry.suffix] = content
        # Taken by the store with this very batch. Where there is none, or it failed, they must not pile up.
        for name in list(_ready):
            if len(_ready) <= _WAITING_ENTRIES and sum(map(len, list(_ready.values()))) <= _WAITING_BYTES:
                break
            lose("blob", "queue_full", 1, len(_ready.pop(name, b"")))
    return digest


def has_ready() -> bool:
    """Whether there is any content for `take`."""
    return bool(_ready)


def forget() -> None:
    """Give up whatever is on its way."""
    _waiting.clear()
    _ready.clear()


def take(name: str) -> bytes | None:
    """The content of the file of that name, once."""
    return _ready.pop(name, None)
