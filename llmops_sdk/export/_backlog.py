"""Spans that a destination has yet to get and that only the store's outbox holds, of this and of dead processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from llmops_sdk.tracing.records._outbox import Outbox, Piece, Position
from llmops_sdk.tracing.records._records import ScoreRecord, SpanRecord

__all__ = ["Backlog", "BacklogChunk"]

_CHUNK_BYTES = 512 * 1024


class BacklogChunk:
    """Spans read from the outbox in one go.

    Attributes:
        end: Their end in the outbox.
        left: The spans that are still to be sent.
        adopted: Whether they are from a dead process.
    """

    def __init__(self, piece: Piece, records: Sequence[SpanRecord | ScoreRecord], *, adopted: bool) -> None:
        self.end = piece.end
        self.left = deque(records)
        self.adopted = adopted


class Backlog:
    """The read position in an outbox. The sink's lock protects `note` and `sent`; the sender calls `next` and `done`.

    Args:
        outbox: The outbox of the destination.
        select: Selects the spans that the destination gets.
    """

    def __init__(
        self, outbox: Outbox, select: Callable[[Sequence[SpanRecord]], Sequence[SpanRecord | ScoreRecord]]
    ) -> None:
        self._outbox = outbox
        self._select = select
        # How many queued spans a position acknowledges, and the position.
        self._marks: deque[tuple[int, Position]] = deque()
        self._queued = 0
        self._sent = 0
        self._last: Position | None = None
        """The end of the queued spans."""
        self._noted: Position | None = outbox.position()
        """The end of the last batch but one. A batch that the store could not write does not move it."""
        self._until: Position | None = None
        """The end of the spans that were not queued; None if all were."""
        self._own: BacklogChunk | None = None
        self._foreign: BacklogChunk | None = None
        self._adopted_end: Position | None = None
        """The read position in an adopted segment."""
        self.adoption_due = True
        self.unsent = 0
        """Number of spans of this process that only the outbox holds."""

    @property
    def behind(self) -> bool:
        """Return whether only the outbox holds some spans of this process."""
        return self._until is not None

    @property
    def has_latest(self) -> bool:
        """Return whether the latest batch is in the outbox."""
        return self._outbox.position() not in {None, self._noted}

    @property
    def may_acknowledge(self) -> bool:
        """Return whether a position can be acknowledged without sending, because a filter rejected its spans."""
        return bool(self._marks) and self._marks[0][0] <= self._sent

    def note(self, count: int, *, queued: bool) -> None:
        """Note a new batch of the pipeline.

        Args:
            count: Number of its spans for the destination.
            queued: Whether they are queued in memory; otherwise they will be read from the outbox.
        """
        position = self._outbox.position() if self.has_latest else None
        if queued:
            self._queued += count
        if position is None:
            return
        self._noted = position
        if queued:
            self._last = position
            if self._marks and self._marks[-1][0] == self._queued:
                self._marks.pop()  # one mark per place in the queue bounds their number
            self._marks.append((self._queued, position))
        elif count or self.behind:
            self._until = position
            self.unsent += count

    def sent(self, count: int) -> None:
        """Note that this number of queued spans is done, and acknowledge what they complete."""
        self._sent += count
        position: Position | None = None
        while self._marks and self._marks[0][0] <= self._sent:
            position = self._marks.popleft()[1]
        if position is not None:
            self._outbox.acknowledge(position)

    def next(self) -> BacklogChunk | None:
        """Return the next chunk to send while the queue is empty, or None."""
        if self.behind:
            return self._next_own()
        return self._next_adopted() if self.adoption_due else None

    def done(self, chunk: BacklogChunk) -> None:
        """Acknowledge a chunk: all of it has been sent or given up."""
        self._outbox.acknowledge(chunk.end)
        if chunk.adopted:
            self._foreign = None
        else:
            self._own = None
            self._last = chunk.end

    def _next_own(self) -> BacklogChunk | None:
        until = self._until
        if self._own is None and until is not None:
            piece = self._outbox.read(self._last, until, _CHUNK_BYTES)
            if piece is None:
                self._last = until
                return None
            self._own = BacklogChunk(piece, self._select(piece.records), adopted=False)
        return self._own

    def caught_up(self) -> int:
        """Stop being behind if everything up to the latest batch has been read. The caller holds the sink's lock.

        Returns:
            The number of spans that were no longer there: pruned, or dropped by the outbox and counted there.
        """
        missing = 0
        if self._own is None and self._last == self._until:
            self._until = None
            missing, self.unsent = self.unsent, 0
        return missing

    def _next_adopted(self) -> BacklogChunk | None:
        while self._foreign is None:
            begin = self._adopted_end or self._outbox.adopt()
            if begin is None:
                self.adoption_due = False
                return None
            piece = self._outbox.read_adopted(begin, _CHUNK_BYTES)
            self._adopted_end = None if piece is None else piece.end
            if piece is not None:
                self._foreign = BacklogChunk(piece, self._select(piece.records), adopted=True)
        return self._foreign

    def close(self) -> None:
        """Release the outbox to other processes."""
        self.sent(0)
        self._outbox.release()
