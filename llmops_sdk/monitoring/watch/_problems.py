"""Find the rules that cannot be evaluated, without evaluating them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from llmops_sdk.config import Settings
from llmops_sdk.errors import ConfigError, QueryError
from llmops_sdk.monitoring.rollup._database import FOLDER
from llmops_sdk.monitoring.rollup._labels import Labels
from llmops_sdk.monitoring.rollup._rollup import moment
from llmops_sdk.monitoring.rollup._series import counting_sql
from llmops_sdk.monitoring.rules._sql_rule import SqlRule
from llmops_sdk.monitoring.states._outcome import Evaluator
from llmops_sdk.monitoring.watch._compile import compile_rules
from llmops_sdk.store import query

__all__ = ["HEARTBEAT", "find_problems"]

HEARTBEAT = "heartbeat.json"
"""The file in the watcher's folder that says what it found at its last look."""
_NO_ROWS = "SELECT * FROM ({sql}) LIMIT 0"


def find_problems(settings: Settings, store: Path) -> dict[str, str]:
    """Return the rules and objectives that cannot be evaluated, by name, with the reason.

    Each rule's SQL is prepared over the store, which finds what is not valid and columns that do not exist. What fails
    only when it runs, such as a query that takes too long, is known from the watcher's last look.

    Args:
        settings: The settings.
        store: The store's folder.
    """
    found = _last_look(store)
    for name, alone in _one_by_one(settings):
        try:
            [evaluator] = compile_rules(alone, _ask(store), Labels(bytes(32)), store=store)
            _prepare(evaluator, store)
        except (ConfigError, QueryError) as error:
            found[name] = str(error)
    known = {*(rule.name for rule in settings.alerts), *settings.slo}
    return {name: problem for name, problem in found.items() if name in known}


def _one_by_one(settings: Settings) -> Iterator[tuple[str, Settings]]:
    """Yield each rule and each objective with settings that have no other."""
    for rule in settings.alerts:
        yield rule.name, settings.model_copy(update={"alerts": (rule,), "slo": {}})
    for name, slo in settings.slo.items():
        yield name, settings.model_copy(update={"alerts": (), "slo": {name: slo}})


def _prepare(evaluator: Evaluator, store: Path) -> None:
    now = time.time()
    if isinstance(evaluator, SqlRule):
        evaluator.prepare(now)
    for series in evaluator.wanted():
        sql = _NO_ROWS.format(sql=counting_sql([series]))
        query(sql, {"since": moment(now - 60), "until": moment(now)}, path=store)


def _ask(store: Path) -> Any:
    def ask(sql: str, params: Mapping[str, Any]) -> Any:
        return query(_NO_ROWS.format(sql=sql), params, path=store)

    return ask


def _last_look(store: Path) -> dict[str, str]:
    try:
        beat = orjson.loads((store / FOLDER / HEARTBEAT).read_bytes())
        at = f"{moment(beat['evaluated']):%Y-%m-%d %H:%M} UTC"
        return {name: f"{problem} (at {at})" for name, problem in beat["problems"].items()}
    except (OSError, ValueError, KeyError):
        return {}  # no watcher has looked yet
