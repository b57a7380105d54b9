"""Online evaluation: `[[evaluators]]` score a stable sample of live traces, each span once."""

from __future__ import annotations

from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.testing import use_provider

CONFIG = """
model = "offline/echo"

[store]
path = "traces"
compaction = "manual"

[[evaluators]]
name = "short"
scorer = "max_length:40"
sample = 1.0

[[evaluators]]
name = "half"
scorer = "not_empty"
sample = 0.5
where = "user_id = 'ada'"

[[evaluators]]
name = "judged"
scorer = "my_scorers:right"
sample = 1.0
span = "answer"
budget_usd = 0.05
"""

SCORERS = """
from llmops_sdk.evals import Judge

right = Judge("The output answers the input.", name="right", include=("input", "output"), reasks=0)
"""


@llmops.trace(name="answer")
def answer(question):
    return f"answer to {question}"


@pytest.fixture
def live(tmp_path: Path, monkeypatch, counting):
    folder = Path.cwd()
    (folder / "llmops.toml").write_text(CONFIG, "utf-8")
    (folder / "my_scorers.py").write_text(SCORERS, "utf-8")
    monkeypatch.syspath_prepend(str(folder))
    llmops.configure(config_file=folder / "llmops.toml")
    with use_provider(counting(lambda prompt: llmops.Response(text="Verdict: correct", cost=0.01))) as provider:
        yield provider


def traffic(count, user="ada"):
    with llmops.context(user_id=user):
        for number in range(count):
            answer(f"{user} {number}")
    llmops.flush()


def counts():
    sql = "SELECT source, count(*), count(DISTINCT trace_id) FROM scores GROUP BY ALL ORDER BY ALL"
    return {source: (rows, traces) for source, rows, traces in llmops.query(sql).rows()}


def test_each_span_is_scored_once_whoever_asks(live, command):
    traffic(40)
    traffic(10, user="bob")
    status, out, err = command("eval", "online")
    assert status == 0, out + err
    first = counts()

    assert first["evaluator:short"] == (50, 50)
    # A stable sample of the traces of ada: binomial, of 40.
    assert 8 <= first["evaluator:half"][0] <= 32
    # .05 USD a day pay for five verdicts.
    assert live.taken() == first["evaluator:judged"][0] == 5
    assert "budget" in out + err

    for _ in range(2):
        assert command("eval", "online")[0] == 0
    assert counts() == first
    assert live.taken() == 0
    traffic(10)
    assert command("eval", "online")[0] == 0
    later = counts()
    assert later["evaluator:short"] == (60, 60)
    assert later["evaluator:half"][0] >= first["evaluator:half"][0]
    assert live.taken() == 0
    # Scores of evaluators make no traces that are scored in turn.
    assert llmops.query("SELECT count(*) FROM scores WHERE trace_id NOT IN (SELECT trace_id FROM spans)").scalar() == 0


def test_a_failed_score_is_tried_again_a_bounded_number_of_times(live, command):
    traffic(1)
    live.reply = None
    with use_provider(type(live)(lambda prompt: llmops.Response(text="Hm.", cost=0.001))) as garbled:
        statuses = [command("eval", "online")[0] for _ in range(5)]
        asked = garbled.taken()
    assert statuses == [1, 1, 1, 0, 0]
    assert asked == 3
    assert "evaluator:judged" not in counts()
    failed = llmops.query("SELECT count(*), count(value) FROM experiment_scores WHERE status = 'error'").rows()
    assert failed[0][0] >= 1
    assert failed[0][1] == 0


def test_scores_of_users_and_of_evaluators_stay_apart(live, command):
    traffic(3)
    trace = llmops.query("SELECT trace_id FROM spans LIMIT 1").scalar()
    llmops.score("short", 0.0, trace_id=trace)
    llmops.flush()
    assert command("eval", "online")[0] == 0
    found = dict(
        llmops.query(
            "SELECT source, count(*) FROM scores WHERE name = 'short' OR source = 'evaluator:short' GROUP BY ALL"
        ).rows()
    )
    assert found == {"user": 1, "evaluator:short": 3}
