"""`llmops route explain` and `llmops route simulate`."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, cast

import typer

from llmops_sdk.cli._filters import parse_moment
from llmops_sdk.cli._options import Form, Since, Store
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._formats import Format, write_rows
from llmops_sdk.cli.output._reading import query
from llmops_sdk.cli.output._text import defuse
from llmops_sdk.cli.routing._routed_model import Name, Quality, routed_model
from llmops_sdk.errors import LLMOpsError

__all__ = ["explain", "simulate"]

_MOST_PROMPTS = 10_000
_DECISIONS = "SELECT * FROM routes WHERE starts_with(trace_id, $prefix) ORDER BY time LIMIT 1000"
_REASONS: Mapping[str, str] = {
    "cheapest_good_enough": "its expected score, less the price of its cost, is the highest",
    "best": "its expected score is the highest, and no cheaper model is good enough for this prompt",
    "unfamiliar": "no scored prompt is similar, so the default takes it",
    "unproven": "it is not proven that a cheaper model is good enough, so the default takes it",
    "doubtful_scores": "similar prompts seem graded wrongly, so the default takes it",
    "incapable": "the other models cannot take the prompt",
    "pinned": "the kill switch gives it every call",
    "rule": "a rule decided",
    "default": "no rule decided, so the default takes it",
    "explored": "chance decided, to learn",
    "cascade": "the cascade asks the cheapest model first",
    "escalated": "the answer before did not pass",
}


def explain(
    trace: Annotated[str, typer.Argument(metavar="TRACE", help="The trace's id, or its first unique digits.")],
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """Say why the routed calls of a trace went to their models."""
    prefix = trace.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{1,32}", prefix):
        raise UsageError(f'"{trace}" is not a trace id: give 1 to 32 hexadecimal digits')
    found = query(_DECISIONS, {"prefix": prefix}, store=store)
    rows = found.dicts()
    if not rows:
        raise LLMOpsError(f"no trace that starts with {prefix} has a routed call")
    if len({row["trace_id"] for row in rows}) > 1:
        raise LLMOpsError(f"more than one trace with a routed call starts with {prefix}: give more digits")
    if form is not Format.TABLE:
        write_rows(form, found.columns, found.rows(), sys.stdout)
        return
    for row in rows:
        for line in _lines(row):
            print(defuse(line))


def _lines(row: Mapping[str, Any]) -> list[str]:
    mode = f"; shadow mode, so {row['serves']} got the call" if row["mode"] == "shadow" else ""
    rule = f" ({row['rule']})" if row["rule"] else ""
    facts = f"policy {row['policy']}, propensity {_number(row['propensity'])}, version {row['version'] or 'none'}"
    lines = [
        f"{row['router']} -> {row['model']}: {_REASONS.get(row['reason'], row['reason'])}{rule}{mode}",
        f"  span {row['span_id']}, {facts}, familiarity {_number(row['familiarity'])}",
    ]
    for one in _candidates(row["candidates"]):
        able = "" if one.get("able", True) else ", cannot take the prompt"
        quality = f"expected score {_number(one.get('quality'))} +- {_number(one.get('error'))}"
        lines.append(f"  {one.get('model')}: {quality}, expected cost {_number(one.get('cost'))} USD{able}")
    served = row["deployment"] or row["served_model"] or "nobody"
    lines.append(f"  answered by {served}, cost {_number(row['cost'])} USD")
    return lines


def _candidates(text: str | None) -> list[dict[str, Any]]:
    try:
        found: Any = json.loads(text or "[]")
    except ValueError:
        return []
    listed = cast("list[Any]", found) if isinstance(found, list) else []
    return [cast("dict[str, Any]", one) for one in listed if isinstance(one, dict)]


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else "unknown"


def simulate(
    name: Name,
    quality: Quality = None,
    since: Since = None,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """Show where the trained router would send stored calls."""
    from llmops_sdk.routing._stored import stored_prompts

    found = routed_model(name, store)
    router, settings = found.router(), found.resolved.router
    wanted = settings.quality if quality is None else quality
    moment = parse_moment(since, datetime.now(UTC).replace(tzinfo=None))
    calls: Counter[tuple[str, str]] = Counter()
    scores: defaultdict[tuple[str, str], float] = defaultdict(float)
    costs: dict[tuple[str, str], float | None] = {}
    prompts = stored_prompts(found.resolved.route, since=moment, limit=_MOST_PROMPTS, path=found.store)
    for prompt, kind in prompts:
        max_cost = settings.max_cost if quality is None else None
        route = router.choose(prompt, quality=None if max_cost is not None else wanted, max_cost=max_cost, kind=kind)
        key = route.model, route.reason
        calls[key] += 1
        scores[key] += route.expected_quality.get(route.model, 0.0)
        costs[key] = route.expected_cost.get(route.model)
    if not prompts:
        raise LLMOpsError("no stored call was made with a model of this route")
    rows = [
        (*key, count, count / len(prompts), scores[key] / count if scores[key] else None, costs[key])
        for key, count in calls.most_common()
    ]
    write_rows(form, ("model", "reason", "calls", "share", "expected_quality", "expected_cost"), rows, sys.stdout)
