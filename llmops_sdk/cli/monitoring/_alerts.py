"""`llmops alerts list`, `test` and `silence`."""
# ruff: noqa: PT028 - `test_` is a command, not a test

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from llmops_sdk.cli._filters import parse_period
from llmops_sdk.cli._options import Form, Limit, Store
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.monitoring._watch import settings_with
from llmops_sdk.cli.output._formats import Format, write_rows
from llmops_sdk.cli.output._reading import existing_store, query, show
from llmops_sdk.errors import ConfigError

if TYPE_CHECKING:
    from llmops_sdk.config import Settings
    from llmops_sdk.monitoring import Backtest

__all__ = ["list_", "silence", "test_"]

_DEFAULT_SINCE = "90d"
_LATEST = """
SELECT rule, kind, severity, labels::VARCHAR AS labels, state, time, firing_since, value, threshold, reason FROM alerts
QUALIFY row_number() OVER (PARTITION BY rule, severity, labels::VARCHAR ORDER BY time DESC, state = 'firing') = 1
"""
_HISTORY = """
SELECT time, rule, severity, state, previous, labels::VARCHAR AS labels, value, threshold, reason, alert_id FROM alerts
ORDER BY time DESC, rule
"""
_STATES = (
    "rule",
    "kind",
    "severity",
    "state",
    "since",
    "labels",
    "value",
    "threshold",
    "reason",
    "silenced_until",
    "problem",
)
_CHANGES = ("time", "rule", "severity", "state", "labels", "value", "reason")
_RULES = ("rule", "alerts", "per_month", "firing_hours", "messages", "looked_every_s", "problem")

_Rule = Annotated[str | None, typer.Argument(metavar="RULE", help="A rule or an objective. Default: all.")]


