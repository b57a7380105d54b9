"""`llmops tail`: show traces or spans of all processes as they end."""

from __future__ import annotations

import select
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.cli._filters import Filter
from llmops_sdk.cli._unknown import tell_unknown_names
from llmops_sdk.cli.inspect._traces import TRACE_COLUMNS
from llmops_sdk.cli.output._formats import Format, RowStream
from llmops_sdk.cli.output._reading import existing_store, store_folder
from llmops_sdk.store.reading._ended import SPAN_COLUMNS, EndedSpans, latest_ended

__all__ = ["Tail", "tail"]

_POLL_SECONDS = 0.25
_WIDTHS = {"trace_id": 32, "span_id": 16, "start_time": 23, "name": 24, "model": 16, "cost": 10, "status": 9}
_NUMBERS = frozenset(["duration_ms", "spans", "input_tokens", "output_tokens", "cost", "errors"])


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
        # The follower first: a trace written during the query for the latest is in both, and shown once.
        self._ended = EndedSpans(
            wanted, spans=spans, columns=_columns(spans), folder=folder, clock=clock, max_spans=max_spans
        )
        latest = _latest(wanted, spans=spans, last=last, store=folder) if last and folder.is_dir() else []
        self._ended.mark_shown([row[0] + row[1] if spans else row[0] for row in latest])
        self._rows = _rows_of(spans, form, out)
        self._rows.write(latest)
        if not latest and last and folder.is_dir():
            tell_unknown_names(wanted, folder)

    def close(self) -> None:
        """Close files and free memory."""
        self._ended.close()

    def step(self) -> None:
        """Write the traces or spans that have ended since the last step."""
        for rows in self._ended.step():
            self._rows.write(rows)


def _columns(spans: bool) -> str:
    return SPAN_COLUMNS if spans else TRACE_COLUMNS


def _rows_of(spans: bool, form: Format, out: TextIO) -> RowStream:
    widths: Mapping[str, int] = {name: _WIDTHS.get(name, 0) for name in _columns(spans).split(", ")}
    return RowStream(form, widths, _NUMBERS, out)


def _latest(wanted: Filter, *, spans: bool, last: int, store: Path | None) -> list[tuple[Any, ...]]:
    return latest_ended(wanted, spans=spans, columns=_columns(spans), last=last, folder=existing_store(store))
