"""`Drift`: check the stored traces."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from llmops_sdk._util._public import public
from llmops_sdk.config import DriftSettings, current
from llmops_sdk.drift._report import DriftReport, Feature
from llmops_sdk.drift.signals._annotations import add_annotations
from llmops_sdk.drift.signals._changes import OwnChanges, own_changes
from llmops_sdk.drift.signals._features import feature_of, missing
from llmops_sdk.drift.signals._frame import Column, Compared, Frame, compare, numpy
from llmops_sdk.drift.signals._load import Loaded, load
from llmops_sdk.drift.signals._records import write_report
from llmops_sdk.drift.signals._sample import Sample, measure_sample, read_sample
from llmops_sdk.drift.signals._windows import Windows
from llmops_sdk.embeddings import open_embedder
from llmops_sdk.errors import QueryError
from llmops_sdk.stats import benjamini_hochberg
from llmops_sdk.store import connect, query
from llmops_sdk.store.reading._query import connect_lean

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["Drift", "compared_features"]

_ALONE = "SELECT span_id FROM llm_calls WHERE (\n{where}\n) LIMIT 0"
_PROVIDER = frozenset({"served_model", "fingerprint"})


@public("llmops_sdk.drift")
class Drift:
    """Checks the stored calls to models: does this window differ from the time before it?

    Signals are the inputs (tokens, length, language, unknown words, novelty, topics, cache hits, guards), the outputs
    (tokens, length, refusals, valid JSON, finish reason, use of tools), the scores, cost, latency, time to the first
    chunk, errors, retries, and which model served. Each is compared for all of the traffic and for each slice.

    The p-values hold for users who send many calls and, in windows with enough spans of time, for shocks that all users
    share. The false discovery rate over all signals and slices is at most `alpha`, whatever their dependence. Where we
    changed a prompt, a model or a parameter ourselves, only calls with a configuration that both windows have are
    compared; a difference that is gone then is "ours".

    Calls that are simulated, and those of evaluators, experiments and canaries, do not count.

    Args:
        settings: The settings of `[drift]`, by default those in force.
        path: The store's folder, by default the configured one.
        overrides: Fields of `[drift]`, e.g. `window="7d"`, `reference="28d"`, `by=("model",)`, `period="7d"`.

    Raises:
        ConfigError: A field is unknown or has a wrong value.

    Example:
        >>> from llmops_sdk.drift import Drift
        >>> report = Drift(window="7d", reference="28d", by=("model",)).check(write=False)
        >>> report.status
        'not_enough_data'

    Source: Y. Benjamini and D. Yekutieli, "The control of the false discovery rate in multiple testing under
    dependency", Annals of Statistics 29 (2001).
    """

    def __init__(
        self, *, settings: Settings | None = None, path: str | Path | None = None, name: str = "", **overrides: Any
    ) -> None:
        self._settings = current() if settings is None else settings
        base = self._settings.drift
        given = {key: value for key, value in overrides.items() if value is not None}
        fields = {key: getattr(base, key) for key in type(base).model_fields}
        self._drift = DriftSettings(**{**fields, **given}) if given else base
        self._path = None if path is None else Path(path)
        self._name = name

    def check(self, *, now: float | None = None, write: bool = True) -> DriftReport:
        """Compare the window that ends now with the reference before it.

        Args:
            now: The end of the window, in seconds since the epoch; by default the time of the call.
            write: Whether to write the rows of the report to the view `drift_checks`.

        Raises:
            ConfigError: A column of `by` does not exist.
            QueryError: The condition `where` is not valid SQL.
            StoreError: The store cannot be read or written.
            MissingDependencyError: numpy is not installed.
        """
        numpy()
        options = self._drift
        windows = Windows.before(
            time.time() if now is None else now,
            window=options.window, reference=options.reference, period=options.period,
        )  # fmt: skip
        if options.where is not None:
            self._check_condition(options.where)
        with connect(path=self._path) as connection:
            loaded = load(connection, windows, options.by, options.where)
            if not len(loaded.frame):
                return self._finished([_empty()], (), windows, write=write)
            add_annotations(connection, loaded)
        # One connection after the other: DuckDB returns its memory when it closes one.
        with connect_lean(self._path) as connection:
            texts = read_sample(connection, loaded, windows, options.max_texts)
        sample = measure_sample(texts, loaded, open_embedder(options.embedder))
        comparison = _Comparison(loaded, sample, options)
        rows = self._with_examples(loaded, sample, comparison.features())
        return self._finished([one.feature for one in rows], comparison.changes, windows, write=write)

    def _check_condition(self, where: str) -> None:
        try:
            # By itself first: one with its own closing brackets must not get out of the others' AND.
            query(_ALONE.format(where=where), path=self._path)
        except QueryError as error:
            raise QueryError(f"drift.where: {error}", sql=error.sql) from error

    def _finished(
        self, features: Sequence[Feature], changes: tuple[str, ...], windows: Windows, *, write: bool
    ) -> DriftReport:
        report = DriftReport(
            kind="data", name=self._name, features=tuple(features), changes=changes,
            check_id=uuid4().hex if write else "",
        )  # fmt: skip
        if write:
            write_report(report, windows, self._settings, self._path)
        return report

    def _with_examples(self, loaded: Loaded, sample: Sample, rows: Sequence[_Row]) -> Sequence[_Row]:
        from llmops_sdk.drift.signals._examples import examples

        if not any(row.shows_difference for row in rows):
            return rows

        def with_examples(row: _Row) -> _Row:
            if row.compared is None or not row.shows_difference:
                return row
            ids = examples(
                connection, loaded, sample, row.feature.signal, row.rows, row.compared, of_sample=row.of_sample
            )
            return replace(row, feature=replace(row.feature, examples=ids))

        with connect(path=self._path) as connection:
            return [with_examples(row) for row in rows]


def compared_features(loaded: Loaded, sample: Sample, options: DriftSettings) -> list[Feature]:
    """Return the rows of a check of calls that are in memory, without examples."""
    return [one.feature for one in _Comparison(loaded, sample, options).features()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A feature and what it came from."""

    feature: Feature
    compared: Compared | None
    rows: Any
    of_sample: bool

    @property
    def shows_difference(self) -> bool:
        return self.feature.status in ("drifted", "ours") and self.compared is not None


