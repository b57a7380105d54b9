"""The real promtool and Prometheus read `/metrics`, and evaluate the exported rules at the minutes of the reference."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import requests
from prometheus_programs import prometheus, promtool
from real_backends import eventually
from stored_calls import CallWriter

from llmops_sdk.config import load
from llmops_sdk.monitoring.prometheus._rules_file import prometheus_rules, promtool_tests
from llmops_sdk.monitoring.prometheus._server import MetricsServer, open_metrics

pytestmark = pytest.mark.integration

_TIMELINE = """
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
- interval: 1m
  input_series:
  - series: llmops_calls_total{status="ok", model="m"}
    values: "0+10x4320 43200x60 43210+10x900"
  - series: llmops_calls_total{status="error", model="m"}
    values: "0x4320 10+10x59 600x900"
  promql_expr_test:
%s
"""
"""Three days with ten good calls a minute, an hour with ten bad ones, then good ones again."""
_FIRES = {
    4_328: "", 4_330: "1h", 4_341: "1h", 4_344: "1h 6h", 4_361: "1h 6h", 4_366: "1h 6h 1d 3d", 4_380: "1h 6h 1d 3d",
    # Recovery: the short window of five minutes has passed, and ten minutes to keep the alert.
    4_392: "1h 6h 1d 3d", 4_398: "6h 1d 3d",
}  # fmt: skip


def metrics(folder: Path, **settings: object) -> MetricsServer:
    server = open_metrics(load(**settings), folder / "store", listen="127.0.0.1:0")
    assert server is not None
    return server


def test_hostile_names_pass_promtool(tmp_path: Path):
    server = metrics(tmp_path)
    server.start()
    writer = CallWriter(tmp_path / "store")
    for name in ('"}\n', "<!channel>", "\u202egpj.exe", "x" * 10_240, "\\", "\ud800", '{le="1"}', "# HELP x"):
        writer.write(2, model=name, provider=name, service=name, prompt=name)
    writer.close()
    text = requests.get(f"http://127.0.0.1:{server.address[1]}/metrics", timeout=30).content
    server.close()

    assert len(re.findall(rb"(?m)^llmops_calls_total{.* 2$", text)) == 8
    promtool("check", "metrics", stdin=text)


def test_exported_rules_fire_at_the_minutes_of_the_reference(tmp_path: Path):
    (tmp_path / "rules.yml").write_text(prometheus_rules(load(slo={"answers": {"objective": 0.99}})))
    tests: list[str] = []
    for minute, windows in _FIRES.items():
        tests += ['  - expr: ALERTS{alertstate="firing"}', f"    eval_time: {minute}m"]
        tests.append("    exp_samples:" if windows else "    exp_samples: []")
        for window, severity in (("1h", "page"), ("6h", "page"), ("1d", "ticket"), ("3d", "ticket")):
            if window in windows.split():
                labels = f'alertname="answers", alertstate="firing", kind="slo", severity="{severity}", slo="answers"'
                tests += [f"    - labels: 'ALERTS{{{labels}, window=\"{window}\"}}'", "      value: 1"]
    (tmp_path / "tests.yml").write_text(_TIMELINE % "\n".join(tests))

    promtool("test", "rules", str(tmp_path / "tests.yml"))


def test_exported_tests_of_the_exported_rules_pass(tmp_path: Path):
    where = "prompt_name = 'it''s \"x\"'"
    day = load(
        slo={"day": {"objective": 0.99, "period": "1d", "where": where}}
    )  # short windows: promtool needs less time
    more = load(
        slo={
            "weak": {"objective": 0.9, "period": "28d"},
            "fast": {"sli": "latency", "threshold": 2_000, "objective": 0.95, "where": where},
            "first": {"sli": "ttft", "threshold": 700, "objective": 0.95},
            "cheap": {"sli": "cost", "threshold": 0.05, "objective": 0.95},
            "cached": {"sli": "cache", "objective": 0.3, "basis": "events"},
        },
        alerts=[
            {"name": name, "metric": name, "threshold": 5.0, "group_by": ["model"], "for": "5m", "min_events": 3}
            for name in ("cost", "calls", "errors", "error_count", "cost_per_call", "cache_hit_rate", "input_tokens",
                         "latency_p95", "ttft_p99")
        ],
    )  # fmt: skip
    (tmp_path / "rules.yml").write_text(prometheus_rules(day))
    (tmp_path / "more.yml").write_text(prometheus_rules(more))
    (tmp_path / "tests.yml").write_text(promtool_tests(day, "rules.yml"))

    promtool("check", "rules", str(tmp_path / "rules.yml"), str(tmp_path / "more.yml"))
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "tests.yml"))


def test_a_real_prometheus_scrapes_and_evaluates(tmp_path: Path):
    rule = {"name": "failing", "metric": "errors", "threshold": 0.5, "window": "1m", "group_by": ["model"]}
    server = metrics(tmp_path, alerts=[rule])
    server.start()
    rules = tmp_path / "rules.yml"
    rules.write_text(prometheus_rules(load(alerts=[rule])))
    writer = CallWriter(tmp_path / "store")
    writer.write(10)
    with prometheus(tmp_path, target=f"127.0.0.1:{server.address[1]}", rules=rules) as running:
        eventually(lambda: running.query("sum(llmops_calls_total)"), bool, "the first scrape")
        writer.write(90, status="error")
        firing = 'ALERTS{alertname="failing", alertstate="firing"}'
        [found] = eventually(lambda: running.query(firing), bool, "the alert")
        total = running.query("sum(llmops_calls_total)")[0]["value"][1]
        assert running.query("up")[0]["value"][1] == "1"
    writer.close()
    server.close()

    assert found["metric"]["model"] == "gpt-x"
    assert total == "100"
