"""Remove secrets from a recording before it is written: people commit cassettes to version control."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from llmops_sdk.config import current
from llmops_sdk.providers._accumulate import BLOCK_TEXTS
from llmops_sdk.providers._types import REASONING_BLOCKS
from llmops_sdk.providers.cassettes._file import Recording

if TYPE_CHECKING:
    from llmops_sdk.tracing.privacy._text_redactor import CustomRedactor, TextRedactor

__all__ = ["redacted_line"]

# Shorter values, such as "none", occur in any text.
_SHORTEST_SECRET = 8


def redacted_line(recording: Recording, secrets: Iterable[str]) -> bytes:
    """Return a recording as a line of JSON, without a line break.

    It has no well-known secrets, none that the configured patterns and the application's redactors find, and none of
    `secrets`. A stream may cut a secret anywhere, so the texts of its chunks are redacted as a whole.
    """
    redactor = _redactor(secrets)
    if "chunks" in recording:
        recording = {**recording, "chunks": _redacted_chunks(recording["chunks"], redactor)}
    line = json.dumps(recording, ensure_ascii=False, separators=(",", ":"), default=repr)
    return redactor.json(line.encode("utf-8", "surrogatepass"))


def _redactor(secrets: Iterable[str]) -> TextRedactor:
    from llmops_sdk.tracing.privacy._redactors import redaction_label, registered_redactors
    from llmops_sdk.tracing.privacy._text_redactor import TextRedactor

    custom: list[CustomRedactor] = [
        (redaction_label(name), re.compile(pattern)) for name, pattern in current().redaction.patterns.items()
    ]
    given = sorted({text.strip() for text in secrets if len(text.strip()) >= _SHORTEST_SECRET}, key=len, reverse=True)
    if given:
        custom.insert(0, ("credential", re.compile("|".join(map(re.escape, given)))))
    return TextRedactor([*custom, *registered_redactors()])


def _redacted_chunks(chunks: list[tuple[float, dict[str, Any]]], redactor: TextRedactor) -> list[Any]:
    """Return the chunks with their joined texts redacted, cut where the original texts were cut."""
    copies = [(seconds, _copied(chunk)) for seconds, chunk in chunks]
    for places in _joined_texts(chunk for _, chunk in copies):
        pieces = [holder[key] for holder, key in places]
        joined = "".join(pieces)
        redacted = redactor.text(joined)
        if redacted == joined:
            continue
        for number, (holder, key) in enumerate(places):
            length = len(pieces[number]) if number < len(places) - 1 else len(redacted)
            holder[key], redacted = redacted[:length], redacted[length:]
    return copies


def _copied(chunk: dict[str, Any]) -> dict[str, Any]:
    lists = {name: chunk[name] for name in ("tool_calls", *REASONING_BLOCKS) if name in chunk}
    return {**chunk, **{name: [dict(one) for one in entries] for name, entries in lists.items()}}


_Place = tuple[dict[str, Any], str]


def _joined_texts(chunks: Iterable[dict[str, Any]]) -> Iterator[list[_Place]]:
    """Yield the places of each text that goes over several chunks, in order."""
    places: dict[object, list[_Place]] = {}
    for chunk in chunks:
        for key in ("text", "reasoning", "refusal"):
            if isinstance(chunk.get(key), str):
                places.setdefault(key, []).append((chunk, key))
        for call in chunk.get("tool_calls", ()):
            if call.get("arguments"):
                places.setdefault(call.get("index"), []).append((call, "arguments"))
        for name in REASONING_BLOCKS:
            for block in chunk.get(name, ()):
                for key in BLOCK_TEXTS:
                    if isinstance(block.get(key), str):
                        places.setdefault((name, block.get("index"), key), []).append((block, key))
    yield from places.values()
