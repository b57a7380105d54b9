"""Read experiments back from the store: outputs and scores to use again, and whole experiments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from llmops_sdk.errors import LLMOpsError
from llmops_sdk.evals._types import ScoreResult
from llmops_sdk.store import query
from llmops_sdk.store.reading._query import StorePath, store_folder

__all__ = [
    "StoredOutput",
    "StoredScore",
    "has_experiments",
    "newest_models",
    "read_experiment",
    "same_experiment",
    "stored_outputs",
    "stored_scores",
]

_OUTPUT = "output output_digest trace_id duration_ms cost input_tokens output_tokens models served"
_SCORE = "scorer status value label comment passed metadata cost scorer_trace_id served"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOutput:
    """An output of an earlier run."""

    experiment_id: str
    output: Any
    output_digest: str
    trace_id: str | None
    duration_ms: float | None
    cost: float | None
    input_tokens: int | None
    output_tokens: int | None
    models: tuple[str, ...]
    served: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredScore:
    """A score of an earlier run."""

    experiment_id: str
    result: ScoreResult
    served: Mapping[str, Any] = field(default_factory=dict[str, Any])


def _loads(text: str | None, default: Any = None) -> Any:
    return default if text is None else orjson.loads(text)


def has_experiments(folder: Path) -> bool:
    """Return whether a store may have rows of experiments; reading it would cost the import of DuckDB.

    Args:
        folder: The store's folder.
    """
    return any(any(one.glob("*.*")) for one in (folder / "experiments", folder / "experiment_items") if one.is_dir())


def same_experiment(folder: Path, name: str, spec: str) -> tuple[str, int] | None:
    """Return the id and the start, in nanoseconds, of the latest experiment of a series that was to do the same.

    Args:
        folder: The store's folder.
        name: The series.
        spec: The digest of everything that defines the experiment.
    """
    rows = query(
        "SELECT experiment_id, start_ns FROM experiments WHERE name = $name AND settings->>'spec' = $spec "
        "ORDER BY start_ns DESC LIMIT 1",
        {"name": name, "spec": spec},
        path=folder,
    ).rows()
    return rows[0] if rows else None


def stored_outputs(folder: Path, name: str, keys: Sequence[str]) -> dict[str, StoredOutput]:
    """Return the newest good output for each key that has one.

    Args:
        folder: The store's folder.
        name: The series of experiments to look in.
        keys: The keys of tasks.
    """
    rows = query(
        f"SELECT i.task_key, i.experiment_id, {_listed('i', _OUTPUT)} FROM experiment_items i "  # noqa: S608 - constants
        "JOIN experiments e USING (experiment_id) WHERE e.name = $name AND i.status = 'ok' "
        "AND i.task_key IN (SELECT unnest($keys::VARCHAR[])) "
        "QUALIFY row_number() OVER (PARTITION BY i.task_key ORDER BY i.time DESC) = 1",
        {"name": name, "keys": list(keys)},
        path=folder,
    )
    found: dict[str, StoredOutput] = {}
    for key, experiment_id, output, content, trace_id, duration, cost, tokens_in, tokens_out, models, served in rows:
        found[key] = StoredOutput(
            experiment_id=experiment_id,
            output=_loads(output),
            output_digest=content,
            trace_id=trace_id,
            duration_ms=duration,
            cost=cost,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            models=tuple(models or ()),
            served=_loads(served, {}),
        )
    return found


def stored_scores(folder: Path, name: str, keys: Sequence[str]) -> dict[str, StoredScore]:
    """Return the newest good score for each key that has one.

    Args:
        folder: The store's folder.
        name: The series of experiments to look in.
        keys: The keys of scorers.
    """
    rows = query(
        f"SELECT s.scorer_key, s.experiment_id, {_listed('s', _SCORE)} FROM experiment_scores s "  # noqa: S608 - constants
        "JOIN experiments e USING (experiment_id) WHERE e.name = $name AND s.status IN ('ok', 'skipped') "
        "AND s.scorer_key IN (SELECT unnest($keys::VARCHAR[])) "
        "QUALIFY row_number() OVER (PARTITION BY s.scorer_key ORDER BY s.time DESC) = 1",
        {"name": name, "keys": list(keys)},
        path=folder,
    )
    found: dict[str, StoredScore] = {}
    for key, experiment_id, scorer, status, value, label, comment, passed, metadata, cost, trace_id, served in rows:
        result = ScoreResult(
            scorer=scorer,
            status=status,
            value=value,
            label=label,
            comment=comment,
            passed=passed,
            metadata=_loads(metadata, {}),
            cost=cost,
            trace_id=trace_id,
            reused=True,
        )
        found[key] = StoredScore(experiment_id=experiment_id, result=result, served=_loads(served, {}))
    return found


def newest_models(folder: Path, requested: Iterable[str]) -> dict[str, str]:
    """Return the model that served the newest call of each requested one, where the store has such a call.

    Answers of the cache, of fallbacks and of repeated attempts do not count: they do not tell who serves the name.

    Args:
        folder: The store's folder.
        requested: The models as callers or the configuration wrote them.
    """
    names = sorted(set(requested))
    if not names:
        return {}
    rows = query(
        "SELECT attributes->>'llmops.model.name' AS requested, arg_max(model, start_time) FROM llm_calls "
        "WHERE status = 'ok' AND cache IS NULL AND coalesce(attempts, 1) = 1 AND model IS NOT NULL "
        "AND attributes->>'llmops.model.name' IN (SELECT unnest($names::VARCHAR[])) GROUP BY ALL",
        {"names": names},
        path=folder,
    )
    return dict(rows)


def _listed(table: str, names: str) -> str:
    return ", ".join(f"{table}.{name}" for name in names.split())


# --- whole experiments ------------------------------------------------------------------------------------------------

_ITEM = (
    "item_id repeat status error_type error input output expected metadata trace_id duration_ms cost input_tokens "
    "output_tokens models reused"
)
_SCORE_OF_ITEM = "scorer status value label comment passed metadata error_type error cost reused scorer_trace_id"
_ITEM_JSON = ("input", "output", "expected", "metadata")
_OF_EXPERIMENT = "experiment_id name dataset_name dataset_version task_name task_version scorers repeats items metadata"


def read_experiment(name_or_id: str, path: StorePath | None = None, *, by_id: bool = True) -> dict[str, Any]:
    """Return a stored experiment, as `Experiment.to_dict` does.

    Args:
        name_or_id: The id of an experiment, or the name of a series, of which the latest one is meant.
        path: The store's folder; by default the configured one.
        by_id: Whether it may be an id.

    Raises:
        LLMOpsError: There is no such experiment.
    """
    folder = store_folder(path)
    rows = query(
        f"SELECT {_listed('e', _OF_EXPERIMENT)}, e.status, e.reason, e.warnings, e.start_ns, epoch(e.end_time) "  # noqa: S608 - constants
        "FROM experiments e WHERE e.name = $name OR ($by_id AND e.experiment_id = $name) "
        "ORDER BY (e.experiment_id = $name) DESC, e.start_ns DESC LIMIT 1",
        {"name": name_or_id, "by_id": by_id},
        path=folder,
    ).rows()
    if not rows:
        raise LLMOpsError(f"the store {folder} has no experiment {name_or_id!r}: {_known(folder)}")
    head = dict(zip([*_OF_EXPERIMENT.split(), "status", "reason", "warnings", "start_ns", "end"], rows[0], strict=True))
    results = _results(folder, head["experiment_id"])
    warnings = _loads(head["warnings"], [])
    missing = head["items"] * head["repeats"] - len(results)
    if missing > 0 and head["status"] != "completed":
        warnings = [*warnings, f"{missing} of {head['items'] * head['repeats']} results are missing: it did not finish"]
    return {
        "format": 1,
        "id": head["experiment_id"],
        **{name: head[name] for name in ("name", "dataset_name", "dataset_version", "status", "reason", "repeats")},
        "task_name": head["task_name"],
        "task_version": head["task_version"],
        "started": head["start_ns"] / 1e9,
        "ended": head["end"],
        "scorers": _loads(head["scorers"], {}),
        "metadata": _loads(head["metadata"], {}),
        "warnings": warnings,
        "results": results,
    }


def _known(folder: Path) -> str:
    names = query("SELECT name FROM experiments GROUP BY name ORDER BY max(start_ns) DESC LIMIT 5", path=folder).rows()
    return "it has none" if not names else "the latest are " + ", ".join(repr(name) for (name,) in names)


def _results(folder: Path, experiment_id: str) -> list[dict[str, Any]]:
    given = {"id": experiment_id}
    scores: dict[tuple[str, int], list[dict[str, Any]]] = {}
    columns = _SCORE_OF_ITEM.split()
    # A resumed run may have replaced an output and not scored it again, because it failed or the run was stopped. The
    # scores of the output before it are not scores of this one.
    for item_id, repeat, *values in query(
        f"SELECT s.item_id, s.repeat, {_listed('s', _SCORE_OF_ITEM)} FROM experiment_scores s "  # noqa: S608 - constants
        "JOIN experiment_items i USING (experiment_id, item_id, repeat) WHERE s.experiment_id = $id "
        "AND s.time >= i.time AND s.trace_id IS NOT DISTINCT FROM i.trace_id ORDER BY s.time",
        given,
        path=folder,
    ):
        score = {name: value for name, value in zip(columns, values, strict=True) if value is not None}
        score["metadata"] = _loads(score.pop("metadata", None), {})
        if "scorer_trace_id" in score:
            score["trace_id"] = score.pop("scorer_trace_id")
        scores.setdefault((item_id, repeat), []).append(score)
    results: list[dict[str, Any]] = []
    names = _ITEM.split()
    for values in query(
        f"SELECT {', '.join(names)} FROM experiment_items WHERE experiment_id = $id ORDER BY position, repeat",  # noqa: S608 - constants
        given,
        path=folder,
    ):
        row = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        row.update({name: _loads(row[name]) for name in _ITEM_JSON if name in row})
        row["scores"] = scores.get((row["item_id"], row["repeat"]), [])
        results.append(row)
    return results
