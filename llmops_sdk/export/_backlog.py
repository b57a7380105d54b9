"""What a destination has yet to get and only the store's outbox holds: this process's, and dead processes'."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from llmops_sdk.tracing.records._outbox import Outbox, Piece, Position
from llmops_sdk.tracing.records._records import ScoreRecord, SpanRecord

__all__ = ["Backlog", "Part"]

_PIECE = 512 * 1024


class Part:
    """Spans that are sent one after another, and whose they are."""

    def __init__(self, piece: Piece, records: Sequence[SpanRecord | ScoreRecord], *, adopted: bool) -> None:
        self.end = piece.end
        self.left = deque(records)
        self.adopted = adopted


class Backlog:
    """Where reading goes on. `note` and `sent` are called under the sink's lock, `next` and `done` by its sender.

    Args:
        outbox: The destination's.
        chosen: Which of some spans it gets.
    """

    def __init__(
        self, outbox: Outbox, chosen: Callable[[Sequence[SpanRecord]], Sequence[SpanRecord | ScoreRecord]]
    ) -> None:
        self._outbox = outbox
        self._chosen = chosen
        self._marks: deque[tuple[int, Position]] = deque()
        self._queued = 0
        self._sent = 0
        self._last: Position | None = None
        """Where what was queued ends."""
        self._noted: Position | None = outbox.position()
        """Where the latest batch but one ends; a batch that the store could not write does not move it."""
        self._until: Position | None = None
        """Where what was not queued ends; None while all is."""
        self._own: Part | None = None
        self._foreign: Part | None = None
        self.adoption_due = True
        self.unsent = 0
        """How many spans of this process only the outbox holds."""

    @property
    def behind(self) -> bool:
        """Whether there are such."""
        return self._until is not None

    @property
    def is_kept(self) -> bool:
        """Whether the latest batch is in the outbox."""
        return self._outbox.position() not in {None, self._noted}

    @property
    def may_acknowledge(self) -> bool:
        """Whether there is something to acknowledge that nothing was sent for: a filter keeps back what is there."""
        return bool(self._marks) and self._marks[0][0] <= self._sent

    def note(self, count: int, *, queued: bool) -> None:
        """The pipeline has handed over a batch.

        Args:
            count: How many spans of it are for the destination.
            queued: Whether they wait in memory; otherwise they are read from the outbox when their turn comes.
        """
        position = self._outbox.position() if self.is_kept else None
        if queued:
            self._queued += count
        if position is None:
            return
        self._noted = position
        if queued:
            self._last = position
            if self._marks and self._marks[-1][0] == self._queued:
                self._marks.pop()  # of one place in the queue the latest: their number stays within the queue's bound
            self._marks.append((self._queued, position))
        elif count or self.behind:
            self._until = position
            self.unsent += count

    def sent(self, count: int) -> None:
        """As many of those in memory are done with."""
        self._sent += count
        position: Position | None = None
        while self._marks and self._marks[0][0] <= self._sent:
            position = self._marks.popleft()[1]
        if position is not None:
            self._outbox.acknowledge(position)

    def next(self) -> Part | None:
        """What is to be sent now that nothing waits in memory, or None."""
        if self.behind:
            return self._next_own()
        return self._next_adopted() if self.adoption_due else None

    def done(self, part: Part) -> None:
        """All of a part has been sent, or given up."""
        self._outbox.acknowledge(part.end)
        if part.adopted:
            self._foreign = None
        else:
            self._own = None
            self._last = part.end

    def _next_own(self) -> Part | None:
        until = self._until
        if self._own is None and until is not None:
            piece = self._outbox.read(self._last, until, _PIECE)
            if piece is None:
                self._last = until
                return None
            self._own = Part(piece, self._chosen(piece.records), adopted=False)
        return self._own

    def caught_up(self) -> int:
        """End being behind, where everything up to the latest batch has been read; under the sink's lock.

        Returns:
            Spans that were not there any more: pruned, or given up for the outbox's bounds and counted then.
        """
        missing = 0
        if self._own is None and self._last == self._until:
            self._until = None
            missing, self.unsent = self.unsent, 0
        return missing

    def _next_adopted(self) -> Part | None:
        while self._foreign is None:
            begin = self._adopted_end or self._outbox.adopt()
            if begin is None:
                self.adoption_due = False
                return None
            piece = self._outbox.read_adopted(begin, _PIECE)
            self._adopted_end = None if piece is None else piece.end
            if piece is not None:
                self._foreign = Part(piece, self._chosen(piece.records), adopted=True)
        return self._foreign

    _adopted_end: Position | None = None
    """Where reading of an adopted segment goes on."""

    def close(self) -> None:
        """Let others have what is left."""
        self.sent(0)
        self._outbox.release()
