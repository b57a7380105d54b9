"""Rules with SQL of their own."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from llmops_sdk.config import AlertSettings
from llmops_sdk.errors import ConfigError, QueryError
from llmops_sdk.monitoring.rollup._labels import Labels
from llmops_sdk.monitoring.rollup._rollup import Rollup, moment
from llmops_sdk.monitoring.rollup._series import GROUP_LIMIT, Series
from llmops_sdk.monitoring.rules._figures import number
from llmops_sdk.monitoring.rules._rule import RuleBase
from llmops_sdk.monitoring.states._outcome import EVERYTHING, Outcome

__all__ = ["SqlRule", "Table"]

_LIMITED = "SELECT * FROM (\n{sql}\n) LIMIT {most}"
_PARAMETERS = re.compile(r"\$(since|until)\b")


class Table(Protocol):
    """Rows with names of their columns, as `llmops_sdk.store.Result`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        ...

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the rows."""
        ...


class AskTable(Protocol):
    """Runs SQL with parameters over the store."""

    def __call__(self, sql: str, params: Mapping[str, Any]) -> Table:
        """Return the rows."""
        ...


class SqlRule(RuleBase):
    """A rule whose SQL returns one row, or one for each group: a column `value`, and labels.

    Args:
        rule: The rule's settings.
        ask: Runs the SQL.
        labels: Makes the labels.
    """

    kind = "threshold"

    def __init__(self, rule: AlertSettings, ask: AskTable, labels: Labels) -> None:
        super().__init__(rule)
        # Limited here: a query with millions of rows must not fill the memory.
        self._sql = _LIMITED.format(sql=(rule.sql or "").strip().rstrip(";"), most=GROUP_LIMIT)
        self._ask = ask
        self._labels = labels
        self._above = rule.compare == "above"
        if rule.threshold is None:
            raise ConfigError(
                f"alerts.{rule.name}: a rule with sql needs a threshold: there are no counts of earlier weeks to "
                "compare its value with",
                key=f"alerts.{rule.name}.threshold",
            )
        self._threshold = rule.threshold
        self._names = set(_PARAMETERS.findall(self._sql))
        self._silent = 0

    def wanted(self) -> Mapping[Series, float]:
        return {}

    def evaluate(
        self, rollup: Rollup, end: int, asked: Container[tuple[str, ...]] = EVERYTHING
    ) -> Iterator[Outcome]:  # fmt: skip
        del rollup, asked  # its SQL counts for itself, and returns what it returns
        table, place = self._asked(end)
        rows = table.rows()
        self._silent = 0 if rows else self._silent + 1
        found: dict[tuple[str, ...], Outcome] = {}
        for row in rows:
            outcome = self._outcome(row, place)
            # Rows with equal labels are one group, and the worst counts: else it would fire and end at each look.
            if (known := found.get(outcome.labels)) is None or (outcome.is_bad and not known.is_bad):
                found[outcome.labels] = outcome
        yield from found.values()
        if not rows and not self.columns:
            yield Outcome(
                is_bad=False, severity=self._rule.severity, window=self._rule.window,
                no_data=self._rule.no_data == "alert" and self._silent >= 3,
            )  # fmt: skip

    def _asked(self, end: float) -> tuple[Table, int]:
        """Return what the SQL returns, and the place of the value."""
        given = {"since": moment(end - self._rule.window), "until": moment(end)}
        try:
            table = self._ask(self._sql, {name: given[name] for name in sorted(self._names)})
        except QueryError as error:
            raise QueryError(f"alerts.{self.name}.sql: {error}", sql=error.sql) from error
        columns = tuple(name.lower() for name in table.columns)
        if "value" not in columns:
            raise ConfigError(
                f"alerts.{self.name}.sql: it returns no column `value`, but {', '.join(columns) or 'none'}"
            )
        place = columns.index("value")
        self.columns = tuple(name for number, name in enumerate(columns) if number != place)
        return table, place

    def prepare(self, end: float) -> None:
        """Ask once, and look at the columns only.

        Args:
            end: The end of the rule's window, in seconds since the epoch.

        Raises:
            ConfigError: The SQL returns no column `value`.
            QueryError: The SQL is not valid.
        """
        self._asked(end)

    def _outcome(self, row: Sequence[Any], place: int) -> Outcome:
        raw = row[place]
        # Texts, times, lists and NaN are no numbers.
        value = float(raw) if isinstance(raw, int | float | Decimal) else None
        if value is not None and not math.isfinite(value):
            value = None
        others = [cell for number, cell in enumerate(row) if number != place]
        bad = None if value is None else (value > self._threshold if self._above else value < self._threshold)
        return Outcome(
            labels=tuple(map(self._labels.text, self.columns, others)), is_bad=bad, value=value,
            threshold=self._threshold, events=0.0, severity=self._rule.severity, window=self._rule.window,
        )  # fmt: skip

    def describe(self, outcome: Outcome) -> str:
        if outcome.value is None:
            return "the SQL returned no number"
        sign = "" if outcome.is_bad else "not "
        side = "above" if self._above else "below"
        return f"the value is {number(outcome.value)}, {sign}{side} {number(self._threshold)}"
