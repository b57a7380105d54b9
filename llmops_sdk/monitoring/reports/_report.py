"""The report of a period, as a frozen record that becomes HTML, Markdown or JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from llmops_sdk._documents import one_line
from llmops_sdk._util._public import public
from llmops_sdk.config import current
from llmops_sdk.errors import ConfigError
from llmops_sdk.monitoring.reports._call_sections import call_sections
from llmops_sdk.monitoring.reports._figures import read_figures
from llmops_sdk.monitoring.reports._period import Period, period_of
from llmops_sdk.monitoring.reports._render import as_html, as_markdown
from llmops_sdk.monitoring.reports._sections import Section
from llmops_sdk.monitoring.reports._state_sections import loss_section, state_sections
from llmops_sdk.monitoring.reports._verdict import Status, report_status, verdict_lines
from llmops_sdk.monitoring.reports._words import read_labels

__all__ = ["Report", "report"]

_VERSION = 1
_WEEK = timedelta(days=7)
_LONGEST_WHERE = 300
_PRIVATE = ("user_id", "session_id")
_HIDDEN = "(hidden)"


@public("llmops_sdk.monitoring")
@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The report of a period: its figures, compared with the period before.

    The same store and the same period give the same report, byte by byte.

    Attributes:
        since: The begin of the period, in UTC without a zone.
        until: Its end; calls that began before it count.
        previous: The begin of the period of the same length before it; None without a comparison.
        where: The condition on the calls, or None.
        figures: Every figure, as values that JSON can hold. Ids of users are in it only if they were asked for.
        users: Whether ids of users and sessions are shown.
        content: Whether prompts and answers are shown.
    """

    since: datetime
    until: datetime
    previous: datetime | None
    where: str | None
    figures: Mapping[str, Any]
    users: bool = False
    content: bool = False

    @property
    def verdict(self) -> tuple[str, ...]:
        """Return the verdict, at most five lines."""
        return tuple(f"{what}: {text}" for what, text, _ in self._lines())

    @property
    def status(self) -> Status:
        """Return "worse", "better", "steady" or "not_enough_data" for the whole."""
        return report_status(self._lines(), self.figures)

    def html(self) -> str:
        """Return one HTML file: no script, no font, nothing to load."""
        return as_html(self._title(), self._about(), self._lines(), self._sections())

    def markdown(self) -> str:
        """Return Markdown, without plots."""
        return as_markdown(self._title(), self._about(), self._lines(), self._sections())

    def json(self) -> str:
        """Return the figures as JSON, with the verdict and the period."""
        whole: dict[str, Any] = {
            "version": _VERSION,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "previous": None if self.previous is None else self.previous.isoformat(),
            "where": self.where,
            "status": self.status,
            "verdict": list(self.verdict),
            "figures": self.figures,
        }
        return json.dumps(whole, indent=1, sort_keys=True, allow_nan=False) + "\n"

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the report into a file; its ending says how: `.html`, `.md` or `.json`.

        Args:
            path: The file. One that exists is replaced, at once.

        Raises:
            ConfigError: The file has another ending, or cannot be written.
        """
        file = Path(path)
        forms = {".html": self.html, ".htm": self.html, ".md": self.markdown, ".json": self.json}
        make = forms.get(file.suffix.lower())
        if make is None:
            raise ConfigError(f"{file}: let it end with .html, .md or .json", key="path", value=str(file))
        text = make()
        new = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            new.write_text(text, encoding="utf-8", errors="replace")
            new.replace(file)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise ConfigError(f"{file} cannot be written: {error.strerror}", source=str(file)) from error
        return file

    def _period(self) -> Period:
        return Period(since=self.since, until=self.until, previous=self.previous)

    def _lines(self) -> list[Any]:
        return verdict_lines(self.figures, compared=self.previous is not None)

    def _title(self) -> str:
        return f"Report of {self.since:%Y-%m-%d} to {self.until:%Y-%m-%d}"

    def _about(self) -> list[str]:
        spans = [f"Calls from {self.since:%Y-%m-%d %H:%M:%S} to {self.until:%Y-%m-%d %H:%M:%S} UTC"]
        if self.previous is not None:
            spans.append(f"compared with those from {self.previous:%Y-%m-%d %H:%M:%S}")
        about = [f"{', '.join(spans)}."]
        return about if self.where is None else [*about, f"Only calls where {one_line(self.where, _LONGEST_WHERE)}."]

    def _sections(self) -> list[Section]:
        traffic, *others, traces = call_sections(self.figures, self._period(), users=self.users, content=self.content)
        states = state_sections(self.figures)
        return [traffic, *states, *others, loss_section(self.figures["losses"]), traces]


def report(
    since: datetime | timedelta = _WEEK,
    until: datetime | None = None,
    *,
    where: str | None = None,
    compare: Literal["previous", "none"] = "previous",
    content: bool = False,
    users: bool = False,
    simulated: bool | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Report:
    """Report on a period of the stored calls: what changed against the period before, and what of it is clear.

    Calls of evaluators, experiments and canaries do not count. Cost is that of calls of known price.

    Args:
        since: The begin of the period, or its length before `until`.
        until: Its end; now by default. Times without a zone are UTC.
        where: A condition in SQL over the columns of `llm_calls`; objectives, alerts and drift keep their own.
        compare: "none" for no comparison with the period of the same length before.
        content: Whether to show the prompts and answers of the slowest and costliest calls, as the store has them.
        users: Whether to show ids of users and sessions.
        simulated: Whether simulated calls count; by default as `[watch] simulated` says.
        path: The store's folder; by default the configured one.

    Raises:
        ConfigError: The period is empty, or `compare` is neither of its values.
        QueryError: A condition is not valid SQL.
        StoreError: The store cannot be read.

    Example:
        >>> from datetime import timedelta
        >>> from llmops_sdk.monitoring import report
        >>> report(timedelta(days=1)).verdict[0]
        'Traffic: There are no calls in this period.'
    """
    if compare not in ("previous", "none"):
        raise ConfigError(f'compare is {compare!r}: give "previous" or "none"', key="compare", value=str(compare))
    settings = current()
    period = period_of(since, until, compare=compare == "previous")
    figures = read_figures(
        period,
        where=where,
        simulated=settings.watch.simulated if simulated is None else simulated,
        slos=settings.slo,
        content=content,
        path=None if path is None else Path(path),
    )
    if not users:
        _hide_users(figures)
    return Report(
        since=period.since, until=period.until, previous=period.previous, where=where, figures=figures, users=users,
        content=content,
    )  # fmt: skip


def _hide_users(figures: dict[str, Any]) -> None:
    """Take the ids of users and sessions out of the figures."""
    for place, row in enumerate(figures["movers"]["user"]["rows"], 1):
        row["key"] = f"user {place}"
    for row, key in [(row, "labels") for row in figures["alerts"]] + [(row, "slice") for row in figures["drift"]]:
        labels = read_labels(row[key])
        secret = [value for name, value in labels.items() if name in _PRIVATE and value]
        row[key] = json.dumps({name: _HIDDEN if value in secret else value for name, value in labels.items()})
        for value in secret:
            row["reason"] = (row["reason"] or "").replace(value, _HIDDEN)
