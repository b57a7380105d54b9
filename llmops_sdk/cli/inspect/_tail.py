"""`llmops tail`: traces, or spans, as they end, in whichever process."""
# ruff: noqa: S608 - the conditions' values are parameters

from __future__ import annotations

import select
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.cli._filters import Filter
from llmops_sdk.cli.inspect._traces import TRACE_COLUMNS
from llmops_sdk.cli.inspect._window import Window
from llmops_sdk.cli.output._formats import Format, RowStream
from llmops_sdk.cli.output._reading import query, store_folder
from llmops_sdk.store.reading._follow import Follower, Lines

__all__ = ["Tail", "tail"]

_POLL_SECONDS = 0.25
_QUIET_SECONDS = 60.0
_PENDING = 8 * 1024 * 1024  # bytes of lines
_SPAN_COLUMNS = (
    "trace_id, span_id, start_time, duration_ms, kind, name, model, input_tokens, output_tokens, cost, status, "
    "error_type, session_id, user_id"
)
_WIDTHS = {"trace_id": 32, "span_id": 16, "start_time": 23, "name": 24, "model": 16, "cost": 10, "status": 9}
_NUMBERS = frozenset(["duration_ms", "spans", "input_tokens", "output_tokens", "cost", "errors"])
_END = "start_time + to_microseconds((duration_ms * 1e3)::BIGINT)"


def tail(wanted: Filter, *, spans: bool, follow: bool, last: int, form: Format, store: Path | None) -> None:
    """Write the latest traces to stdout, and each that ends from now on, until the reader leaves or Ctrl-C.

    Args:
        wanted: Which.
        spans: Spans, not traces.
        follow: False stops after the latest ones.
        last: How many of the latest to begin with.
        form: How; JSON is one object a line.
        store: The store's folder, or None for that of the settings; to follow, it need not be there yet.

    Raises:
        StoreError: The store cannot be read; without `follow`, also that there is none.
    """
    out = sys.stdout
    if not follow:
        _rows_of(spans, form, out).write(_latest(wanted, spans=spans, last=last, store=store))
        return
    folder = store_folder(store)
    if not folder.is_dir():
        print(f"there is no store at {folder} yet; waiting for it", file=sys.stderr, flush=True)
    watching = Tail(wanted, spans=spans, last=last, form=form, folder=folder, out=out)
    try:
        while not _is_left(out):
            watching.step()
            SYSTEM_CLOCK.sleep(_POLL_SECONDS)
    finally:
        watching.close()


def _is_left(out: TextIO) -> bool:
    """Whether nobody reads the pipe any more (`| head`): with nothing to write, that is not met by writing."""
    left = select.poll()
    left.register(out.fileno(), 0)  # what is told unasked: the other end is closed
    return bool(left.poll(0))


