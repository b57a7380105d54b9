"""Pass images and other large content from the capture to files beside the store.

The traced call only takes a reference: it does not decode, hash or write. Its JSON has a token in place of the digest.
On the pipeline's thread `with_digests_stage` replaces the token by the SHA-256 of the content. The store writes the
content to a file of that name when it writes a span that refers to it, so content that redaction removed never gets
written.
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
from llmops_sdk.tracing.records._records import Json, ScoreRecord, SpanRecord

__all__ = [
    "FOLDER",
    "REFERENCE",
    "defer",
    "discard_all",
    "enable_files",
    "has_ready",
    "max_blob_bytes",
    "take",
    "with_digests_stage",
]

FOLDER = "blobs"
"""The folder inside the store's."""
REFERENCE = re.compile(rb"blobs/([0-9a-f]{64}\.[a-z0-9]{1,5})")
"""How a span's JSON refers to a file in that folder."""

_MAX_BYTES = 64 * 1024 * 1024
_MAX_ENTRIES = 1_024
_EXPIRE_SECONDS = 600.0  # after so long, content of a span that is still open makes room for others
_MARK = "pending-"
_TOKEN = re.compile(_MARK.encode() + b"[0-9a-f]{32}")


class _Pending(NamedTuple):
    load: Callable[[], bytes]
    source: object
    size: int
    suffix: str | None
    deferred_at: float


# Single C operations change both, without a lock: a fork could leave a lock taken.
_pending: dict[str, _Pending] = {}  # by token; filled by the application's threads
_ready: dict[str, bytes] = {}  # by file name; filled by the pipeline's thread

_T = TypeVar("_T", str, bytes, Json)
_Stage: TypeAlias = Callable[[list[SpanRecord | ScoreRecord]], list[SpanRecord | ScoreRecord]]

_files_enabled: bool | None = None
_max_blob_bytes = 8 * 1024 * 1024


def enable_files(enabled: bool | None, max_blob_bytes: int = 8 * 1024 * 1024) -> None:
    """Set whether a store takes the content: True for files, False for digests alone, None while tracing is off.

    Args:
        enabled: Whether it does.
        max_blob_bytes: The largest content of messages that gets a file.
    """
    global _files_enabled, _max_blob_bytes
    _files_enabled, _max_blob_bytes = enabled, max_blob_bytes


def max_blob_bytes() -> int:
    """Return the largest content of messages that gets a file."""
    return _max_blob_bytes


def defer(load: Callable[[], bytes], source: bytes | str, suffix: str | None = None) -> dict[str, str] | None:
    """Hash content later, and store it in a file; return the fields that refer to it.

    Args:
        load: Returns the content; called once, on the pipeline's thread.
        source: The object that `load` keeps in memory; several spans with the same object need its room once.
        suffix: The suffix of the file, as in ".png"; None for the digest alone.

    Returns:
        `sha256` and, if there will be a file, `path`; None if tracing is off or the memory limit is reached.
    """
    if _files_enabled is None:
        return None
    if not _has_room_for(source):
        record_loss("blob", "queue_full", 1, len(source))
        return None
    token = _MARK + os.urandom(16).hex()
    stored = suffix if _files_enabled else None
    _pending[token] = _Pending(load, source, len(source), stored, time.monotonic())
    return {"sha256": token} if stored is None else {"sha256": token, "path": f"{FOLDER}/{token}{stored}"}


def _has_room_for(source: bytes | str) -> bool:
    if _fits(source):
        return True
    # The pipeline never resolves the content of spans that were dropped or emptied by redaction.
    oldest = time.monotonic() - _EXPIRE_SECONDS
    for token in [token for token, entry in list(_pending.items()) if entry.deferred_at < oldest]:
        expired = _pending.pop(token, None)
        if expired is not None:
            record_loss("blob", "queue_full", 1, expired.size)
    return _fits(source)


def _fits(source: bytes | str) -> bool:
    entries = list(_pending.values())
    sizes = {id(entry.source): entry.size for entry in entries}
    sizes[id(source)] = len(source)
    return len(entries) < _MAX_ENTRIES and sum(sizes.values()) <= _MAX_BYTES


# --- on the pipeline's thread -------------------------------------------------------------------------------------


def with_digests_stage(stage: _Stage | None, on_loss: Callable[[str, str, int, int], None]) -> _Stage:
    """Return a pipeline stage that runs `stage`, then replaces tokens by digests.

    Args:
        stage: The redaction stage, or None.
        on_loss: Called like `record_loss` for content that is lost.
    """

    def resolve(records: list[SpanRecord | ScoreRecord]) -> list[SpanRecord | ScoreRecord]:
        done = records if stage is None else stage(records)
        if _pending:
            for record in done:
                if not isinstance(record, ScoreRecord):
                    _resolve_span(record, on_loss)
        return done

    return resolve


def _resolve_span(span: SpanRecord, on_loss: Callable[[str, str, int, int], None]) -> None:
    if span.input is not None:
        span.input = _resolve_digests(span.input, on_loss)
    if span.output is not None:
        span.output = _resolve_digests(span.output, on_loss)
    if span.attributes:
        span.attributes = _resolve_attributes(span.attributes, on_loss)
    if span.events:
        span.events = [(name, when, _resolve_attributes(values, on_loss)) for name, when, values in span.events]


def _resolve_attributes(values: Mapping[str, Any], on_loss: Callable[[str, str, int, int], None]) -> Mapping[str, Any]:
    changed: dict[str, Any] = {}
    for key, value in values.items():
        cls = cast("type[object]", type(value))
        if cls is str or cls is Json:
            new = _resolve_digests(value, on_loss)
            if new is not value:
                changed[key] = new
    return {**values, **changed} if changed else values


def _resolve_digests(raw: _T, on_loss: Callable[[str, str, int, int], None]) -> _T:
    text = raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")
    if _MARK.encode() not in text:
        return raw
    for token in dict.fromkeys(cast("list[bytes]", _TOKEN.findall(text))):
        digest = _digest(token.decode(), on_loss)
        if digest is not None:
            text = text.replace(token, digest.encode())
    return cast("_T", type(raw)(text) if isinstance(raw, bytes) else text.decode("utf-8", "surrogatepass"))


def _digest(token: str, on_loss: Callable[[str, str, int, int], None]) -> str | None:
    entry = _pending.pop(token, None)
    if entry is None:
        return None  # expired, or not our token
    content = guarded("reading captured content", None, entry.load)
    if content is None:
        on_loss("blob", "not_readable", 1, entry.size)
        return None
    digest = hashlib.sha256(content).hexdigest()
    if entry.suffix is not None:
        _ready[digest + entry.suffix] = content
        # The store takes them with this batch. Without a store, or after it failed, they must not pile up.
        for name in list(_ready):
            if len(_ready) <= _MAX_ENTRIES and sum(map(len, list(_ready.values()))) <= _MAX_BYTES:
                break
            on_loss("blob", "queue_full", 1, len(_ready.pop(name, b"")))
    return digest


def has_ready() -> bool:
    """Tell whether `take` has any content."""
    return bool(_ready)


def discard_all() -> None:
    """Discard all content that is not in a file yet."""
    _pending.clear()
    _ready.clear()


def take(name: str) -> bytes | None:
    """Return the content of the named file, and forget it."""
    return _ready.pop(name, None)
