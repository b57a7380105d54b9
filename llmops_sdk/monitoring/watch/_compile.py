"""Make evaluators from the settings, and check their SQL before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmops_sdk.config import AlertSettings, Settings
from llmops_sdk.errors import ConfigError, QueryError
from llmops_sdk.monitoring.rollup._labels import Labels
from llmops_sdk.monitoring.rules._anomaly import RateAnomalyRule, SeasonalRule
from llmops_sdk.monitoring.rules._metrics import metric_of
from llmops_sdk.monitoring.rules._sql_rule import AskTable, SqlRule
from llmops_sdk.monitoring.rules._threshold import ThresholdRule
from llmops_sdk.monitoring.slo._objective import Objective
from llmops_sdk.monitoring.states._outcome import Evaluator

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["compile_rules", "select"]

_ALONE = "SELECT 1 FROM llm_calls WHERE (\n{where}\n) LIMIT 0"
_GROUPS = "SELECT {columns} FROM llm_calls LIMIT 0"


def compile_rules(settings: Settings, ask: AskTable, labels: Labels, *, store: Path | None = None) -> list[Evaluator]:
    """Return the rules of `[[alerts]]` and the objectives of `[slo.*]`, ready to be evaluated.

    Args:
        settings: The settings.
        ask: Runs SQL for rules with SQL of their own.
        labels: Makes labels of groups.
        store: The store on which conditions are tried, or None to leave that out.

    Raises:
        ConfigError: A rule names what does not exist, an objective can never fire, or SQL is not valid.
    """
    found: list[Evaluator] = []
    for rule in settings.alerts:
        _check_notifiers(settings, f"alerts.{rule.name}", rule.notify)
        if store is not None:
            _check_sql(f"alerts.{rule.name}", rule.where, rule.group_by, store)
        found.append(_rule(rule, settings, ask, labels))
    for name, slo in settings.slo.items():
        _check_notifiers(settings, f"slo.{name}", slo.notify)
        if store is not None:
            _check_sql(f"slo.{name}", slo.where, (), store)
        found.append(Objective(name, slo, settings.watch.simulated))
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"[[alerts]] and [slo.{twice}] both have the name {twice!r}: rename one", key=f"slo.{twice}")
    return found


def select(evaluators: Sequence[Evaluator], name: str | None) -> list[Evaluator]:
    """Return the evaluators of a name, or all.

    Raises:
        ConfigError: There is none of that name.
    """
    found = [one for one in evaluators if name is None or one.name == name]
    if name is not None and not found:
        known = ", ".join(one.name for one in evaluators) or "none"
        raise ConfigError(f"there is no rule or objective {name!r}; the configuration has {known}")
    return found


def _rule(rule: AlertSettings, settings: Settings, ask: AskTable, labels: Labels) -> Evaluator:
    interval = settings.watch.interval
    if rule.sql is not None:
        return SqlRule(rule, ask, labels)
    metric = metric_of(rule, settings.watch.simulated)
    if rule.anomaly is None:
        return ThresholdRule(rule, metric, interval)
    return (RateAnomalyRule if metric.shape == "share" else SeasonalRule)(rule, metric, interval)


def _check_notifiers(settings: Settings, key: str, names: Sequence[str]) -> None:
    unknown = next((name for name in names if name not in settings.notify), None)
    if unknown is not None:
        known = ", ".join(settings.notify) or "none"
        raise ConfigError(
            f"{key}.notify names {unknown!r}, and there is no [notify.{unknown}]; there is {known}", key=f"{key}.notify"
        )


def _check_sql(key: str, where: str | None, group_by: Sequence[str], store: Path) -> None:
    from llmops_sdk.store import query

    try:
        if where is not None:
            # By itself: one with its own closing brackets must not get out of the others' AND.
            query(_ALONE.format(where=where), path=store)
    except QueryError as error:
        raise ConfigError(f"{key}.where: {error}", key=f"{key}.where", value=where) from error
    try:
        for column in group_by:
            query(_GROUPS.format(columns='"' + column.replace('"', '""') + '"'), path=store)
    except QueryError as error:
        raise ConfigError(f"{key}.group_by: {error}", key=f"{key}.group_by", value=list(group_by)) from error
