"""Read from the store what a router learns from: scored prompts, who served them, and how likely that was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from llmops_sdk.config import ResolvedModel, current, resolve_model
from llmops_sdk.providers._types import model_name
from llmops_sdk.routing.features._asked import asked_text
from llmops_sdk.store import query as run_query

__all__ = ["ScoredCall", "ScoredPrompts", "scored_calls", "scored_prompts", "stored_prompts"]

_MOST_ROWS = 40_000
_CALLS = """
WITH judged AS (
    SELECT span_id, trace_id, target, source, value FROM scores
    WHERE name = $score AND value IS NOT NULL AND target IN ('span', 'trace')
      AND ($source IS NULL OR source = $source)
), calls AS (
    SELECT trace_id, span_id, start_time, input_messages, coalesce(prompt_name, '') AS kind, request_model, deployment,
        cost, attempts, count(*) OVER (PARTITION BY trace_id) AS in_trace
    FROM llm_calls
    WHERE operation = 'chat' AND cache IS NULL AND status = 'ok' AND input_messages IS NOT NULL
      AND ($since IS NULL OR start_time >= $since)
), scored AS (
    SELECT c.span_id, avg(j.value) AS score, max(j.value) AS largest, min(j.value) AS least
    FROM calls c JOIN judged j ON (j.target = 'span' AND j.span_id = c.span_id)
        OR (j.target = 'trace' AND j.trace_id = c.trace_id AND c.in_trace = 1)
    GROUP BY c.span_id
), served AS (
    SELECT span_id, arg_max(model, start_time) AS model, arg_max(deployment, start_time) AS deployment,
        arg_max(cost, start_time) AS cost
    FROM attempts WHERE status = 'ok' GROUP BY span_id
), decided AS (
    SELECT span_id, arg_max(propensity, time) AS propensity FROM routes GROUP BY span_id
)
SELECT c.input_messages AS input, c.kind AS kind, coalesce(a.deployment, c.deployment) AS deployment,
    coalesce(a.model, c.request_model) AS model, s.score AS score,
    CASE WHEN a.cost IS NOT NULL THEN a.cost WHEN coalesce(c.attempts, 1) <= 1 THEN c.cost END AS cost,
    coalesce(d.propensity, 1.0) AS propensity
FROM calls c JOIN scored s USING (span_id) LEFT JOIN served a USING (span_id) LEFT JOIN decided d USING (span_id)
ORDER BY c.start_time DESC, c.span_id LIMIT $limit
"""
"""One row a scored call. A score of a whole trace counts for its call where there is only one. Answers of our cache are
left out: who gave them is not known."""


_PROMPTS = f"""
SELECT c.input_messages AS input, coalesce(c.prompt_name, '') AS kind, c.deployment AS deployment,
    c.request_model AS model FROM llm_calls c
WHERE c.operation = 'chat' AND c.input_messages IS NOT NULL AND ($since IS NULL OR c.start_time >= $since)
ORDER BY c.start_time DESC, c.span_id LIMIT {_MOST_ROWS}
"""  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class ScoredCall:
    """A scored call: what a person asked, by what name, which model of the route served it, if any, and its score."""

    prompt: str
    kind: str
    model: str | None
    score: float
    cost: float | None
    propensity: float


@dataclass(slots=True)
class _Cell:
    """What is known of one model's answers to one prompt."""

    scores: list[float] = field(default_factory=list[float])
    costs: list[float] = field(default_factory=list[float])
    propensity: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredPrompts:
    """What `Router.fit` takes, from the store.

    Attributes:
        prompts: What a person asked, each text once.
        scores: By model, the mean score of its answers to each prompt, or None.
        costs: By model, the mean USD, or None.
        kinds: The prompt's name of each, or None where no prompt has one.
        propensities: By model, the probability with which each score was observed.
        left_out: Scored calls that no model of the route served.
    """

    prompts: list[str]
    scores: dict[str, list[float | None]]
    costs: dict[str, list[float | None]]
    kinds: list[str] | None
    propensities: dict[str, list[float]]
    left_out: int


def scored_prompts(
    score: str,
    route: Sequence[str],
    *,
    since: datetime | None,
    source: str | None,
    query: str | None,
    path: str | os.PathLike[str] | None,
) -> ScoredPrompts:
    """Return the prompts of scored calls, paired by their text: a row has the scores of all models that answered it.

    Args:
        score: The name of the scores.
        route: The models, as `[models]` or calls name them.
        since: Only calls that began at this time or later.
        source: Only scores of this source. Default: the mean over the sources.
        query: Instead of the standard one: a SELECT over the views with the columns `prompt`, `model`, `score`, and if
            known `cost`, `kind` and `propensity`.
        path: The store's folder. Default: the configured one.

    Raises:
        ValueError: A score is not from 0 to 1, or the query lacks a column.
        QueryError: The query is not valid.
    """
    names = _names_of(route)
    prompts: dict[str, dict[str, _Cell]] = {}
    kinds: dict[str, str] = {}
    left_out = 0
    rows = _own_rows(query, route, path) if query is not None else _stored_rows(score, since, source, names, path)
    for row in rows:
        if row.model is None:
            left_out += 1
            continue
        _check_score(score, row)
        cell = prompts.setdefault(row.prompt, {}).setdefault(row.model, _Cell())
        cell.scores.append(row.score)
        cell.costs += [] if row.cost is None else [row.cost]
        cell.propensity = max(cell.propensity, row.propensity)
        if row.kind:
            kinds.setdefault(row.prompt, row.kind)
    return _columns(prompts, kinds, route, left_out)