def list_(
    history: Annotated[bool, typer.Option("--history", help="Show every change of a state, the latest first.")] = False,
    *,
    limit: Limit = 20,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """List rules and objectives with their state, or their history. A rule that cannot be evaluated says why."""
    if history:
        found = query(_HISTORY, store=store)
        show(form, found.columns, found.rows(), limit)
        return
    settings = settings_with(store)
    rows = _states(settings, settings.store.path.absolute())
    write_rows(form, _STATES, rows, sys.stdout)


def _states(settings: Settings, folder: Path) -> list[tuple[Any, ...]]:
    """Return each alert that is not inactive, and one row for each rule without such an alert."""
    from llmops_sdk.monitoring.watch._problems import find_problems

    rules = {rule.name: (_kind(rule), rule.severity) for rule in settings.alerts}
    rules |= dict.fromkeys(settings.slo, ("slo", "page"))
    silenced = _silenced(folder)
    problems = find_problems(settings, folder) if folder.is_dir() else {}
    latest = query(_LATEST, store=folder).rows() if folder.is_dir() else []
    rows: list[tuple[Any, ...]] = []
    for rule, kind, severity, labels, state, at, firing_since, value, threshold, reason in latest:
        if state in ("resolved", "inactive"):
            continue
        until = silenced.get(rule, silenced.get("*"))
        since = firing_since or at
        problem = problems.get(rule)
        rows.append((rule, kind, severity, state, since, labels, value, threshold, reason, until, problem))
    shown = {row[0] for row in rows}
    for name, (kind, severity) in rules.items():
        if name not in shown:
            until = silenced.get(name, silenced.get("*"))
            problem = problems.get(name)
            state = "inactive" if problem is None else "error"
            rows.append((name, kind, severity, state, None, None, None, None, None, until, problem))
    return rows


def _kind(rule: Any) -> str:
    return "threshold" if rule.anomaly is None else "anomaly"


def _silenced(folder: Path) -> dict[str, datetime]:
    from llmops_sdk.monitoring.rollup._database import FOLDER
    from llmops_sdk.monitoring.watch._silences import read_silences

    place = folder / FOLDER
    now = time.time()
    return {
        one.rule: datetime.fromtimestamp(one.until, UTC).replace(tzinfo=None)
        for one in (read_silences(place) if place.is_dir() else ())
        if one.until > now
    }


def test_(
    rule: _Rule = None,
    since: Annotated[
        str, typer.Option("--since", metavar="AGE", help="How far to go back (2h, 7d, 90d).")
    ] = _DEFAULT_SINCE,
    changes: Annotated[bool, typer.Option("--changes", help="Show each change of a state.")] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Print tables for objectives whose windows can never fire.")
    ] = False,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """Show what the rules would have done over the stored traces."""
    settings = settings_with(store)
    if fix:
        _print_fixes(settings)
        return
    from llmops_sdk.monitoring import backtest

    found = backtest(rule, since=_seconds(since), settings=settings)
    if changes:
        write_rows(form, _CHANGES, _change_rows(found), sys.stdout)
        return
    rows = [
        (
            one.rule, one.alerts, one.per_month, round(one.firing_seconds / 3_600, 2), one.messages, one.every,
            found.problems.get(one.rule),
        )
        for one in found.rules
    ]  # fmt: skip
    write_rows(form, _RULES, rows, sys.stdout)


def _change_rows(found: Backtest) -> list[tuple[Any, ...]]:
    return [
        (
            datetime.fromtimestamp(one.time, UTC).replace(tzinfo=None), one.rule, one.severity, one.state,
            dict(one.labels) or None, one.value, one.reason,
        )
        for one in found.changes
    ]  # fmt: skip


def _print_fixes(settings: Settings) -> None:
    """Print a table with `basis = "events"` for each objective that a window of shares cannot watch."""
    from llmops_sdk.monitoring.slo._windows import burn_windows, check_reachable

    for name, slo in settings.slo.items():
        try:
            if slo.basis == "time":
                check_reachable(name, slo.objective, burn_windows(slo.period))
        except ConfigError as error:
            print(f"# {str(error).split('; `')[0]}")
            print(f"[slo.{name}]")
            for key, value in slo.model_dump(exclude_unset=True, exclude={"basis"}).items():
                print(f"{key} = {_toml(value)}")
            print('basis = "events"\n')


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, cast('tuple[Any, ...]', value)))}]"
    from llmops_sdk.cli.output._text import json_text

    # A JSON string is a TOML string, too.
    return "none" if value is None else json_text(value)


def silence(
    rule: Annotated[str, typer.Argument(metavar="RULE", help='A rule or an objective; "*" for all.')],
    span: Annotated[str | None, typer.Option("--for", metavar="AGE", help="For how long (30m, 2h, 1d).")] = None,
    end: Annotated[bool, typer.Option("--end", help="End the rule's silences.")] = False,
    store: Store = None,
) -> None:
    """Tell nobody of a rule for some time. Its states and their history go on."""
    from llmops_sdk.monitoring.rollup._database import watch_folder
    from llmops_sdk.monitoring.watch._silences import Silence, add_silence, remove_silences

    if end == (span is not None):
        raise UsageError("give one of --for and --end")
    settings = settings_with(store)
    known = [*(one.name for one in settings.alerts), *settings.slo, *(one.name for one in settings.canaries), "drift"]
    if rule != "*" and rule not in known and not end:
        raise ConfigError(f"there is no rule or objective {rule!r}; the configuration has {', '.join(known)}")
    folder = watch_folder(existing_store(store))
    if end:
        print(f"ended {remove_silences(folder, rule)}")
        return
    now = time.time()
    until = now + _seconds(span or "")
    add_silence(folder, Silence(rule=rule, until=until), now)
    print(f"silenced {rule} until {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S} UTC")


def _seconds(age: str) -> float:
    begin, _ = parse_period(age, None)
    assert begin is not None
    seconds = (datetime.now(UTC).replace(tzinfo=None) - begin).total_seconds()
    if seconds <= 0:
        raise UsageError(f'"{age}" is no age in the past, such as 2h or 7d')
    return round(seconds, 1)
