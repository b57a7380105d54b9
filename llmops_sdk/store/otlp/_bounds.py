"""Count what a request holds before it is decoded, so that a small body cannot cost seconds and gigabytes.

An empty event takes two bytes in protobuf, and several hundred once it is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

__all__ = ["OversizedRequestError", "check_json", "check_protobuf"]

_Schema: TypeAlias = Mapping[int, "_Schema | None"]

# A string of JSON. Possessive, and an open string ends with the text, so that the search takes linear time.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_SMALL_PARTS = 8
"""Numbers, texts and empty fields that a request may have for each element. They are cheaper."""

_VALUE: dict[int, _Schema | None] = {}
_ARRAY: dict[int, _Schema | None] = {1: _VALUE}
_PAIR: dict[int, _Schema | None] = {2: _VALUE}
_PAIRS: dict[int, _Schema | None] = {1: _PAIR}
_VALUE.update({5: _ARRAY, 6: _PAIRS})
_RESOURCE: _Schema = {1: _PAIR, 3: None}
_SCOPE: _Schema = {3: _PAIR}
_SPAN: _Schema = {9: _PAIR, 11: {3: _PAIR}, 13: {4: _PAIR}, 15: None}
_LOG: _Schema = {5: _VALUE, 6: _PAIR}


def _request(item: _Schema) -> _Schema:
    return {1: {1: _RESOURCE, 2: {1: _SCOPE, 2: item}}}


_REQUESTS: Mapping[str, _Schema] = {"traces": _request(_SPAN), "logs": _request(_LOG)}
_VARINT, _FIXED64, _MESSAGE, _FIXED32 = 0, 1, 2, 5
# Every byte that can begin the tag of a message above, also in a longer spelling of the same number.
_TAGS = bytes(
    tag | high for high in (0, 128) for tag in {number << 3 | _MESSAGE for number in (1, 2, 3, 4, 5, 6, 9, 11, 13, 15)}
)


class OversizedRequestError(ValueError):
    """A request has too many elements, or would take too much space once it is stored."""


def _too_many(limit: int) -> OversizedRequestError:
    return OversizedRequestError(
        f"a request of this size may have {limit:,} elements (spans, attributes, events, links, values): "
        "send smaller batches"
    )


def check_json(body: bytes, limit: int) -> None:
    """Count the objects, lists and values of a JSON text.

    Raises:
        OversizedRequestError: There are more than `limit`.
    """
    if _exceeds(body, limit) and _exceeds(_STRING.sub(b"", body), limit):
        raise _too_many(limit)


def _exceeds(text: bytes, limit: int) -> bool:
    return text.count(b"{") + text.count(b"[") > limit or text.count(b",") > limit * _SMALL_PARTS


def check_protobuf(body: bytes, signal: str, limit: int) -> None:
    """Count the messages and fields of a protobuf body.

    A body that is not valid passes as far as it is read: the parser refuses it.

    Args:
        body: The body.
        signal: "traces" or "logs".
        limit: The number of messages.

    Raises:
        OversizedRequestError: There are more than `limit` messages, or eight times as many fields.
    """
    # Deleting bytes is a hundred times as fast as reading fields, and few bodies need more.
    has_few_tags = len(body) - len(body.translate(None, _TAGS)) <= limit
    if has_few_tags and len(body) <= 2 * limit * _SMALL_PARTS:
        return
    if not _fits(body, _REQUESTS[signal], limit):
        raise _too_many(limit)


def _fits(body: bytes, schema: _Schema | None, messages: int) -> bool:
    fields = messages * _SMALL_PARTS
    position, end = 0, len(body)
    outer: list[tuple[int, _Schema | None]] = []
    while True:
        while position >= end:
            if not outer:
                return True
            end, schema = outer.pop()
        fields -= 1
        tag, position = _varint(body, position)
        wire = tag & 7
        if wire == _MESSAGE:
            size, position = _varint(body, position)
            number = tag >> 3
            if schema is not None and number in schema:
                messages -= 1
                outer.append((end, schema))
                end, schema = min(position + size, end), schema[number]
            else:
                position += size
        elif wire == _VARINT:
            _, position = _varint(body, position)
        elif wire in (_FIXED64, _FIXED32):
            position += 8 if wire == _FIXED64 else 4
        elif not outer:
            return True  # a group, or not protobuf: the parser decides
        else:
            position = end
        if messages < 0 or fields < 0:
            return False


def _varint(body: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    for byte in body[position : position + 10]:
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position
        shift += 7
    return number, len(body)
