"""A sink in memory, so that tests read the records directly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

import llmops_sdk as llmops
from llmops_sdk.config import Settings
from llmops_sdk.tracing.records._records import LossRecord, Record, ScoreRecord, SpanRecord
from llmops_sdk.tracing.runtime import _start as _runtime


class MemorySink:
    """Stores every record; raises while `failing`."""

    name = "memory"
    is_local = True

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.failing = False
        self.closed = False

    def write(self, batch: Sequence[Record]) -> int:
        if self.failing:
            raise OSError("no space left")
        self.records += batch
        return sum(1 for record in batch if not isinstance(record, (LossRecord, ScoreRecord)))

    def flush(self, timeout: float) -> bool:
        return timeout >= 0

    def close(self, timeout: float) -> None:
        self.closed = timeout > 0

    def after_fork(self) -> None:
        self.records = []

    @property
    def spans(self) -> list[SpanRecord]:
        """Flush, and return the spans so far."""
        llmops.flush()
        return [record for record in self.records if not isinstance(record, (LossRecord, ScoreRecord))]

    @property
    def losses(self) -> list[LossRecord]:
        llmops.flush()
        return [record for record in self.records if isinstance(record, LossRecord)]

    @property
    def scores(self) -> list[ScoreRecord]:
        llmops.flush()
        return [record for record in self.records if isinstance(record, ScoreRecord)]

    def only(self) -> SpanRecord:
        """Return the only span."""
        (span,) = self.spans
        return span

    def named(self, name: str) -> SpanRecord:
        """Return the only span of that name."""
        (span,) = [span for span in self.spans if span.name == name]
        return span


@pytest.fixture
def sink() -> Iterator[MemorySink]:
    memory = MemorySink()
    _runtime.start_with(Settings(), [memory])
    yield memory
    _runtime.reset()
