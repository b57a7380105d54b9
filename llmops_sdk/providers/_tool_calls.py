"""Tell which tool call each piece of a stream belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import orjson

from llmops_sdk.providers._types import ToolCallDelta

__all__ = ["ToolCallJoiner"]


def _no_parts() -> list[str]:
    return []


@dataclass(slots=True)
class _Open:
    """The latest call under one index of the server's."""

    number: int
    id: str | None
    name: str
    arguments: list[str] = field(default_factory=_no_parts)

    def is_complete(self) -> bool:
        """Return whether the arguments so far are a JSON value."""
        try:
            orjson.loads("".join(self.arguments))
        except orjson.JSONDecodeError:
            return False
        return True


class ToolCallJoiner:
    """Numbers the calls of one stream.

    Servers disagree on `index` and `id`: some give every call the index 0, some a new id to each piece, some no id at
    all. The tool's name decides: a piece with a new name begins a call, and a piece without one continues the last call
    of its index. A server may repeat the name in every piece. Then a new call begins only after whole arguments, or
    with another id before any arguments.
    """

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}
        self._count = 0

    def number(self, delta: ToolCallDelta) -> ToolCallDelta:
        """Return the piece with the number of its call as the index, and with id and name only in the first piece."""
        call = self._open.get(delta.index)
        if call is None or self._begins(call, delta):
            call = self._open[delta.index] = _Open(self._count, delta.id, delta.name or "")
            self._count += 1
            first = replace(delta, index=call.number)
        else:
            first = ToolCallDelta(
                index=call.number,
                id=None if call.id else delta.id,
                name=None if call.name else delta.name,
                arguments=delta.arguments,
            )
            call.id, call.name = call.id or delta.id, call.name or delta.name or ""
        if delta.arguments:
            call.arguments.append(delta.arguments)
        return first

    @staticmethod
    def _begins(call: _Open, delta: ToolCallDelta) -> bool:
        if not delta.name or not call.name:
            return False
        if delta.id and delta.id == call.id:
            return False
        if delta.name != call.name:
            return True
        if not call.arguments:
            return bool(delta.id and call.id)
        return call.is_complete()
