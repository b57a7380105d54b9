"""Rebuild a value from exact builtins, within the bounds, when the fast way of `_encode` does not apply.

The walk runs no code of the application: it tells values apart by type alone, reads builtins by the builtin's own
methods, and reads fields past all properties. The only exception are the encoders that the application registered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, cast

import orjson

from llmops_sdk._util._guard import Caught
from llmops_sdk._util._static_reads import class_of, type_name
from llmops_sdk.tracing.capture import _blobs
from llmops_sdk.tracing.capture._bounds import Bounds
from llmops_sdk.tracing.capture._encoders import NOT_ENCODED, is_encoding, run_encoder
from llmops_sdk.tracing.capture._media import Media, embedded_media, suffix_of
from llmops_sdk.tracing.capture._writer_types import Branch
from llmops_sdk.tracing.capture._writers import Writer, writer_of
from llmops_sdk.tracing.records._losses import record_loss

__all__ = ["ValueWalk"]

_INT_LIMIT = 1 << 63
_MARKER_BYTES = 24  # about
_MAX_DEPTH = 100  # a level takes a few stack frames, and orjson writes 254 levels at most


class ValueWalk:
    """A walk over one value, with the room that is left.

    Args:
        bounds: How much to capture.

    Attributes:
        bounds: As given.
        omitted: How much the walk left out: the characters of texts, and one for each item.
        room: The bytes of JSON that are left.
    """

    __slots__ = ("_open", "bounds", "omitted", "room")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.room = bounds.max_bytes
        self.omitted = 0
        self._open: set[int] = set()

    def rebuild_all(self, value: object) -> object:
        """Rebuild the whole value from exact builtins that orjson writes as strict JSON."""
        return self.rebuild(value, min(self.bounds.max_depth, _MAX_DEPTH))

    def rebuild(self, value: Any, depth: int) -> object:
        """Rebuild a value, at most `depth` levels deep."""
        if value is None or value is True or value is False:
            self.room -= 5
            return value
        # By the type alone: isinstance() reads the value's __class__, which may be the application's code.
        cls = class_of(value)
        if cls is str:
            return self.text(value)
        if cls is int:
            return self.integer(value)
        if cls is float:
            return self.real(value)
        # A view of freed memory or a library's code may raise for this value; capture the others.
        with Caught() as caught:
            return self._rebuild_other(value, cls, depth)
        self._open.discard(id(cast("object", value)))
        return self.marker({"$unreadable": type_name(cls), "error": type(caught.error).__name__})

    def _rebuild_other(self, value: Any, cls: type[Any], depth: int) -> object:
        writer = writer_of(cls)
        if writer.encoders and not is_encoding():
            return self.branch(value, depth, lambda _, it, left: self._rebuild_encoded(it, writer, left))
        if writer.branch is not None:
            return self.branch(value, depth, writer.branch)
        assert writer.leaf is not None  # a writer has one of the two
        return writer.leaf(self, value)

    def _rebuild_encoded(self, value: object, writer: Writer, depth: int) -> object:
        for encoder in writer.encoders:
            encoded = run_encoder(encoder, value)
            if encoded is not NOT_ENCODED:
                # One level less, because an encoder may return a value of its own class without end.
                return self.rebuild(encoded, depth - 1)
        if writer.branch is not None:
            return writer.branch(self, value, depth)
        assert writer.leaf is not None
        return writer.leaf(self, value)

    def branch(self, value: object, depth: int, write: Branch) -> object:
        """Write a value that may hold others, unless it is too deep or its own ancestor."""
        key = id(value)
        if key in self._open:
            return self.marker({"$cycle": type_name(class_of(value)).rpartition(".")[2]})
        if depth <= 0 or self.room <= 0:
            self.omitted += 1
            return self.marker({"$truncated": type_name(class_of(value)).rpartition(".")[2]})
        self._open.add(key)
        written = write(self, value, depth)
        self._open.discard(key)
        return written

    def marker(self, marker: dict[str, object]) -> dict[str, object]:
        """Return what replaces a value, and take its size off the room."""
        self.room -= _MARKER_BYTES
        return marker

    def type_marker(self, value: object, **more: object) -> dict[str, object]:
        """Return a marker with the value's type."""
        return self.marker({"$type": type_name(class_of(value)), **more})

    # --- texts and numbers ------------------------------------------------------------------------------------

    def text(self, value: str) -> object:
        """Return the string within the room, without lone surrogates; a long one that is an image as media."""
        length = str.__len__(value)
        if length > self.bounds.max_bytes >> 2:
            whole = value if type(value) is str else str.__getitem__(value, slice(None))
            found = embedded_media(whole)
            if found is not None:
                return self.media(found.media, found.size, lambda: found.content(whole), whole)
        limit = max(self.room, 0)
        clean = _without_surrogates(str.__getitem__(value, slice(0, limit)) if length > limit else value)
        size = len(orjson.dumps(clean)) - 2
        if size > limit:
            # Escapes and wide characters: cut in proportion, then measure, in case they are all at one end.
            limit = limit * len(clean) // size
            clean = clean[:limit]
            size = len(orjson.dumps(clean)) - 2
        self.room -= size + 2
        cut = length - min(limit, length)
        if not cut:
            return clean
        self.omitted += cut
        self.room -= _MARKER_BYTES
        return f"{clean}…[+{cut} characters]"

    def integer(self, value: int) -> object:
        """Return an int of any size and class; beyond 64 bits as text."""
        number = int.__int__(value)
        if -_INT_LIMIT <= number < _INT_LIMIT:
            self.room -= 8 if -100_000 < number < 1_000_000 else 21
            return number
        # Python converts a huge int to decimal in quadratic time, and refuses beyond 4,300 digits.
        bits = number.bit_length()
        return self.text(str(number) if bits < 4_096 else f"int of {bits} bits")

    def real(self, value: float) -> object:
        """Return a float of any class; NaN and the infinities as text."""
        self.room -= 12
        real = float.__float__(value)
        return real if math.isfinite(real) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(real, "NaN")

    # --- containers -------------------------------------------------------------------------------------------

    def items(self, values: Iterable[object], length: int, depth: int) -> list[object]:
        """Return the items within the bounds, then a marker with the number of items left out.

        Args:
            values: Read at once, and only as far as needed. Its iteration must not run code of the application.
            length: The number of items.
            depth: The levels left, including this one.
        """
        written: list[object] = []
        for item in list(islice(values, self.bounds.max_items)):
            if self.room <= 0:
                break
            self.room -= 1
            written.append(self.rebuild(item, depth - 1))
        if length > len(written):
            self.omitted += length - len(written)
            written.append(self.marker({"$truncated": length - len(written)}))
        return written

    def mapping(self, pairs: Iterable[tuple[object, object]], length: int, depth: int) -> dict[str, object]:
        """Return the entries within the bounds; a key that is not text gets a unique text.

        Args:
            pairs: Read as `items` reads its values.
            length: The number of entries.
            depth: The levels left, including this one.
        """
        written: dict[str, object] = {}
        doubled: dict[str, int] = {}
        for key, item in list(islice(pairs, self.bounds.max_items)):
            if self.room <= 0:
                break
            name = self.rebuild(key, 1)
            text = name if isinstance(name, str) else orjson.dumps(name).decode()
            while text in written:
                # Two keys may have one text, such as 1 and "1".
                doubled[text] = doubled.get(text, 1) + 1
                text = f"{text}#{doubled[text]}"
            self.room -= 2
            written[text] = self.rebuild(item, depth - 1)
        if length > len(written):
            self.omitted += length - len(written)
            name = "$truncated"
            while name in written:
                name = f"${name}"
            written.update(self.marker({name: length - len(written)}))
        return written

    # --- media ------------------------------------------------------------------------------------------------

    def media(self, media: Media, size: int, load: Callable[[], bytes], source: bytes | str) -> dict[str, object]:
        """Return a description of an image or other media, with a reference to its file beside the store.

        Args:
            media: Its type and size in pixels.
            size: The bytes of the content.
            load: Returns the content; called later, in another thread.
            source: The object that `load` keeps in memory until then.
        """
        description = media.describe(size)
        if size <= self.bounds.max_blob_bytes:
            description.update(_blobs.defer(load, source, suffix_of(media.type)) or {})
        elif self.bounds.max_blob_bytes:
            record_loss("blob", "too_large", 1, size)
        self.room -= len(orjson.dumps(description))
        return description


def _without_surrogates(value: str) -> str:
    return value if type(value) is str and value.isascii() else str.encode(value, "utf-8", "replace").decode()
