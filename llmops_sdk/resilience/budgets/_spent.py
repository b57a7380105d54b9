"""Read from the local store what the open windows of budgets have spent."""
# ruff: noqa: S608 - the statement consists of constants; every value is a parameter

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llmops_sdk._util._guard import guarded
from llmops_sdk.config import BudgetSettings, Settings
from llmops_sdk.errors import LLMOpsError
from llmops_sdk.resilience.budgets._budgets import StartReader
from llmops_sdk.resilience.budgets._policy import MOST_TAGS, Policy
from llmops_sdk.resilience.budgets._windows import Window, window_at
from llmops_sdk.shared._state import SharedState
from llmops_sdk.tracing.records import _semconv as sc

__all__ = ["KeySpending", "read_spending", "read_start", "start_reader"]

_log = logging.getLogger("llmops_sdk")

_MOST_KEYS = 10_000
"""Keys of one budget that are read at the start, those with the largest sums first."""
_TIMEOUT = 2.0  # seconds
_SHORTEST = 3_600.0
"""Seconds: a shorter window is soon over, and is not read."""

# Calls that other libraries made count in no budget, and have no such name.
_NAME = f"attributes->>'{sc.MODEL_NAME}'"
_TARGET = f"attributes->>'{sc.MODEL_TARGET}'"
_KEYS = {
    "all": "''",
    "model": f"coalesce(deployment, {_NAME})",
    "user": "coalesce(user_id, '')",
    "session": "coalesce(session_id, '')",
    "run": "trace_id",
    "tag": f"unnest(CASE WHEN len(tags) = 0 THEN [''] ELSE tags[1:{MOST_TAGS}] END)",
}
# The model may have worked in vain after these errors; the others are answers that cost nothing, or no call was made.
_COSTLY = "('ProviderTimeoutError', 'ProviderConnectionError', 'StreamInterruptedError', 'IncompleteResponseError')"
_SHAPE = '[{"name":"VARCHAR","attributes":{"status":"VARCHAR","error_type":"VARCHAR","cost":"DOUBLE"}}]'
# Most calls have one attempt, which succeeded: no JSON is read for them.
_TRIES = f"""CASE WHEN status = 'ok' AND attempts = 1 THEN [] ELSE coalesce(
    [e.attributes FOR e IN from_json(events, '{_SHAPE}') IF e.name = '{sc.EVENT_ATTEMPT}'], []) END"""
_VAIN = f"[t FOR t IN tries IF t.status = 'cancelled' OR (t.status = 'error' AND t.error_type IN {_COSTLY})]"
# Whether the call itself counts, besides its attempts in vain: it was answered, or attempts were not yet recorded.
_COUNTS = f"""cache IS NULL AND coalesce(attempts, 1) > 0 AND (cost IS NOT NULL OR input_tokens IS NOT NULL
    OR CASE WHEN len(tries) > 0 THEN list_contains([t.status FOR t IN tries], 'ok')
        ELSE status <> 'error' OR regexp_extract(error_type, '[^.]*$') IN {_COSTLY} END)"""
# The usage of a call without an answer is that of its last attempt, which must not count twice.
_MORE = """len(vain) - (len(vain) > 0 AND (cost IS NOT NULL OR input_tokens IS NOT NULL)
    AND NOT list_contains([t.status FOR t IN tries], 'ok'))::INT"""
# Four characters are about a token, as in the estimate before a call.
_PROMPT = "coalesce(input_tokens, length(input::VARCHAR) // 4, 0)"
_ANSWER = "coalesce(output_tokens, length(output::VARCHAR) // 4, 0)"
_AMOUNTS = {
    "tokens": f"({_COUNTS})::INT * ({_PROMPT} + {_ANSWER}) + more * ({_PROMPT} + CASE WHEN {_COUNTS} THEN 0 "
    f"ELSE {_ANSWER} END)",
    "usd": f"""({_COUNTS})::INT * coalesce(cost, $unknown_{{n}})
        + more * coalesce(list_avg([t.cost FOR t IN vain]), cost, $unknown_{{n}})""",
}


@dataclass(frozen=True, slots=True)
class KeySpending:
    """What one key of a budget has spent in the open window.

    Attributes:
        policy: The budget.
        window: The open window.
        key: The user, the session and so on; "" for "all", and for calls without one.
        spent: The amount, in the budget's unit.
    """

    policy: Policy
    window: Window
    key: str
    spent: float


