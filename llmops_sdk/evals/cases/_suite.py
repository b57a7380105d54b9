"""A suite of cases: a function, its items, its scorers, and what passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from llmops_sdk.datasets import Dataset, Item
from llmops_sdk.errors import ConfigError, DatasetError
from llmops_sdk.evals.cases._repeats import CaseVerdict, repeat_case
from llmops_sdk.evals.cases._rule import PassRule
from llmops_sdk.evals.cases._single_run import SingleRuns, planned_scorer
from llmops_sdk.evals.running._plan import PlannedScorer
from llmops_sdk.evals.scorers._named import scorers_of

__all__ = ["CaseSuite", "items_of", "suite_of"]

_FILES = (".jsonl", ".ndjson", ".csv", ".parquet", ".jsonl.gz", ".csv.gz")


def _is_failure(error: BaseException) -> bool:
    return isinstance(error, Exception)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSuite:
    """A function with all that its cases need.

    Attributes:
        name: The name of the spans and the experiment.
        dataset: The items.
        call: Calls the function with an item, and with fixtures by their names.
        scorers: The scorers.
        rule: Decides what passes.
        repeats: The most runs of a case.
    """

    name: str
    dataset: Dataset
    call: Callable[[Item, Mapping[str, Any]], Any]
    scorers: Sequence[PlannedScorer]
    rule: PassRule
    repeats: int

    def identities(self) -> dict[str, dict[str, Any]]:
        """Return what each scorer's values depend on, as in `Experiment.scorers`."""
        return {
            one.name: {**one.identity, "higher_is_better": bool(one.scorer.higher_is_better)} for one in self.scorers
        }

    def run_item(
        self,
        item: Item,
        *,
        repeats: int | None = None,
        known: bool | None = None,
        thorough: bool = False,
        fixtures: Mapping[str, Any] | None = None,
        is_failure: Callable[[BaseException], bool] = _is_failure,
    ) -> tuple[CaseVerdict, dict[int, BaseException]]:
        """Run one case until its verdict is clear; return it, and what the function raised by run.

        Args:
            item: The item.
            repeats: The most runs; by default the suite's.
            known: The outcome of all earlier executions, or None.
            thorough: Whether to run all repeats.
            fixtures: Further arguments of the function.
            is_failure: Tells which exceptions are a failure of the run. The others are raised.
        """
        given = fixtures or {}
        with SingleRuns(self.name, self.scorers, is_failure) as runs:
            verdict = repeat_case(
                lambda number: self.rule.run_of(runs.run(lambda: self.call(item, given), item, number)),
                repeats=repeats or self.repeats,
                known=known,
                thorough=thorough,
            )
        return verdict, runs.errors


def suite_of(
    name: str,
    dataset: Dataset,
    call: Callable[[Item, Mapping[str, Any]], Any],
    *,
    scorers: Any,
    threshold: float | Mapping[str, float] | None,
    repeats: int,
) -> CaseSuite:
    """Return a suite.

    Args:
        name: The name of the spans and the experiment.
        dataset: The items.
        call: Calls the function with an item, and with fixtures by their names.
        scorers: As for `evaluate`.
        threshold: The value from which on a score passes, for all scorers or by name.
        repeats: The most runs of a case.

    Raises:
        ConfigError: A scorer or a threshold is not valid.
    """
    planned = [planned_scorer(one) for one in scorers_of(scorers)]
    names = [one.name for one in planned]
    double = next((one for one in names if names.count(one) > 1), None)
    if double is not None:
        raise ConfigError(f"two scorers are called {double!r}: give each a name of its own", key="scorers")
    rule = PassRule(threshold, {one.name: bool(one.scorer.higher_is_better) for one in planned})
    rule.check_names(names)
    return CaseSuite(name=name, dataset=dataset, call=call, scorers=planned, rule=rule, repeats=repeats)


def items_of(
    cases: Iterable[Any] | None,
    dataset: Dataset | str | Path | None,
    *,
    folder: Path,
    id: str | Callable[[Item], str] | None = None,  # noqa: A002 - the public contract
    store: Callable[[], Path | None] | None = None,
) -> Dataset:
    """Return the items of a suite.

    Args:
        cases: Rows with `input` and `expected`, or inputs; or None.
        dataset: A data set, the name of a saved one, or a file; or None.
        folder: What a relative path of a file is relative to.
        id: The column of ids, or a function of an item.
        store: Returns the store's folder for the name of a saved data set.

    Raises:
        ConfigError: There is no item, or two have the same id.
        DatasetError: The items cannot be read.
    """
    column = id if isinstance(id, str) else None
    if cases is not None:
        found = Dataset.from_rows([_row(one) for one in cases], id=column)
    elif isinstance(dataset, Dataset):
        found = dataset
    elif isinstance(dataset, Path) or str(dataset).lower().endswith(_FILES):
        found = Dataset.from_file(folder / Path(str(dataset)), id=column)
    else:
        found = Dataset.load(str(dataset), path=store() if store is not None else None)
    if callable(id):
        found = Dataset.from_rows([_renamed(one, id(one)) for one in found.items], name=found.name)
    if not found.items:
        raise DatasetError("there is no case: the data set has no items")
    return found


def _row(case: Any) -> Any:
    return cast("Any", case) if isinstance(case, Mapping | Item) else {"input": case}


def _renamed(item: Item, name: str) -> Item:
    return replace(item, id=str(name))
