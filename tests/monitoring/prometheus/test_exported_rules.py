"""The exported rules, their tests and the dashboard: what they ask for exists, and what is left out says so.

`tests/integration/test_prometheus.py` gives them to the real promtool.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from stored_calls import CallWriter

from llmops_sdk.cli._app import run
from llmops_sdk.cli._examples import COMMANDS
from llmops_sdk.config import Settings, load
from llmops_sdk.monitoring.prometheus._dashboard import grafana_dashboard
from llmops_sdk.monitoring.prometheus._promql import NotInMetrics, matchers
from llmops_sdk.monitoring.prometheus._rules_file import prometheus_rules, promtool_tests
from llmops_sdk.monitoring.prometheus._server import open_metrics

METRICS = (
    "cost", "calls", "errors", "error_count", "cost_per_call", "cache_hit_rate", "input_tokens", "output_tokens",
    "latency_p50", "latency_p95", "latency_p99", "ttft_p95",
)  # fmt: skip


def rules_of(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    groups = yaml.safe_load(prometheus_rules(settings))["groups"]
    return {group["name"]: group["rules"] for group in groups}


def everything() -> Settings:
    return load(
        slo={
            "answers": {"objective": 0.99},
            "fast": {"sli": "latency", "threshold": 2_000, "objective": 0.95},
            "first": {"sli": "ttft", "threshold": 700, "objective": 0.95},
            "cheap": {"sli": "cost", "threshold": 0.05, "objective": 0.95},
            "cached": {"sli": "cache", "objective": 0.3, "basis": "events"},
        },
        alerts=[{"name": name, "metric": name, "threshold": 5.0, "min_events": 3} for name in METRICS],
    )


def test_windows_factors_and_severities_are_those_of_the_objective():
    slo = {"answers": {"objective": 0.99, "where": "prompt_name = 'support'"}}
    rules = rules_of(load(slo=slo))["llmops-slo-answers"]
    recorded = [rule["record"] for rule in rules if "record" in rule]
    alerts = [(one["labels"], one["expr"], one["keep_firing_for"]) for one in rules if "alert" in one]

    assert recorded == [f"llmops:slo_bad:ratio_{length}" for length in ("5m", "30m", "1h", "2h", "6h", "1d", "3d")]
    assert [labels for labels, _, _ in alerts] == [
        {"kind": "slo", "severity": severity, "window": window}
        for severity, window in (("page", "1h"), ("page", "6h"), ("ticket", "1d"), ("ticket", "3d"))
    ]
    assert [re.findall(r"ratio_(\w+)\{slo=\"answers\"\} >= ([\d.]+)", expr) for _, expr, _ in alerts] == [
        [("1h", "0.144"), ("5m", "0.144")],
        [("6h", "0.06"), ("30m", "0.06")],
        [("1d", "0.03"), ("2h", "0.03")],
        [("3d", "0.01"), ("6h", "0.01")],
    ]
    assert {keep for _, _, keep in alerts} == {"10m"}
    assert 'prompt_name="support", status="error"' in rules[0]["expr"]


def test_window_that_cannot_fire_is_left_out_with_a_comment():
    text = prometheus_rules(load(slo={"helpful": {"objective": 0.9}}))

    assert '"1h"' not in re.sub(r"(?m)^#.*", "", text)
    assert "# slo.helpful: the window of 1h is left out: a burn rate of 14.4 cannot be reached" in text
    assert text.count("- alert:") == 3
    events = prometheus_rules(load(slo={"helpful": {"objective": 0.9, "basis": "events"}}))
    assert events.count("- alert:") == 4
    assert ">= 0.9 and" in events


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"sql": "SELECT 1 AS value", "threshold": 1.0}, "it is SQL"),
        ({"metric": "cost", "anomaly": "seasonal"}, "compares with what is usual"),
        ({"metric": "guard_blocks", "threshold": 1.0, "where": "model = 'a'"}, "no label model"),
        ({"metric": "score:helpful", "threshold": 1.0, "min_events": 5}, "min_events are no calls"),
        ({"metric": "cost", "threshold": 1.0, "group_by": ["user_id"]}, "no label user_id"),
        ({"metric": "cost", "threshold": 1.0, "where": "cost > 1"}, "not a comparison of labels"),
        ({"metric": "cost", "threshold": 1.0, "where": "model = 'a' OR model = 'b'"}, "not a comparison of labels"),
        ({"metric": "cost", "threshold": 1.0, "where": "model = 'a"}, "not a comparison of labels"),
        ({"metric": "cost", "threshold": 1.0, "where": "user_id = 'a'"}, "no label user_id"),
        ({"metric": "input_tokens", "threshold": 1.0, "group_by": ["prompt_name"]}, "no label prompt_name"),
    ],
)
def test_rule_that_metrics_cannot_express_is_left_out_with_a_comment(rule: dict[str, Any], reason: str):
    text = prometheus_rules(load(alerts=[{"name": 'a\n- b: "c', **rule}]))

    assert yaml.safe_load(text) == {"groups": []}
    assert re.search(rf'(?m)^# the rule a - b: "c is left out: .*{reason}', text)


@pytest.mark.parametrize(
    ("where", "made"),
    [
        ("", []),
        ("model = 'it''s'", ['model="it\'s"']),
        ("model <> 'x'", ['model!="x"', 'model!=""']),
        ("provider in ('a' , 'b+') AND status != 'ok'", ['provider=~"a|b\\\\+"', 'status!="ok"', 'status!=""']),
        ("model = 'a\"} or vector(1)\n'", ['model="a\\"} or vector(1)\\n"']),
        ("model = 'a AND b' and service='s'", ['model="a AND b"', 'service="s"']),
    ],
)
def test_condition_becomes_matchers(where: str, made: list[str]):
    assert matchers(where) == made


@pytest.mark.parametrize("where", ["model = 'a' AND", "model = 'a' model = 'b'", "model = ('a')", "1=1", "'" * 10_000])
def test_condition_that_is_no_comparison_is_refused(where: str):
    with pytest.raises(NotInMetrics):
        matchers(where)


def test_every_metric_and_bucket_that_is_asked_for_exists():
    settings = everything()
    store = Path("store")
    server = open_metrics(settings, store, listen="127.0.0.1:0")
    assert server is not None
    writer = CallWriter(store)
    writer.write(1)
    writer.write(1, status="error", attributes={"llmops.cache": "exact"})
    writer.close()
    text = server.answer("/metrics")[1].decode()
    server._server.server_close()
    server._reader.close()
    families = set(re.findall(r"(?m)^# TYPE (\w+)", text))
    bounds = set(re.findall(r'(\w+)_bucket\{.*le="([^"]+)"', text))
    rules = [rule for group in rules_of(settings).values() for rule in group]
    exprs = [rule["expr"] for rule in rules]
    exprs += [target["expr"] for panel in json.loads(grafana_dashboard())["panels"] for target in panel["targets"]]

    assert len(rules) == 5 * 11 + len(METRICS)
    for expr in exprs:
        used = set(re.findall(r"\bllmops_\w+", expr))
        assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in used} <= families, expr
        assert set(re.findall(r'(\w+)_bucket\{[^}]*le="([^"]+)"', expr)) <= bounds, expr


def test_tests_of_rules_name_the_minutes_around_each_alert():
    tests = yaml.safe_load(promtool_tests(load(slo={"answers": {"objective": 0.99}}), "rules.yml"))
    [test] = tests["tests"]
    fires = {
        one["eval_time"]: [alert["exp_labels"]["window"] for alert in one["exp_alerts"]]
        for one in test["alert_rule_test"]
    }

    assert tests["rule_files"] == ["rules.yml"]
    assert fires["4327m"] == []  # three days and 7 minutes
    assert fires["4330m"] == ["1h"]
    assert fires["4343m"] == ["1h", "6h"]
    assert fires["4365m"] == ["1h", "6h", "1d", "3d"]


def test_dashboard_has_distinct_panels_that_fit_the_grid():
    panels = json.loads(grafana_dashboard())["panels"]

    assert len({panel["title"] for panel in panels}) == len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


@pytest.mark.parametrize("line", COMMANDS["alerts export"])
def test_help_examples_run(line: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LLMOPS_SLO__ANSWERS__OBJECTIVE", "0.99")
    arguments = shlex.split(line)[1:]

    assert run(arguments) == 0
    assert "llmops" in Path(arguments[-1]).read_text()


def test_rules_of_a_file_that_nobody_trusts_are_an_error(capsys: pytest.CaptureFixture[str]):
    Path("llmops.toml").write_text("[slo.answers]\nobjective = 0.99\n")

    assert run(["alerts", "export", "prometheus"]) == 1
    assert "llmops trust" in capsys.readouterr().err


def test_export_to_standard_output_and_to_a_file_that_cannot_be_written(capsys: pytest.CaptureFixture[str]):
    assert run(["alerts", "export", "prometheus"]) == 0
    assert "groups: []" in capsys.readouterr().out
    assert run(["alerts", "export", "grafana", "-o", "nowhere/x"]) == 1
    assert "cannot be written" in capsys.readouterr().err
