"""`llmops tail`: show traces or spans of all processes as they end."""
# ruff: noqa: S608 - the conditions' values are parameters

from __future__ import annotations

import select
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.cli._filters import Filter
from llmops_sdk.cli._unknown import tell_unknown_names
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
    """Write the latest traces to stdout, then each trace that ends, until Ctrl-C or until the pipe closes.

    Args:
        wanted: The filter.
        spans: Whether to show spans instead of traces.
        follow: False stops after the latest ones.
        last: The number of latest traces to start with.
        form: The output format; JSON is one object a line.
        store: The store's folder, or None for the configured one; following waits for a missing store.

    Raises:
        StoreError: The store cannot be read, or does not exist and `follow` is False.
    """
    out = sys.stdout
    if not follow:
        latest = _latest(wanted, spans=spans, last=last, store=store)
        _rows_of(spans, form, out).write(latest)
        if not latest and last:
            tell_unknown_names(wanted, store)
        return
    folder = store_folder(store)
    if not folder.is_dir():
        print(f"there is no store at {folder} yet; waiting for it", file=sys.stderr, flush=True)
    watching = Tail(wanted, spans=spans, last=last, form=form, folder=folder, out=out)
    try:
        while not _pipe_is_closed(out):
            watching.step()
            SYSTEM_CLOCK.sleep(_POLL_SECONDS)
    finally:
        watching.close()


def _pipe_is_closed(out: TextIO) -> bool:
    """Return whether the reader closed the pipe (`| head`), which an idle writer does not notice."""
    left = select.poll()
    left.register(out.fileno(), 0)  # reports a closed pipe even without event flags
    return bool(left.poll(0))


class Tail:
    """Polls the store and writes what is new; see `tail` for the arguments.

    Args:
        wanted: The filter.
        spans: Whether to show spans instead of traces.
        last: The number of latest traces to start with.
        form: The output format.
        folder: The store's folder.
        out: The output stream.
        clock: Measures how long a trace has been quiet.
        max_spans: The number of latest spans to hold in memory.
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
        # The follower first: a trace written during the query for the latest is in both, and shown once.
        self._follower = Follower(folder, ("spans", "scores"))
        began = int(clock.time() * 1e9)
        self._window = Window(began, content=wanted.search is not None, max_spans=max_spans)
        latest = _latest(wanted, spans=spans, last=last, store=folder) if last and folder.is_dir() else []
        self._window.mark_shown([row[0] + row[1] if spans else row[0] for row in latest])
        self._rows = _rows_of(spans, form, out)
        self._rows.write(latest)
        if not latest and last and folder.is_dir():
            tell_unknown_names(wanted, folder)

    def close(self) -> None:
        """Close files and free memory."""
        self._follower.close()
        self._window.close()

    def step(self) -> None:
        """Write the traces or spans that have ended since the last step."""
        pending = 0
        while batch := self._follower.read():
            for new in batch:
                if isinstance(new, Lines):
                    self._window.add(new.stream, new.lines, self._clock.monotonic())
                    pending += sum(map(len, new.lines))
            if pending > _PENDING:
                self._show()
                pending = 0
        # Once for all new lines, as far as memory allows: in order, and traces with all their spans.
        if pending:
            self._show()
        now = self._clock.monotonic()
        if not self._spans and now - self._looked >= _QUIET_SECONDS / 12:
            self._looked = now
            self._show_rootless(now)

    def _show(self) -> None:
        where = self._wanted.where("spans" if self._spans else "traces")
        if self._spans:
            self._rows.write(self._window.new_rows(_span_rows(where.sql), _SPAN_COLUMNS, "trace_id || span_id", where))
            self._window.evict()
            return
        # The window may lack spans of these.
        ids = self._window.incomplete()
        self._rows.write(self._looked_up(ids, "status IS NOT NULL"))
        self._window.mark_shown(ids)
        ended = f"SELECT * FROM traces WHERE status IS NOT NULL AND ({where.sql})"
        self._rows.write(self._window.new_rows(ended, TRACE_COLUMNS, "trace_id", where))
        self._window.evict()

    def _show_rootless(self, now: float) -> None:
        """Show quiet traces without a root: it may be in another service, lost with its process, or still running."""
        ids = self._window.rootless(now - _QUIET_SECONDS)
        self._rows.write(self._looked_up(ids, "status IS NULL"))
        self._window.mark_shown([f"{trace_id}?" for trace_id in ids])

    def _looked_up(self, ids: Sequence[str], state: str) -> list[tuple[Any, ...]]:
        if not ids or not self._folder.is_dir():  # the store may vanish and come back
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
    """Return the latest ended ones in order; a quiet trace without a root counts as ended."""
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
