"""Take the items of a stream through the guards, and release them as soon as their texts are checked."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from llmops_sdk.guardrails._reasoning import has_blocks, take_blocks, without_blocks
from llmops_sdk.guardrails._texts import put, put_calls, take, take_calls
from llmops_sdk.guardrails._window import Checks, TextWindow, check_all
from llmops_sdk.guardrails.running._in_order import guard_of
from llmops_sdk.guardrails.running._order import neighbours, reads_whole
from llmops_sdk.guardrails.running._runner import GuardRun
from llmops_sdk.providers import Accumulator, Chunk, chunks_of
from llmops_sdk.providers._types import REASONING_BLOCKS

__all__ = ["ChunkWindow", "ItemWindow"]

_TEXTS = ("reasoning", "text", "refusal")
_NO_SOURCE: dict[str, Any] = {"model": None, "provider": None, "response_id": None, "simulated": False}


class ChunkWindow:
    """The chunks of one answer that wait for their guards.

    Chunks keep their cuts and their order. Once a tool call begins, everything waits for the end, because a guard
    checks the whole JSON of its arguments. Blocks of reasoning come at the end, because a change of the reasoning
    removes all of them.

    Args:
        runs: The runs of the guards.
        call_runs: The runs of further guards on the arguments of tool calls.
    """

    def __init__(self, runs: Sequence[GuardRun], call_runs: Sequence[GuardRun] = ()) -> None:
        self._all_runs = runs
        # A guard of the answer that reads whole texts reads its text only.
        self._runs = [run for run in runs if not reads_whole(run.guard)]
        self._call_runs = call_runs
        self._released = False
        self._start()

    def _start(self) -> None:
        self._windows = {name: TextWindow(self._all_runs if name == "text" else self._runs) for name in _TEXTS}
        self._is_empty = True
        self._held: deque[Chunk] = deque()
        self._calls = Accumulator()
        self._has_calls = False
        self._redacted = False
        self._reasoning = Accumulator()
        self._has_blocks = False
        self._reasoning_changed = False

    @property
    def failed(self) -> bool:
        """Return whether a guard failed at a text, which passed."""
        return any(run.failed for run in (*self._all_runs, *self._call_runs))

    def add(self, chunk: Chunk) -> Checks[list[Chunk]]:
        """Add a chunk, and return the chunks that can be released."""
        if chunk.restarted:
            self._start()  # another model starts over
            if not self._released:
                chunk = replace(chunk, restarted=False)  # nobody has seen the chunks of the model before
        chunk = self._keep_blocks(chunk)
        self._held.append(chunk)
        if chunk.tool_calls:
            self._has_calls = True
            self._calls.add(Chunk(tool_calls=chunk.tool_calls))
        self._is_empty = self._is_empty and not (chunk.text or chunk.tool_calls or chunk.refusal)
        for name, window in self._windows.items():
            yield from window.add(getattr(chunk, name))
        return [] if self._has_calls else self._release()

    def finish(self) -> Checks[list[Chunk]]:
        """Check what still waits, and return the last chunks."""
        for window in self._windows.values():
            yield from window.finish()
        mended = yield from self._checked_empty()
        calls = yield from self._checked_calls()
        blocks = yield from self._checked_blocks()
        released = self._release()
        rest: dict[str, Any] = {name: window.take(0)[0] for name, window in self._windows.items()}
        rest["text"] += mended
        if any(rest.values()):
            released.insert(0, Chunk(**rest))
        released = released if calls is None else _with_calls(released, calls)
        if blocks and not self._reasoning_changed and not rest["reasoning"]:
            released = [replace(released[0] if released else Chunk(), **blocks), *released[1:]]
        return released

    def _checked_empty(self) -> Checks[str]:
        """Return what guards that read whole texts make of an empty answer, which has no text to wait for."""
        if not self._is_empty:
            return ""
        (text,) = yield from check_all([""], [run for run in self._all_runs if reads_whole(run.guard)])
        return text

    def _keep_blocks(self, chunk: Chunk) -> Chunk:
        """Keep the blocks of reasoning for the end, and return the chunk without them."""
        if not chunk.reasoning and not has_blocks(chunk):
            return chunk
        blocks = {name: getattr(chunk, name) for name in REASONING_BLOCKS}
        self._reasoning.add(Chunk(reasoning=chunk.reasoning, **blocks))
        if not has_blocks(chunk):
            return chunk
        self._has_blocks = True
        # The vendor's own chunk has the text of the blocks, which may not be checked yet.
        raw = chunk.raw if not any(take_blocks(chunk)) else None
        return replace(chunk, raw=raw, **without_blocks())

    def _checked_blocks(self) -> Checks[dict[str, Any]]:
        """Return the blocks of reasoning by field; nothing if a guard changed a text of theirs."""
        if not self._has_blocks:
            return {}
        whole = self._reasoning.response()
        texts = list(take_blocks(whole))
        if (yield from check_all(texts, self._runs)) != texts:
            self._redacted = True
            return {}
        return {name: getattr(whole, name) for name in REASONING_BLOCKS}

    def _release(self) -> list[Chunk]:
        released: list[Chunk] = []
        while self._held and self._is_settled(self._held[0]):
            chunk = self._passed(self._held.popleft())
            if chunk is not None:
                released.append(chunk)
        self._released = self._released or bool(released)
        return released

    def _is_settled(self, chunk: Chunk) -> bool:
        return all(len(getattr(chunk, name)) <= window.settled for name, window in self._windows.items())

    def _passed(self, chunk: Chunk) -> Chunk | None:
        """Return a chunk as the guards left it, or None if they left nothing of it."""
        new: dict[str, Any] = {}
        for name, window in self._windows.items():
            text, changed = window.take(len(getattr(chunk, name)))
            self._redacted = self._redacted or changed
            self._reasoning_changed = self._reasoning_changed or (changed and name == "reasoning")
            if text != getattr(chunk, name):
                new[name] = text
        if not self._redacted:
            return chunk
        # The vendor's own chunk has what was redacted.
        passed = replace(chunk, raw=None, **new)
        return None if new and replace(passed, **_NO_SOURCE) == Chunk() else passed

    def _checked_calls(self) -> Checks[list[Chunk] | None]:
        """Return new chunks of the tool calls, or None if the guards changed none."""
        calls = self._calls.response().tool_calls if self._has_calls else ()
        new = calls
        for runs, whole in self._runs_on_calls():
            checked = yield from check_all(list(take_calls(new, whole=whole)), runs)
            new = put_calls(new, iter(checked), whole=whole)
        if new == calls:
            return None
        self._redacted = True
        return [chunk for chunk in chunks_of(replace(self._calls.response(), tool_calls=new)) if chunk.tool_calls]

    def _runs_on_calls(self) -> Iterator[tuple[Sequence[GuardRun], bool]]:
        yield self._runs, False
        for group in neighbours(self._call_runs, guard_of):
            yield group, reads_whole(group[0].guard)


def _with_calls(chunks: Sequence[Chunk], calls: Sequence[Chunk]) -> list[Chunk]:
    """Return the chunks with other tool calls, where the first call began."""
    place = next((number for number, chunk in enumerate(chunks) if chunk.tool_calls), len(chunks))
    plain = [replace(chunk, tool_calls=(), raw=None) for chunk in chunks]
    return [*plain[:place], *calls, *plain[place:]]


class ItemWindow:
    """The items of a generator that wait for their guards: strings as one text, other items each on its own.

    Args:
        runs: The runs of the guards.
    """

    def __init__(self, runs: Sequence[GuardRun]) -> None:
        self._runs = runs
        self._window = TextWindow(runs)
        self._held: deque[Any] = deque()

    def add(self, item: Any) -> Checks[list[Any]]:
        """Add an item, and return the items that can be released."""
        if type(item) is str:
            self._held.append(item)
            yield from self._window.add(item)
        else:
            self._held.append((yield from self.value(item)))
        return self._release()

    def finish(self) -> Checks[list[Any]]:
        """Check what still waits, and return the last items."""
        yield from self._window.finish()
        released = self._release()
        rest, _ = self._window.take(0)
        return [rest, *released] if rest else released

    def value(self, value: Any) -> Checks[Any]:
        """Return a value as the guards leave it."""
        for group in neighbours(self._runs, guard_of):
            whole = reads_whole(group[0].guard)
            value = put(value, iter((yield from check_all(list(take(value, whole=whole)), group))), whole=whole)
        return value

    def _release(self) -> list[Any]:
        released: list[Any] = []
        while self._held and (type(self._held[0]) is not str or len(self._held[0]) <= self._window.settled):
            item = self._held.popleft()
            if type(item) is str:
                text, _ = self._window.take(len(item))
                if item and not text:
                    continue  # an earlier item has the replacement of its text
                item = item if item == text else text
            released.append(item)
        return released