def scored_calls(
    score: str,
    route: Sequence[str],
    *,
    since: datetime | None,
    source: str | None,
    path: str | os.PathLike[str] | None,
) -> list[ScoredCall]:
    """Return the latest scored calls, in the order of time.

    Args:
        score: As for `scored_prompts`.
        route: Likewise.
        since: Likewise.
        source: Likewise.
        path: Likewise.

    Raises:
        ValueError: A score is not from 0 to 1.
    """
    rows = list(_stored_rows(score, since, source, _names_of(route), path))
    for row in rows:
        _check_score(score, row)
    return rows[::-1]


def _check_score(score: str, row: ScoredCall) -> None:
    if not 0 <= row.score <= 1:
        raise ValueError(f"a score {score!r} is {row.score}, not from 0 to 1: give a query that scales them")


def _stored_rows(
    score: str,
    since: datetime | None,
    source: str | None,
    names: Mapping[str, str],
    path: str | os.PathLike[str] | None,
) -> Iterable[ScoredCall]:
    values = {"score": score, "since": _naive(since), "source": source, "limit": _MOST_ROWS}
    found = run_query(_CALLS, values, path=path)
    for row in found.dicts():
        prompt = asked_text(_messages(row["input"]))
        if prompt.strip():
            model = names.get(f"deployment {row['deployment']}") or names.get(f"model {row['model']}")
            yield ScoredCall(prompt, row["kind"], model, row["score"], row["cost"], _probability(row["propensity"]))


def stored_prompts(
    route: Sequence[str], *, since: datetime | None, limit: int, path: str | os.PathLike[str] | None
) -> list[tuple[str, str]]:
    """Return what people asked in the latest calls that models of a route served, each with the prompt's name or "".

    Args:
        route: The models.
        since: Only calls that began at this time or later.
        limit: The most prompts.
        path: The store's folder. Default: the configured one.
    """
    names = _names_of(route)
    found: list[tuple[str, str]] = []
    for row in run_query(_PROMPTS, {"since": _naive(since)}, path=path).dicts():
        if names.get(f"deployment {row['deployment']}") or names.get(f"model {row['model']}"):
            prompt = asked_text(_messages(row["input"]))
            found += [(prompt, row["kind"])] if prompt.strip() else []
        if len(found) >= limit:
            break
    return found


def _naive(moment: datetime | None) -> datetime | None:
    """Return a time as the store has it: UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment is not None and moment.tzinfo else moment


def _own_rows(query: str, route: Sequence[str], path: str | os.PathLike[str] | None) -> Iterable[ScoredCall]:
    found = run_query(query, path=path)
    missing = sorted({"prompt", "model", "score"} - set(found.columns))
    if missing:
        raise ValueError(f"the query has no column {missing[0]!r}: it needs prompt, model and score")
    for row in found.dicts():
        if row["prompt"] is None or row["score"] is None:
            continue
        yield ScoredCall(
            asked_text(str(row["prompt"])),
            str(row.get("kind") or ""),
            row["model"] if row["model"] in route else None,
            float(row["score"]),
            row.get("cost"),
            _probability(row.get("propensity")),
        )


def _probability(value: object) -> float:
    number = float(cast("float", value)) if isinstance(value, int | float) else 1.0
    return number if 0 < number <= 1 else 1.0


def _names_of(route: Sequence[str]) -> dict[str, str]:
    """Return the name in the route by what served: by the deployment, else by the model without its provider."""
    settings = current()
    names: dict[str, str] = {}
    resolved: list[tuple[str, ResolvedModel]] = [(name, resolve_model(settings, name)) for name in route]
    for name, one in resolved:
        for deployment in (one.deployment, *one.deployments):
            names.setdefault(f"deployment {deployment}", name)
    for name, one in resolved:
        names.setdefault(f"model {model_name(one.model)}", name)
    return names


def _messages(stored: object) -> list[dict[str, Any]]:
    """Return stored messages in the OpenAI chat shape, with their texts only."""
    try:
        found: Any = json.loads(stored) if isinstance(stored, str) else stored
    except ValueError:
        return []
    messages: list[dict[str, Any]] = []
    for message in cast("list[Any]", found if isinstance(found, list) else []):
        if not isinstance(message, Mapping):
            continue
        named = cast("Mapping[str, Any]", message)
        parts = named.get("parts", named.get("content"))
        texts = [
            str(part.get("content") or part.get("text") or "")
            for part in cast("list[dict[str, Any]]", parts if isinstance(parts, list) else [])
            if isinstance(part, Mapping) and part.get("type") == "text"  # pyright: ignore[reportUnnecessaryIsInstance]
        ]
        content = parts if isinstance(parts, str) else "\n".join(texts)
        messages.append({"role": named.get("role"), "content": content})
    return messages


def _columns(
    prompts: Mapping[str, Mapping[str, _Cell]], kinds: Mapping[str, str], route: Sequence[str], left_out: int
) -> ScoredPrompts:
    texts = sorted(prompts)  # whatever the order in the store: equal data gives an equal router
    empty = _Cell()
    cells = {name: [prompts[text].get(name, empty) for text in texts] for name in route}
    return ScoredPrompts(
        prompts=texts,
        scores={name: [_mean(cell.scores) for cell in column] for name, column in cells.items()},
        costs={name: [_mean(cell.costs) for cell in column] for name, column in cells.items()},
        kinds=[kinds.get(text, "") for text in texts] if kinds else None,
        propensities={name: [cell.propensity for cell in column] for name, column in cells.items()},
        left_out=left_out,
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(sorted(values)) / len(values) if values else None
