"""Export `[slo.*]` and `[[alerts]]` as rules of Prometheus, and tests of them for promtool."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from llmops_sdk.config import AlertSettings, SloSettings
from llmops_sdk.monitoring.prometheus._promql import (
    NotInMetrics,
    alert_counts_calls,
    alert_terms,
    duration_text,
    matchers,
    sli_terms,
)
from llmops_sdk.monitoring.slo._windows import BurnWindow, burn_windows

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["prometheus_rules", "promtool_tests"]

_Rule: TypeAlias = Mapping[str, "str | Mapping[str, str]"]
_HEAD = """\
# Rules of `llmops watch` for Prometheus 2.42 or later, made by `llmops alerts export prometheus` from the settings.
# What Prometheus cannot say is left out: with few calls, `llmops watch` also asks whether chance explains the failures,
# and it waits until half of a window has passed. Values of a label beyond [watch] label_values are "other" there.
"""
_REACH = 0.9
"""With basis = "events": the share of bad calls that is enough where the burn rate cannot be reached."""
_GOOD_DAYS = 3


def prometheus_rules(settings: Settings) -> str:
    """Return a file of rules in YAML: a recording rule for each window, and the alerts.

    Args:
        settings: The settings in force.

    Example:
        >>> from llmops_sdk.config import load
        >>> settings = load(slo={"answers": {"objective": 0.99}})
        >>> print(prometheus_rules(settings).splitlines()[3])
        groups:
    """
    lines = [_HEAD + "groups:"]
    notes: list[str] = []
    for name, slo in settings.slo.items():
        rules: list[_Rule] = []
        try:
            rules = [*_recordings(name, slo), *_burn_alerts(name, slo, notes)]
        except NotInMetrics as reason:
            notes.append(f"slo.{name} is left out: {reason}")
        lines += _group(f"llmops-slo-{name}", rules)
    metric_rules: list[_Rule] = []
    for rule in settings.alerts:
        try:
            metric_rules.append(_metric_alert(rule))
        except NotInMetrics as reason:
            notes.append(f"the rule {rule.name} is left out: {reason}")
    lines += _group("llmops-alerts", metric_rules)
    if len(lines) == 1:
        lines[0] += " []"
    return "\n".join([*lines, *(f"# {_one_line(note)}" for note in notes)]) + "\n"


def _one_line(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _group(name: str, rules: Iterable[_Rule]) -> list[str]:
    """Return a group in YAML, whose texts are those of JSON."""
    lines: list[str] = []
    for rule in rules:
        begin = "  - "
        for key, value in rule.items():
            if isinstance(value, str):
                lines.append(f"{begin}{key}: {json.dumps(value)}")
            else:
                lines.append(f"{begin}{key}:")
                lines += [f"      {json.dumps(label)}: {json.dumps(text)}" for label, text in value.items()]
            begin = "    "
    return [f"- name: {json.dumps(name)}", "  rules:", *lines] if lines else []


def _windows(slo: SloSettings) -> list[BurnWindow]:
    return list(burn_windows(slo.period))


def _record(seconds: float) -> str:
    return f"llmops:slo_bad:ratio_{duration_text(seconds)}"


def _recordings(name: str, slo: SloSettings) -> list[_Rule]:
    lengths = sorted({length for one in _windows(slo) for length in (one.long, one.short)})
    found: list[_Rule] = []
    for length in lengths:
        bad, total = sli_terms(slo, duration_text(length))
        found.append({"record": _record(length), "expr": f"{bad} / {total}", "labels": {"slo": name}})
    return found


def _burn_alerts(name: str, slo: SloSettings, notes: list[str]) -> Iterable[_Rule]:
    allowed = 1 - slo.objective
    for window in _windows(slo):
        burn = window.burn
        if slo.basis == "events":
            burn = min(burn, _REACH / allowed)
        elif burn >= 1 / allowed - 1e-9:
            notes.append(
                f"slo.{name}: the window of {duration_text(window.long)} is left out: a burn rate of {burn:.3g} cannot "
                f'be reached with an objective of {slo.objective:g}; set basis = "events"'
            )
            continue
        share = f"{burn * allowed:.9g}"
        slo_label = json.dumps(name)
        expr = " and ".join(
            f"{_record(length)}{{slo={slo_label}}} >= {share}" for length in (window.long, window.short)
        )
        if slo.basis == "events":
            bad, _ = sli_terms(slo, duration_text(window.long))
            _, expected = sli_terms(slo, duration_text(slo.period))
            expr += f" and on() {bad} >= {window.budget * allowed:.9g} * {expected}"
        yield {
            "alert": name,
            "expr": expr,
            "keep_firing_for": duration_text(slo.keep),
            "labels": _labels(window),
            "annotations": _annotations(slo, window, burn),
        }


def _labels(window: BurnWindow) -> dict[str, str]:
    return {"kind": "slo", "severity": window.severity, "window": duration_text(window.long)}


def _annotations(slo: SloSettings, window: BurnWindow, burn: float) -> dict[str, str]:
    allowed = 1 - slo.objective
    length, share = duration_text(window.long), f"{burn * allowed:.3%}"
    summary = f"{share} or more of the calls in {length} were bad; the objective {slo.objective:g} allows {allowed:.3%}"
    return {"summary": summary, **({"runbook": slo.runbook} if slo.runbook else {})}


def _metric_alert(rule: AlertSettings) -> _Rule:
    figure, threshold = alert_terms(rule)
    above = rule.compare == "above"
    expr = f"{figure} {'>' if above else '<'} {threshold:.9g}"
    if rule.min_events > 1:
        if not alert_counts_calls(rule):
            raise NotInMetrics("its min_events are no calls")
        calls, _ = alert_terms(rule.model_copy(update={"metric": "calls", "threshold": 0.0}))
        expr = f"({expr}) and {calls} >= {rule.min_events}"
    return {
        "alert": rule.name,
        "expr": expr,
        **({"for": duration_text(rule.for_)} if rule.for_ else {}),
        **({"keep_firing_for": duration_text(rule.keep)} if rule.keep else {}),
        "labels": {"kind": "threshold", "severity": rule.severity},
        "annotations": {
            "summary": f"{rule.metric} is {rule.compare} its threshold in {duration_text(rule.window)}",
            **({"runbook": rule.runbook} if rule.runbook else {}),
        },
    }


def promtool_tests(settings: Settings, rules_file: str) -> str:
    """Return tests of the objectives on errors for `promtool test rules`: days without errors, then nothing else.

    An alert must be silent until just before the failures have used up its share of the budget, and fire just after.

    Args:
        settings: The settings in force.
        rules_file: The file of `prometheus_rules`, as seen from the file of tests.
    """
    lines = ["rule_files:", f"- {json.dumps(rules_file)}", "evaluation_interval: 1m", "tests:"]
    tests = [_test(name, slo) for name, slo in settings.slo.items()]
    return "\n".join([*lines, *(line for test in tests for line in test)]) + "\n"


def _test(name: str, slo: SloSettings) -> list[str]:
    try:
        labels = dict(one.split("=", 1) for one in matchers(slo.where))
    except NotInMetrics:
        return []
    if slo.sli != "errors" or slo.basis != "time" or any(key.endswith(("!", "~")) for key in labels):
        return []
    windows = [one for one in _windows(slo) if one.burn < 1 / (1 - slo.objective) - 1e-9]
    fires = {one: one.burn * (1 - slo.objective) * one.long / 60 for one in windows}
    begin = _GOOD_DAYS * 1_440
    last = math.ceil(max(fires.values(), default=0)) + 3
    own = "".join(f", {label}={value}" for label, value in labels.items())
    series = {"ok": f"0+10x{begin} {10 * begin}x{last}", "error": f"0x{begin} 10+10x{last}"}
    lines = ["- interval: 1m", f"  name: {json.dumps(name)}", "  input_series:"]
    for status, values in series.items():
        selector = f'llmops_calls_total{{status="{status}"{own}}}'
        lines += [f"  - series: {json.dumps(selector)}", f"    values: {json.dumps(values)}"]
    lines.append("  alert_rule_test:")
    checked = {minute for at in fires.values() for minute in (math.floor(at) - 1, math.ceil(at) + 1) if minute > 0}
    for minute in sorted(checked):
        burning = [one for one, at in fires.items() if at <= minute]
        lines += [f"  - eval_time: {begin + minute}m", f"    alertname: {json.dumps(name)}"]
        lines.append("    exp_alerts:" if burning else "    exp_alerts: []")
        for one in burning:
            lines.append(f"    - exp_labels: {json.dumps({**_labels(one), 'slo': name})}")
            lines.append(f"      exp_annotations: {json.dumps(_annotations(slo, one, one.burn))}")
    return lines
