"""`Canary`: ask a model the same again and again, and find out that it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from llmops_sdk._util._public import public
from llmops_sdk.config import CanarySettings, Settings, current
from llmops_sdk.drift._report import DriftReport
from llmops_sdk.drift.canaries._check import report_of
from llmops_sdk.drift.canaries._days import DayKey, read_days
from llmops_sdk.drift.canaries._identity import identity_feature
from llmops_sdk.drift.canaries._plan import Scorer, make_plan, named_scorer
from llmops_sdk.drift.canaries._quality import quality_features, read_outcomes
from llmops_sdk.drift.canaries._runner import CanaryRun, run_plan, spent_today
from llmops_sdk.drift.canaries._stored import read_segments, write_report
from llmops_sdk.errors import ConfigError
from llmops_sdk.store._record_writer import RecordWriter, open_record_writer

__all__ = ["Canary"]


@public("llmops_sdk.drift")
class Canary:
    """Find out that the model behind a name has changed: by the same prompts, asked again and again.

    An identity canary asks prompts with one-token answers at temperature 1, several times a day, and compares the
    distributions of the answers. A quality canary runs the items of a data set, scores the outputs, and compares the
    scores item by item. `run` makes the calls of one run; `check` compares all stored runs. `Canary.identity` and
    `Canary.quality` do the same for data at hand.

    The calls of canaries are traces with the tag and the attribute `llmops.canary`. They go around the cache, count
    in the budget of the canary, and are retried as configured.

    Args:
        settings: The canary, as in `[[canaries]]`. Or give its fields by name.
        score: For quality: a function that gets an output and what is expected, and returns a number; instead of
            `scorer` of the settings.
        path: The store's folder; the configured one by default.
        fields: The fields of `CanarySettings`, such as `name`, `model`, `prompts`, `samples`.

    Raises:
        ConfigError: A field is unknown or not valid.

    Example:
        >>> from llmops_sdk.drift import Canary
        >>> canary = Canary(name="echo", model="offline/echo", prompts=["Say yes or no."], samples=2)
        >>> run = canary.run()
        >>> run.answered, run.stopped
        (2, None)
        >>> canary.check().status
        'not_enough_data'
    """

    def __init__(
        self, settings: CanarySettings | None = None, *, score: Scorer | None = None, path: Path | None = None,
        **fields: Any,
    ) -> None:  # fmt: skip
        if settings is not None and fields:
            raise ConfigError("give settings or fields by name, not both", key="settings")
        if score is not None and settings is None:
            fields.setdefault("scorer", "given")
        self.settings = CanarySettings(**fields) if settings is None else settings
        self._score = score
        self._path = path

    @staticmethod
    def identity(
        samples: Iterable[Any], *, alpha: float = 0.01, name: str = "", today: DayKey | None = None
    ) -> DriftReport:
        """Find out from the answers of many days whether the model that gave them has changed.

        The first days are the reference, until most prompts have 50 answers. The next eight days show how much days
        differ. Then a chart of the distances to the reference raises an alarm: after three days or so of a partial
        roll-out, on the same day for another model. Days without answers are "no_data", not drift.

        Args:
            samples: Mappings with `day` (a date, a time, ISO text, or a number), `prompt`, and `answer` or a list
                `answers`; or tuples of the three. Their order is of no matter. Times are days in UTC.
            alpha: The chance of a false alarm in 40 days, about.
            name: The name of the canary, for the report.
            today: The current day; answers of later days are left out and counted: a clock is wrong.

        Raises:
            ConfigError: A sample has another form.
            NotComparableError: There is one answer a prompt and day, or the prompts were changed.

        Example:
            >>> from llmops_sdk.drift import Canary
            >>> days = [(day, "Heads or tails?", ["heads", "tails"] * 25) for day in range(12)]
            >>> days += [(day, "Heads or tails?", ["edge"] * 50) for day in range(12, 15)]
            >>> report = Canary.identity(days)
            >>> report.drifted, report.features[0].details["events"]
            (True, [12])
        """
        _check_alpha(alpha)
        feature = identity_feature(read_days(samples, today=today), alpha=alpha)
        return DriftReport(kind="identity", name=name, features=(feature,))

    @staticmethod
    def quality(
        before: Iterable[Any], after: Iterable[Any], *, alpha: float = 0.01, seed: int = 0, low: float = 0.0,
        high: float = 1.0, min_n: int = 10, name: str = "",
    ) -> DriftReport:  # fmt: skip
        """Find out whether a model has become better or worse on the same items.

        The paired test may be looked at after each item; `details["stopped_at"]` says after how many items the
        difference was certain. The items are shuffled with the seed. Where answers are given, two more features say
        whether fewer items are answered, and whether the answers are given in other shares: changed is not worse.

        Args:
            before: Scores, one an item; None where one is missing. Or mappings with `item_id`, `score`, and maybe
                `answer` (a short one, such as an option's letter; None where there is none) and `trace_id`.
            after: The same items now.
            alpha: The chance of a false alarm of each feature, over all looks.
            seed: Shuffles the items.
            low: The lowest possible score.
            high: The highest possible score.
            min_n: Fewer pairs are "not enough data".
            name: The name of the canary, for the report.

        Raises:
            ConfigError: A row has another form, a score is out of its range, or the lists have other lengths.
            NotComparableError: No item is in both.

        Example:
            >>> from llmops_sdk.drift import Canary
            >>> report = Canary.quality([1, 1, 1, 0] * 25, [1, 0, 0, 0] * 25)
            >>> report.drifted, report.reason
            (True, 'the mean of score went from 0.750 to 0.250 on 100 items (worse)')
        """
        _check_alpha(alpha)
        if not low < high:
            raise ConfigError(f"low is {low} and high is {high}: give the bounds of the scores, low first", key="low")
        first, second = list(before), list(after)
        if len(first) != len(second) and not any(isinstance(one, dict) for one in (*first[:1], *second[:1])):
            raise ConfigError(
                f"there are {len(first)} scores before and {len(second)} after: give one an item on both sides, or "
                "rows with item_id",
                key="after",
            )
        features = quality_features(
            read_outcomes(first, "before", low, high), read_outcomes(second, "after", low, high), alpha=alpha,
            seed=seed, low=low, high=high, min_n=min_n,
        )  # fmt: skip
        return DriftReport(kind="quality", name=name, features=features)

    def run(self, *, concurrency: int = 8) -> CanaryRun:
        """Make the calls of one run, and write their answers to the view `canary_runs`.

        A call that fails, after its retries, is a row with its error. The budget of the day is a hard bound: a call
        whose estimated cost does not fit is not made.

        Args:
            concurrency: How many calls are made at once.

        Raises:
            ConfigError: The model or the scorer is unknown, the store is off, or its settings leave out the answers.
            DatasetError: The data set is unknown.
            StoreError: The store cannot be read or written.
        """
        if concurrency < 1:
            raise ConfigError(f"concurrency is {concurrency}: give at least 1", key="concurrency", value=concurrency)
        canary, settings = self.settings, self._stored_settings()
        if canary.kind == "identity" and not settings.capture.content:
            raise ConfigError(
                "capture.content = false leaves the answers out of the store, and an identity canary compares them: "
                "use a quality canary, which stores scores",
                key="capture.content",
            )
        scorer = None
        if canary.kind == "quality":
            scorer = self._score or named_scorer(str(canary.scorer))
        plan = make_plan(canary, settings)
        left = None
        if canary.budget_usd is not None:
            left = canary.budget_usd - spent_today(canary.name, path=settings.store.path)
            if left <= 0:
                return CanaryRun(canary=canary.name, not_run=len(plan.items) * plan.repeats, stopped="budget")
        writer = self._writer(settings)
        try:
            return run_plan(canary, plan, writer, left=left, scorer=scorer, concurrency=concurrency)
        finally:
            writer.close()

    async def arun(self, *, concurrency: int = 8) -> CanaryRun:
        """Make the calls of one run, async: in threads, while the event loop goes on.

        Args:
            concurrency: How many calls are made at once.

        Raises:
            ConfigError: The model or the scorer is unknown, the store is off, or its settings leave out the answers.
            DatasetError: The data set is unknown.
            StoreError: The store cannot be read or written.
        """
        return await asyncio.to_thread(self.run, concurrency=concurrency)

    def check(self, *, since: float | None = None) -> DriftReport:
        """Compare the stored runs, and write what is found to the view `drift_checks`.

        Runs under the newest configuration of ours are compared with each other. A difference to the runs before it
        has the status "ours", and the cause "model" or "configuration". An alarm lasts: once you have accepted the
        change, give the time since when the answers are as they should be.

        Args:
            since: Only runs from this time on, in seconds since the epoch.

        Raises:
            ConfigError: The store is off.
            NotComparableError: There is one answer a prompt and day.
            StoreError: The store cannot be read or written.
        """
        settings = self._stored_settings()
        # Opened first: it creates a store that does not exist yet.
        writer = self._writer(settings)
        try:
            segments, future = read_segments(
                self.settings.name, self.settings.kind, since=since, path=settings.store.path
            )
            return write_report(writer, report_of(self.settings, segments, future))
        finally:
            writer.close()

    def _stored_settings(self) -> Settings:
        settings = current()
        if self._path is None:
            return settings
        return settings.model_copy(update={"store": settings.store.model_copy(update={"path": self._path})})

    def _writer(self, settings: Settings) -> RecordWriter:
        writer = open_record_writer(settings)
        if writer is None:
            raise ConfigError("the store is off: a canary stores its answers there", key="store.enabled")
        return writer


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha is {alpha}: give a number above 0 and below 1", key="alpha", value=alpha)
