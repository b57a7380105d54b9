"""One walk over one value that the fast way does not take: rebuilt from exact builtins, within the bounds.

No code of the application runs: values are told apart by their type alone, builtins are read by the builtin's own
methods whatever a subclass overrides, and fields past every property. The one exception is what the application
registered for it, its encoders.
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
from llmops_sdk.tracing.capture._encoders import NOT_ENCODED, encoded, is_busy
from llmops_sdk.tracing.capture._media import Media, embedded, suffix_of
from llmops_sdk.tracing.capture._writer_types import Branch
from llmops_sdk.tracing.capture._writers import Plan, plan_of
from llmops_sdk.tracing.records._losses import record_loss

__all__ = ["ValueWalk"]

_INT_LIMIT = 1 << 63
_MARKER = 24  # bytes, about
_MAX_DEPTH = 100  # a level takes a few frames of the stack, and orjson writes 254 at most


class ValueWalk:
    """A walk with what is left of its room.

    Args:
        bounds: How much is kept.

    Attributes:
        bounds: As given.
        cut: How much was left out: characters of texts, one for each item.
        room: Bytes of JSON left.
    """

    __slots__ = ("_open", "bounds", "cut", "room")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.room = bounds.max_bytes
        self.cut = 0
        self._open: set[int] = set()

    def whole(self, value: object) -> object:
        """`value` rebuilt from exact builtins that orjson writes as strict JSON."""
        return self.plain(value, min(self.bounds.max_depth, _MAX_DEPTH))

    def plain(self, value: Any, depth: int) -> object:
        """The same, with so many levels left."""
        if value is None or value is True or value is False:
            self.room -= 5
            return value
        # By the type alone: isinstance() asks the value for its __class__, which may be the application's code.
        cls = class_of(value)
        if cls is str:
            return self.text(value)
        if cls is int:
            return self.integer(value)
        if cls is float:
            return self.real(value)
        # What is left may be a view of memory that is gone, or the code of a library: it may raise for this value, and
        # the others are kept.
        with Caught() as wrong:
            return self._other(value, cls, depth)
        self._open.discard(id(cast("object", value)))
        return self.marker({"$unreadable": type_name(cls), "error": type(wrong.error).__name__})

    def _other(self, value: Any, cls: type[Any], depth: int) -> object:
        plan = plan_of(cls)
        if plan.encoders and not is_busy():
            return self.branch(value, depth, lambda _, it, left: self._by_encoder(it, plan, left))
        if plan.branch is not None:
            return self.branch(value, depth, plan.branch)
        return self._leaf(plan, value)

    def _by_encoder(self, value: object, plan: Plan, depth: int) -> object:
        for encoder in plan.encoders:
            kept = encoded(encoder, value)
            if kept is not NOT_ENCODED:
                # A level less, for an encoder may return a value of its own class for ever.
                return self.plain(kept, depth - 1)
        if plan.branch is not None:
            return plan.branch(self, value, depth)
        return self._leaf(plan, value)

    def _leaf(self, plan: Plan, value: object) -> object:
        assert plan.leaf is not None  # a plan has one of the two
        return plan.leaf(self, value)

    def branch(self, value: object, depth: int, how: Branch) -> object:
        """What may hold other values, within the depth, and once on the way down."""
        here = id(value)
        if here in self._open:
            return self.marker({"$cycle": type_name(class_of(value)).rpartition(".")[2]})
        if depth <= 0 or self.room <= 0:
            self.cut += 1
            return self.marker({"$truncated": type_name(class_of(value)).rpartition(".")[2]})
        self._open.add(here)
        kept = how(self, value, depth)
        self._open.discard(here)
        return kept

    def marker(self, said: dict[str, object]) -> dict[str, object]:
        """What stands in place of a value, taken off the room."""
        self.room -= _MARKER
        return said

    # --- texts and numbers ------------------------------------------------------------------------------------

    def text(self, value: str) -> object:
        """A string within the room left, free of lone surrogates; a long one that is an image as that."""
        length = str.__len__(value)
        if length > self.bounds.max_bytes >> 2:
            whole = value if type(value) is str else str.__getitem__(value, slice(None))
            found = embedded(whole)
            if found is not None:
                return self.media(found.media, found.size, lambda: found.content(whole), whole)
        keep = max(self.room, 0)
        clean = _clean(str.__getitem__(value, slice(0, keep)) if length > keep else value)
        size = len(orjson.dumps(clean)) - 2
        if size > keep:
            # Escapes and characters of several bytes: in proportion, and exactly where they all stand at one end.
            keep = keep * len(clean) // size
            clean = clean[:keep]
            size = len(orjson.dumps(clean)) - 2
        self.room -= size + 2
        left = length - min(keep, length)
        if not left:
            return clean
        self.cut += left
        self.room -= _MARKER
        return f"{clean}…[+{left} characters]"

    def integer(self, value: int) -> object:
        """An int of any size and class; beyond 64 bits as text."""
        number = int.__int__(value)
        if -_INT_LIMIT <= number < _INT_LIMIT:
            self.room -= 8 if -100_000 < number < 1_000_000 else 21
            return number
        # Converting a huge int to decimal is quadratic and refused beyond 4,300 digits.
        bits = number.bit_length()
        return self.text(str(number) if bits < 4_096 else f"int of {bits} bits")

    def real(self, value: float) -> object:
        """A float of any class; what JSON has no number for as text."""
        self.room -= 12
        real = float.__float__(value)
        return real if math.isfinite(real) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(real, "NaN")

    # --- containers -------------------------------------------------------------------------------------------

    def items(self, values: Iterable[object], length: int, depth: int) -> list[object]:
        """The items within the bounds, and how many more there are.

        Args:
            values: Read at once and only as far as they are kept: iterating must run nothing of the application's.
            length: How many there are.
            depth: Levels left, this one included.
        """
        kept: list[object] = []
        for item in list(islice(values, self.bounds.max_items)):
            if self.room <= 0:
                break
            self.room -= 1
            kept.append(self.plain(item, depth - 1))
        if length > len(kept):
            self.cut += length - len(kept)
            kept.append(self.marker({"$truncated": length - len(kept)}))
        return kept

    def mapping(self, pairs: Iterable[tuple[object, object]], length: int, depth: int) -> dict[str, object]:
        """The entries within the bounds; a key that is not text gets a text of its own.

        Args:
            pairs: As `items` takes values.
            length: How many there are.
            depth: Levels left, this one included.
        """
        kept: dict[str, object] = {}
        doubled: dict[str, int] = {}
        for key, item in list(islice(pairs, self.bounds.max_items)):
            if self.room <= 0:
                break
            name = self.plain(key, 1)
            text = name if isinstance(name, str) else orjson.dumps(name).decode()
            while text in kept:
                # As 1 and "1" do.
                doubled[text] = doubled.get(text, 1) + 1
                text = f"{text}#{doubled[text]}"
            self.room -= 2
            kept[text] = self.plain(item, depth - 1)
        if length > len(kept):
            self.cut += length - len(kept)
            name = "$truncated"
            while name in kept:
                name = f"${name}"
            kept.update(self.marker({name: length - len(kept)}))
        return kept

    # --- bytes ------------------------------------------------------------------------------------------------

    def media(self, media: Media, size: int, make: Callable[[], bytes], held: bytes | str) -> dict[str, object]:
        """An image or the like: what it is, and a reference to its file beside the store.

        Args:
            media: What it is.
            size: Bytes of the content.
            make: Gives the content, later and in another thread.
            held: What stays in memory until then.
        """
        said: dict[str, object] = {"$media": media.type, "bytes": size}
        if media.width is not None:
            said.update(width=media.width, height=media.height)
        if size <= self.bounds.max_blob_bytes:
            said.update(_blobs.defer(make, held, suffix_of(media.type)) or {})
        elif self.bounds.max_blob_bytes:
            record_loss("blob", "too_large", 1, size)
        self.room -= len(orjson.dumps(said))
        return said


def _clean(value: str) -> str:
    return value if type(value) is str and value.isascii() else str.encode(value, "utf-8", "replace").decode()