class _Comparison:
    """Compares each signal over all calls and over each slice, and decides."""

    def __init__(self, loaded: Loaded, sample: Sample, options: DriftSettings) -> None:
        self._loaded, self._sample, self._options = loaded, sample, options
        self._whole = loaded.frame
        everything = numpy().arange(len(self._whole))
        self.changes = own_changes(self._whole, everything, loaded.configs).sentences

    def features(self) -> list[_Row]:
        """Return the rows, with p-values that are adjusted for all of them."""
        tests = list(self._tests())
        p_values: list[float] = []
        for test in tests:
            p_values += [one.found.p_value for one in test.enough if not one.is_constant]
        adjusted = iter(_adjusted(p_values))
        rows: list[_Row] = []
        for test in tests:
            after = [1.0 if one.is_constant else next(adjusted) for one in test.enough]
            rows.append(test.decide(after, self._options.alpha, self._options.min_n))
        skipped = [
            _Row(feature=missing(name, reason), compared=None, rows=None, of_sample=True)
            for name, reason in self._sample.skipped.items()
        ]
        return [*rows, *skipped]

    def _tests(self) -> Iterator[_Test]:
        for part, rows in self._parts(self._whole):
            own = own_changes(self._whole, rows, self._loaded.configs)
            yield from self._of_frame(self._whole, part, rows, own, of_sample=False)
        owns = {
            tuple(part.items()): own_changes(self._whole, rows, self._loaded.configs)
            for part, rows in self._parts(self._whole)
        }
        for part, rows in self._parts(self._sample.frame):
            yield from self._of_frame(self._sample.frame, part, rows, owns[tuple(part.items())], of_sample=True)

    def _parts(self, frame: Frame) -> Iterator[tuple[dict[str, str], Any]]:
        """Yield all of the traffic, then the slices with most calls."""
        np = numpy()
        yield {}, np.arange(len(frame))
        found: list[tuple[int, str, str, int]] = []
        for name, places in self._whole.slices.items():
            values = self._loaded.values[name]
            sizes = np.bincount(places[np.isfinite(places)].astype("int64"), minlength=len(values))
            if np.count_nonzero(sizes) < 2 and np.isfinite(places).all():
                continue  # one slice with everything would repeat the whole
            found += [(int(sizes[place]), name, value, place) for place, value in enumerate(values) if sizes[place]]
        found.sort(key=lambda one: (-one[0], one[1], one[2]))
        for _, name, value, place in found[: self._options.max_slices]:
            yield {name: value}, np.flatnonzero(frame.slices[name] == place)

    def _of_frame(
        self, frame: Frame, part: dict[str, str], rows: Any, own: OwnChanges, *, of_sample: bool
    ) -> Iterator[_Test]:
        kept = rows[own.common[frame.configs[rows]]] if own.cause else rows
        for name, column in frame.columns.items():
            if name in part or (name == "served_model" and "model" in part):
                continue  # its value is the same in all calls of the slice
            plain = compare(frame, column, rows, within=False)
            within = compare(frame, column, kept, within=True) if own.cause else None
            if plain is None and within is None:
                if not part and name not in ("fingerprint", "ttft", "retry_rate"):
                    yield _Test(name, column, part, rows, None, None, own, of_sample, self._options.min_n)
                continue
            yield _Test(name, column, part, rows, plain, within, own, of_sample, self._options.min_n)