class Tail:
    """Looks at the store again and again; see `tail` for the arguments.

    Args:
        wanted: Which.
        spans: Spans, not traces.
        last: How many of the latest to begin with.
        form: How.
        folder: The store's folder.
        out: Where to.
        clock: Tells how long nothing has come of a trace.
        max_spans: How many of the latest spans to hold in memory.
    """

    def __init__(
        self,
        wanted: Filter,
        *,
        spans: bool,
        last: int,
        form: Format,
        folder: Path,
        out: TextIO,
        clock: Clock = SYSTEM_CLOCK,
        max_spans: int = 20_000,
    ) -> None:
        self._wanted = wanted
        self._spans = spans
        self._folder = folder
        self._clock = clock
        self._looked = clock.monotonic()
        # The places in the files first: what is written while the latest are read is in both, and shown once.
        self._follower = Follower(folder, ("spans", "scores"))
        began = int(clock.time() * 1e9)
        self._window = Window(began, content=wanted.search is not None, max_spans=max_spans)
        latest = _latest(wanted, spans=spans, last=last, store=folder) if last and folder.is_dir() else []
        self._window.mark([row[0] + row[1] if spans else row[0] for row in latest])
        self._rows = _rows_of(spans, form, out)
        self._rows.write(latest)

    def close(self) -> None:
        """Let go of files and memory."""
        self._follower.close()
        self._window.close()

    def step(self) -> None:
        """Write what has ended since the last step."""
        pending = 0
        while pending <= _PENDING and (batch := self._follower.read()):
            for new in batch:
                if isinstance(new, Lines):
                    self._window.add(new.stream, new.lines, self._clock.monotonic())
                    pending += sum(map(len, new.lines))
        # All that is new together, as far as memory allows: it is shown in order, and traces with all their spans.
        if pending:
            self._show()
        now = self._clock.monotonic()
        if not self._spans and now - self._looked >= _QUIET_SECONDS / 12:
            self._looked = now
            self._show_rootless(now)

    def _show(self) -> None:
        where = self._wanted.where("spans" if self._spans else "traces")
        if self._spans:
            self._rows.write(self._window.take(_span_rows(where.sql), _SPAN_COLUMNS, "trace_id || span_id", where))
            self._window.forget()
            return
        # Of these the window may lack a part.
        ids = self._window.incomplete()
        self._rows.write(self._looked_up(ids, "status IS NOT NULL"))
        self._window.mark(ids)
        ended = f"SELECT * FROM traces WHERE status IS NOT NULL AND ({where.sql})"
        self._rows.write(self._window.take(ended, TRACE_COLUMNS, "trace_id", where))
        self._window.forget()

    def _show_rootless(self, now: float) -> None:
        """Traces without a root: it is in another service, or its process was killed, or it takes long."""
        ids = self._window.rootless(now - _QUIET_SECONDS)
        self._rows.write(self._looked_up(ids, "status IS NULL"))
        self._window.mark([f"{trace_id}?" for trace_id in ids])

    def _looked_up(self, ids: Sequence[str], state: str) -> list[tuple[Any, ...]]:
        if not ids or not self._folder.is_dir():  # somebody may remove it; another may come
            return []
        where = self._wanted.where("traces")
        statement = (
            f"SELECT {TRACE_COLUMNS} FROM traces WHERE trace_id IN (SELECT unnest($ids::VARCHAR[])) AND {state} "
            f"AND ({where.sql}) ORDER BY {_END}, trace_id"
        )
        return query(statement, {**where.params, "ids": list(ids)}, store=self._folder).rows()


def _rows_of(spans: bool, form: Format, out: TextIO) -> RowStream:
    columns = (_SPAN_COLUMNS if spans else TRACE_COLUMNS).split(", ")
    widths: Mapping[str, int] = {name: _WIDTHS.get(name, 0) for name in columns}
    return RowStream(form, widths, _NUMBERS, out)


def _span_rows(where: str) -> str:
    return (
        f"SELECT * FROM (SELECT * FROM spans WHERE {where}) LEFT JOIN (SELECT trace_id, span_id, model, input_tokens, "
        "output_tokens, cost FROM llm_calls) USING (trace_id, span_id)"
    )


def _latest(wanted: Filter, *, spans: bool, last: int, store: Path | None) -> list[tuple[Any, ...]]:
    """The latest that have ended, in that order; a trace without a root counts as ended when it has been quiet."""
    where = wanted.where("spans" if spans else "traces")
    params: dict[str, Any] = {**where.params, "last": last}
    if spans:
        rows, columns, key = _span_rows(where.sql), _SPAN_COLUMNS, "span_id"
    else:
        quiet = f"status IS NULL AND {_END} < now()::TIMESTAMP - to_seconds({_QUIET_SECONDS})"
        rows, columns, key = (
            f"SELECT * FROM traces WHERE ({where.sql}) AND (status IS NOT NULL OR {quiet})",
            TRACE_COLUMNS,
            "trace_id",
        )
    statement = f"SELECT {columns} FROM ({rows}) ORDER BY {_END} DESC, {key} DESC LIMIT $last"
    return query(statement, params, store=store).rows()[::-1]
