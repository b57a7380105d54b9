"""Check the arguments of `evaluate`, and plan the run: keys, and what an earlier run has already paid for."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast
from uuid import uuid4

from llmops_sdk._util._callables import call_style_of
from llmops_sdk.config import Settings, current
from llmops_sdk.datasets import Dataset, Item
from llmops_sdk.errors import ConfigError
from llmops_sdk.evals._stored import has_experiments, newest_models, same_experiment, stored_outputs, stored_scores
from llmops_sdk.evals._types import Scorer
from llmops_sdk.evals.identity._callable_identity import callable_digest, callable_name
from llmops_sdk.evals.identity._digest import digest
from llmops_sdk.evals.running._arguments import TaskArguments
from llmops_sdk.evals.running._plan import Plan, PlannedScorer, Slot, scorer_key, task_key
from llmops_sdk.evals.scorers._named import scorers_of
from llmops_sdk.tracing.spans import _active

__all__ = ["RunOptions", "planned_scorers", "prepare"]

_MAX_CONCURRENCY = 1_000
_MAX_REPEATS = 10_000
_MAX_RESULTS = 1_000_000
_MAX_METADATA = 64 * 1024  # bytes
_MAX_NAME = 200  # characters


class RunOptions(NamedTuple):
    """The optional arguments of `evaluate`, in their order."""

    name: str | None
    repeats: int
    concurrency: int
    resume: bool
    budget: float | None
    timeout: float | None
    scorer_timeout: float | None
    metadata: Mapping[str, Any] | None
    seed: int


def prepare(
    task: Callable[..., Any], dataset: Dataset | Iterable[Any] | str, scorers: Any, options: RunOptions
) -> Plan:
    """Return the plan of a run; see `evaluate` for the arguments.

    Raises:
        ConfigError: An argument is not valid.
        DatasetError: The data set cannot be read.
        StoreError: The store cannot be read.
    """
    noted = _checked(task, options)
    settings = current()
    data = _dataset(dataset)
    repeats = options.repeats
    if len(data.items) * repeats > _MAX_RESULTS:
        raise _invalid("repeats", repeats, f"at most {_MAX_RESULTS:,} results in all; take a sample of the data set")
    task_name = callable_name(task)
    version = digest([callable_digest(task), settings.model, _prompt_stamp()])
    planned = planned_scorers(scorers, settings)
    spec = digest([data.version, version, repeats, [[one.name, one.digest] for one in planned], noted])
    ran_with = ("concurrency", "budget", "timeout", "scorer_timeout", "seed")
    plan = Plan(
        experiment_id=uuid4().hex,
        name=_checked_name(options.name, task_name, data.name),
        start_ns=time.time_ns(),
        task=task,
        arguments=TaskArguments(task),
        task_is_async=call_style_of(task) in {"coroutine", "asyncgen"},
        task_name=task_name,
        task_version=version,
        dataset_name=data.name,
        dataset_version=data.version,
        items=len(data.items),
        repeats=repeats,
        slots=_slots(data.items, repeats, version, options.seed),
        scorers=planned,
        settings=settings,
        concurrency=options.concurrency,
        budget=options.budget,
        timeout=options.timeout,
        scorer_timeout=options.scorer_timeout,
        metadata=noted,
        recorded={"spec": spec, "model": settings.model, **{name: getattr(options, name) for name in ran_with}},
    )
    if options.resume:
        _find_stored(plan, spec)
    return plan


# --- checks -----------------------------------------------------------------------------------------------------------


def _checked(task: object, options: RunOptions) -> dict[str, Any]:
    """Check the arguments, and return the metadata as JSON values."""
    if not callable(task):
        raise _invalid("task", task, "a function of an item's input")
    _check_count("repeats", options.repeats, _MAX_REPEATS)
    _check_count("concurrency", options.concurrency, _MAX_CONCURRENCY)
    for key in ("budget", "timeout", "scorer_timeout"):
        _check_amount(key, getattr(options, key))
    return _checked_metadata(options.metadata)


def _invalid(key: str, value: object, wanted: str) -> ConfigError:
    return ConfigError(f"evaluate: {key} = {repr(value)[:100]} is not valid: give {wanted}", key=key, value=value)


def _check_count(key: str, value: object, largest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise _invalid(key, value, f"a whole number from 1 to {largest:,}")


def _check_amount(key: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise _invalid(key, value, "USD above 0, or None" if key == "budget" else "seconds above 0, or None")


def _checked_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    if metadata is None:
        return {}
    import orjson

    try:
        raw = orjson.dumps(dict(metadata))
        noted = orjson.loads(raw)
    except (TypeError, ValueError) as error:
        raise _invalid("metadata", metadata, "a mapping of JSON values") from error
    if len(raw) > _MAX_METADATA:
        raise _invalid("metadata", metadata, f"at most {_MAX_METADATA:,} bytes of JSON")
    return noted


def _checked_name(name: str | None, task_name: str, dataset_name: str | None) -> str:
    if name is None:
        return task_name if dataset_name is None else f"{task_name}@{dataset_name}"
    if not isinstance(cast("object", name), str) or not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        raise _invalid("name", name, f"1 to {_MAX_NAME} printable characters")
    return name


def _dataset(dataset: Dataset | Iterable[Any] | str) -> Dataset:
    if isinstance(dataset, Dataset):
        return dataset
    if isinstance(dataset, str):
        return Dataset.load(dataset)
    if isinstance(cast("object", dataset), Mapping) or not isinstance(cast("object", dataset), Iterable):
        raise _invalid("dataset", dataset, "a Dataset, the name of a saved one, or a list of rows")
    return Dataset.from_rows(dataset)


def planned_scorers(scorers: Any, settings: Settings) -> list[PlannedScorer]:
    """Return scorers with what does not change during a run.

    Args:
        scorers: A scorer, function or name, or several.
        settings: The settings in force; judges without a model ask the default one.

    Raises:
        ConfigError: One is no scorer, or two have the same name.
    """
    planned: list[PlannedScorer] = []
    for one in scorers_of(scorers):
        identity = dict(one.identity)
        planned.append(
            PlannedScorer(
                name=one.name,
                scorer=one,
                identity=identity,
                digest=digest([one.name, identity, settings.model]),
                is_async=_is_async(one),
            )
        )
    names = [one.name for one in planned]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise _invalid("scorers", double, "each scorer a name of its own, as in @scorer(name=...)")
    return planned


def _is_async(scorer: Scorer) -> bool:
    known = getattr(scorer, "is_async", None)
    return known if isinstance(known, bool) else call_style_of(scorer.score) == "coroutine"


def _prompt_stamp() -> list[str | None]:
    stamp = _active.stamp_of(_active.get())
    return [getattr(stamp, "prompt_name", None), getattr(stamp, "prompt_version", None)]


def _slots(items: Sequence[Item], repeats: int, version: str, seed: int) -> list[Slot]:
    """Return all slots in a random order: what a budget leaves undone is then a random sample."""
    slots = [
        Slot(
            index=position * repeats + repeat,
            position=position,
            item=item,
            item_digest=content,
            repeat=repeat,
            key=task_key(f"{item.id}:{content}", version, repeat),
        )
        for position, (item, content) in enumerate((item, item.digest) for item in items)
        for repeat in range(repeats)
    ]
    random.Random(seed).shuffle(slots)  # noqa: S311 - no secret
    return slots


# --- what an earlier run has paid for ---------------------------------------------------------------------------------


def _find_stored(plan: Plan, spec: str) -> None:
    settings = plan.settings
    if not (settings.enabled and settings.store.enabled):
        plan.warnings.append("the store is off ([store] enabled): an interrupted run cannot be resumed")
        return
    if not settings.capture.content:
        plan.warnings.append("[capture] content is off: outputs are not stored, so a run cannot be resumed")
        return
    folder = settings.store.path.absolute()
    if not has_experiments(folder):
        return
    outputs = stored_outputs(folder, plan.name, [slot.key for slot in plan.slots])
    keys: list[str] = []
    requested: set[str] = set()
    for slot in plan.slots:
        slot.stored = stored = outputs.get(slot.key)
        if stored is not None:
            requested.update(stored.served)
            keys += [scorer_key(slot.key, stored.output_digest, one.digest) for one in plan.scorers]
    if keys:
        plan.stored_scores = stored_scores(folder, plan.name, keys)
        requested.update(name for score in plan.stored_scores.values() for name in score.served)
    plan.newest_models = newest_models(folder, requested)
    before = same_experiment(folder, plan.name, spec)
    if before is not None:
        plan.experiment_id, plan.start_ns = before