class _Test:
    """One signal of one slice: compared as it is, and among calls of the same configuration where we changed it."""

    def __init__(
        self,
        signal: str,
        column: Column,
        part: dict[str, str],
        rows: Any,
        plain: Compared | None,
        within: Compared | None,
        own: OwnChanges,
        of_sample: bool,
        min_n: int,
    ) -> None:
        self._signal, self._column, self._part, self._rows, self._own = signal, column, part, rows, own
        self._of_sample = of_sample
        self._plain = plain
        is_enough = plain is not None and _is_enough(plain, min_n)
        self._tested = [plain] if plain is not None and is_enough else []
        self._within = within if within is not None and _is_enough(within, min_n) else None
        if self._within is not None:
            self._tested.append(self._within)

    @property
    def enough(self) -> list[Compared]:
        """Return the comparisons that have enough data."""
        return self._tested

    def decide(self, adjusted: Sequence[float], alpha: float, min_n: int) -> _Row:
        """Return the row for the adjusted p-values of `enough`."""
        by_comparison = dict(zip(map(id, self._tested), adjusted, strict=True))
        status, cause, chosen = "steady", None, self._plain
        if not self._tested:
            status = "not_enough_data"
        elif self._within is not None and by_comparison[id(self._within)] <= alpha:
            status, chosen = "drifted", self._within
        elif self._plain is not None and by_comparison.get(id(self._plain), 1.0) <= alpha:
            status = "ours" if self._own.cause else "drifted"
            cause = self._own.cause
        if status == "drifted" and self._signal in _PROVIDER:
            cause = "provider"
        value = None if chosen is None else by_comparison.get(id(chosen))
        feature = feature_of(
            self._signal, self._column, self._part, chosen, status=status, cause=cause, adjusted=value, min_n=min_n
        )
        return _Row(feature=feature, compared=chosen, rows=self._rows, of_sample=self._of_sample)


def _is_enough(compared: Compared, min_n: int) -> bool:
    return min(one.by_design for one in compared.sizes) >= min_n


def _adjusted(p_values: list[float]) -> list[float]:
    if not p_values:
        return []
    # Benjamini-Hochberg holds for independent tests; times the harmonic sum, for tests of any dependence.
    factor = sum(1 / rank for rank in range(1, len(p_values) + 1))
    return [min(1.0, value * factor) for value in benjamini_hochberg(p_values)]


def _empty() -> Feature:
    return missing("calls", "there are no calls in the two windows")