def read_spending(
    budgets: Sequence[BudgetSettings],
    now: float,
    path: Path | None,
    *,
    timeout: float | None = None,
    most: int = _MOST_KEYS,
) -> list[KeySpending]:
    """Return what the keys of budgets have spent, in the order of the budgets and the largest sums first.

    An attempt in vain (a hedge that lost, a time-out, a stream that was closed early) counts with its cost, or else
    with an estimate from the texts of the call. A budget of all calls together has a row even if nothing is spent.

    Args:
        budgets: The budgets.
        now: The time, in seconds since the epoch.
        path: The store's folder; None for the configured one.
        timeout: Seconds, or None.
        most: The most keys of one budget.

    Raises:
        StoreError: The store cannot be read.
        QueryError: The query took too long.
    """
    if not budgets:
        return []
    from llmops_sdk.store import query  # a program without budgets does not load the database

    opened = [(Policy(settings), window_at(settings, now)) for settings in budgets]
    params: dict[str, Any] = {}
    parts = [_part(number, policy, window, params, most) for number, (policy, window) in enumerate(opened)]
    statement = "\nUNION ALL\n".join(parts) + "\nORDER BY budget, spent DESC, key"
    rows = query(statement, params or None, path=path, timeout=timeout).rows()
    sums = [(int(number), str(key), float(spent)) for number, key, spent in rows]
    spending = {number for number, _, _ in sums}
    sums += [(n, "", 0.0) for n, one in enumerate(budgets) if one.per == "all" and n not in spending]
    sums.sort(key=lambda one: one[0])
    return [KeySpending(*opened[number], key, spent) for number, key, spent in sums]


def _part(number: int, policy: Policy, window: Window, params: dict[str, Any], most: int) -> str:
    settings, conditions = policy.settings, [f"{_NAME} IS NOT NULL"]
    if window.start != -math.inf:
        params[f"start_{number}"] = datetime.fromtimestamp(window.start, UTC).replace(tzinfo=None)
        conditions.append(f"start_time >= $start_{number}")
    if settings.model is not None:
        params[f"model_{number}"] = settings.model
        conditions.append(f"$model_{number} IN (deployment, {_NAME}, {_TARGET})")
    if settings.tag is not None:
        params[f"tag_{number}"] = settings.tag
        conditions.append(f"list_contains(tags, $tag_{number})")
    if policy.unit == "usd":
        params[f"unknown_{number}"] = settings.unknown_cost
    amount = _AMOUNTS[policy.unit].format(n=number)
    calls = f"SELECT *, {_TRIES} AS tries FROM llm_calls WHERE {' AND '.join(conditions)}"
    calls = f"SELECT *, {_MORE} AS more FROM (SELECT *, {_VAIN} AS vain FROM ({calls}))"
    calls = f"SELECT {_KEYS[settings.per]} AS key, coalesce(weight, 1) * ({amount}) AS amount FROM ({calls})"
    return (
        f"(SELECT {number} AS budget, key, sum(amount)::DOUBLE AS spent FROM ({calls}) GROUP BY key "
        f"ORDER BY spent DESC, key LIMIT {int(most)})"
    )


def start_reader(settings: Settings, state: SharedState) -> StartReader | None:
    """Return what reads what is spent already; None where the state itself survives, or there is no store.

    Args:
        settings: The settings, for the store.
        state: Where the sums are.
    """
    if state.blocking or not settings.store.enabled:
        return None
    return functools.partial(read_start, settings.store.path.absolute())


def read_start(path: Path, budgets: Sequence[BudgetSettings], now: float) -> dict[tuple[str, str, float], float]:
    """Return what budgets with windows of an hour and longer have spent; nothing if the store does not tell in time.

    Args:
        path: The store's folder.
        budgets: The budgets.
        now: The time, in seconds since the epoch.
    """
    if not path.is_dir():
        return {}
    long = [one for one in budgets if (window := window_at(one, now)).end - window.start >= _SHORTEST]
    nothing: dict[tuple[str, str, float], float] = {}
    return guarded("reading what budgets have spent", nothing, _read_start, path, long, now)


def _read_start(path: Path, budgets: Sequence[BudgetSettings], now: float) -> dict[tuple[str, str, float], float]:
    try:
        found = read_spending(budgets, now, path, timeout=_TIMEOUT)
    except LLMOpsError as error:
        _log.warning("llmops: what budgets have spent cannot be read, so they start at 0 here: %s", error)
        return {}
    return {(one.policy.settings.name, one.key, one.window.start): one.spent for one in found if one.spent > 0}
