"""The queue in which callers take turns, against a simple model of it."""

from __future__ import annotations

from collections import deque

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llmops_sdk.resilience.limits._queue import FairQueue


class QueueModel(RuleBasedStateMachine):
    """A list of lines, each with its caller's items in order; the first line has the turn."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[tuple[str, int]] = FairQueue()
        self.lines: deque[tuple[str, deque[tuple[str, int]]]] = deque()
        self.number = 0

    @rule(who=st.sampled_from(["anna", "ben", "cem", ""]))
    def push(self, who: str) -> None:
        self.number += 1
        item = (who, self.number)
        self.queue.push(item, who)
        line = next((line for name, line in self.lines if name == who), None)
        if line is None:
            line = deque[tuple[str, int]]()
            self.lines.append((who, line))
        line.append(item)

    @rule()
    def take(self) -> None:
        expected = None
        if self.lines:
            who, line = self.lines.popleft()
            expected = line.popleft()
            if line:
                self.lines.append((who, line))
        assert self.queue.take() == expected

    @precondition(lambda self: self.lines)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from([item for _, line in self.lines for item in line]))
        self.queue.discard(item)
        self.queue.discard(item)  # again changes nothing
        for _, line in self.lines:
            if item in line:
                line.remove(item)
        self.lines = deque((who, line) for who, line in self.lines if line)

    @rule(who=st.sampled_from(["anna", "ben", "nobody"]))
    def last_of_longest(self, who: str) -> None:
        lengths = {name: len(line) for name, line in self.lines}
        last = self.queue.last_of_longest(who)
        if max(lengths.values(), default=0) <= lengths.get(who, 0) + 1:
            assert last is None
        else:
            assert last in {line[-1] for _, line in self.lines if len(line) == max(lengths.values())}

    @invariant()
    def same_head_and_length(self) -> None:
        assert self.queue.head == (self.lines[0][1][0] if self.lines else None)
        assert len(self.queue) == sum(len(line) for _, line in self.lines)


TestQueueModel = QueueModel.TestCase


def test_one_caller_with_a_thousand_items_delays_another_by_one_item_at_most():
    queue: FairQueue[int] = FairQueue()
    for number in range(1_000):
        queue.push(number, "many")
    queue.push(-1, "one")

    assert [queue.take(), queue.take()] == [0, -1]
