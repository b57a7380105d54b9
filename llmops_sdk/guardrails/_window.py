"""Check a text that comes in pieces, and release each piece as soon as no later text can change its verdict."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from llmops_sdk.guardrails._texts import put_text, take_text
from llmops_sdk.guardrails.running._in_order import Batch, acheck_together, check_together, guard_of
from llmops_sdk.guardrails.running._order import neighbours, reads_whole
from llmops_sdk.guardrails.running._runner import GuardRun

__all__ = ["Checks", "TextWindow", "arun_checks", "check_all", "run_checks"]

_T = TypeVar("_T")

_DECODER = json.JSONDecoder()

Checks: TypeAlias = Generator[Batch, str, _T]
"""Steps that yield texts to check, and return a result.

A step of one text takes the text that its guard leaves. The guards of a step of several keep their texts.
"""


def run_checks(steps: Checks[_T]) -> _T:
    """Run the steps, and return their result.

    Raises:
        GuardrailViolation: A guard blocked a text.
    """
    try:
        batch = next(steps)
        while True:
            if len(batch) == 1:
                run, text = batch[0]
                batch = steps.send(run.check(text))
            else:
                check_together(batch)
                batch = steps.send("")
    except StopIteration as end:
        return end.value


async def arun_checks(steps: Checks[_T]) -> _T:
    """Run the steps, async, and return their result."""
    try:
        batch = next(steps)
        while True:
            if len(batch) == 1:
                run, text = batch[0]
                batch = steps.send(await run.acheck(text))
            else:
                await acheck_together(batch)
                batch = steps.send("")
    except StopIteration as end:
        return end.value


def check_all(texts: Sequence[str], runs: Sequence[GuardRun]) -> Checks[list[str]]:
    """Check texts; each guard sees what the one before left, and those that keep the text may change places."""
    checked = list(texts)
    for group in neighbours(runs, guard_of):
        if len(group) > 1:
            yield [(run, text) for run in group for text in checked]
            continue
        for place, text in enumerate(checked):
            checked[place] = yield [(group[0], text)]
    return checked


@dataclass(slots=True)
class _Segment:
    """A checked text and the number of characters of the original that it stands for."""

    length: int
    text: str
    changed: bool = False


class _Stage:
    """The texts that wait for one guard."""

    def __init__(self, run: GuardRun) -> None:
        self.run = run
        self._waiting: list[_Segment] = []
        self._taken: list[_Segment] = []
        self._length = 0
        self._look_at = 0

    def take(self, segments: Sequence[_Segment], *, last: bool) -> str:
        """Add segments, and return the text to check now."""
        self._waiting += segments
        self._length += sum(len(segment.text) for segment in segments)
        self._taken = []
        # A guard that settles nothing is asked again when the text has grown by an eighth, so that the time is linear.
        if not last and self._length < self._look_at:
            return ""
        text = "".join([segment.text for segment in self._waiting])
        place = len(text) if last else self.run.settled(text)
        self._taken, self._waiting = _cut(self._waiting, place)
        self._length -= place
        self._look_at = 0 if place else self._length + self._length // 8
        return text[:place]

    def put(self, text: str, checked: str) -> list[_Segment]:
        """Return the taken segments, with the text that the guard left."""
        if text == checked:
            return self._taken
        return [_Segment(sum(segment.length for segment in self._taken), checked, changed=True)]


def _cut(segments: list[_Segment], place: int) -> tuple[list[_Segment], list[_Segment]]:
    """Cut segments at a place of their joined text."""
    for number, segment in enumerate(segments):
        if len(segment.text) > place:
            if place == 0:
                return segments[:number], segments[number:]
            length = segment.length if segment.changed else place
            first = _Segment(length, segment.text[:place], segment.changed)
            second = _Segment(segment.length - length, segment.text[place:], segment.changed)
            return [*segments[:number], first], [second, *segments[number + 1 :]]
        place -= len(segment.text)
    return segments, []


class TextWindow:
    """One text of a stream on its way through the guards.

    A text that may be JSON waits for its end, because guards check the strings inside JSON.

    Args:
        runs: The runs of the guards, which all texts of an answer share.

    Attributes:
        settled: How many characters of the original text `take` can take.
    """

    def __init__(self, runs: Sequence[GuardRun]) -> None:
        self._stages = [_Stage(run) for run in runs]
        self._groups = neighbours(self._stages, lambda stage: stage.run.guard)
        self._raw: list[str] = []
        self._raw_length = 0
        self._parse_at = 1
        self._is_text = not runs
        self._checked: deque[_Segment] = deque()
        self.settled = 0

    def add(self, piece: str) -> Checks[None]:
        """Add the next piece, and check what is complete."""
        if segments := self._ready(piece):
            yield from self._check(segments, last=False)

    def finish(self) -> Checks[None]:
        """Check what still waits."""
        raw = "".join(self._raw)
        if raw and list(take_text(raw)) != [raw]:
            checked = raw
            for group in neighbours([stage.run for stage in self._stages], guard_of):
                whole = reads_whole(group[0].guard)
                texts = [checked] if whole else list(take_text(checked))
                left = yield from check_all(texts, group)
                if left != texts:
                    checked = left[0] if whole else put_text(checked, iter(left))
            self._keep([_Segment(len(raw), checked, changed=checked != raw)])
        else:
            yield from self._check([_Segment(len(raw), raw)] if raw else [], last=True)

    def _check(self, segments: Sequence[_Segment], *, last: bool) -> Checks[None]:
        for group in self._groups if last else [[stage] for stage in self._stages]:
            if len(group) > 1:
                segments = yield from self._check_group(group, segments)
                continue
            stage = group[0]
            text = stage.take(segments, last=last)
            segments = stage.put(text, (yield [(stage.run, text)])) if text else []
        self._keep(segments)

    @staticmethod
    def _check_group(group: Sequence[_Stage], segments: Sequence[_Segment]) -> Checks[Sequence[_Segment]]:
        """Check the rest of a text by guards that keep it: each guard's text is known before the others have run."""
        batch: list[tuple[GuardRun, str]] = []
        for stage in group:
            text = stage.take(segments, last=True)
            segments = stage.put(text, text) if text else []
            batch += [(stage.run, text)] if text else []
        if batch:
            yield batch
        return segments

    def take(self, length: int) -> tuple[str, bool]:
        """Return the checked text of the next `length` characters, and whether a guard changed it."""
        parts: list[str] = []
        changed = False
        self.settled -= length
        while self._checked and (length or not self._checked[0].length):
            segment = self._checked[0]
            used = min(length, segment.length)
            length -= used
            # The first piece gets the whole new text, and the others nothing.
            text, segment.text = (segment.text, "") if segment.changed else (segment.text[:used], segment.text[used:])
            parts.append(text)
            changed = changed or segment.changed
            segment.length -= used
            if not segment.length and not segment.text:
                self._checked.popleft()
        return "".join(parts), changed

    def _ready(self, piece: str) -> list[_Segment]:
        if not piece:
            return []
        if self._is_text:
            return [_Segment(len(piece), piece)]
        self._raw.append(piece)
        self._raw_length += len(piece)
        if self._raw_length < self._parse_at:
            return []
        raw = "".join(self._raw)
        # Parse at doubling lengths only, so that the time is linear.
        self._parse_at = 2 * len(raw) if raw.strip() else 1
        if _may_be_json(raw):
            return []
        self._is_text = True
        self._raw = []
        return [_Segment(len(raw), raw)]

    def _keep(self, segments: Sequence[_Segment]) -> None:
        for segment in segments:
            if segment.length or segment.text:
                self._checked.append(segment)
                self.settled += segment.length


def _may_be_json(text: str) -> bool:
    """Return whether a text may be the beginning of a JSON object or array."""
    start = text.lstrip()
    if not start:
        return True
    if start[0] not in "{[":
        return False
    try:
        _, end = _DECODER.raw_decode(start)
    except json.JSONDecodeError as error:
        # A literal or a number may be cut, and an unterminated string is reported at its start.
        return error.pos >= len(start) - len("false") or error.msg.startswith(("Unterminated", "Invalid \\"))
    except RecursionError:
        return True
    return not start[end:].strip()
