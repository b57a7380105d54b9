"""Routed calls: what is chosen, what is planned for it, and what is recorded. Every call is real, on offline models."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk.errors import ConfigError, ValidationFailedError
from llmops_sdk.tracing.privacy._content import event_without_content

Rows = Callable[[str], list[dict[str, Any]]]
Configure = Callable[..., Any]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
RULES = {"policy": "rules", "default": "small"}


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def served(answer: Any) -> str:
    return answer.deployment or ""


def test_all_ways_to_call_are_routed(configured: Configure, rows: Rows) -> None:
    configured(RULES)

    @llmops.llm(model="auto")
    def ask(question: str) -> str:
        return question

    texts = [llmops.chat("Hi", model="auto").text, ask("Hi"), llmops.LLM("auto").chat("Hi").text]
    with llmops.stream("Hi", model="auto") as chunks:
        texts.append("".join(chunk.text for chunk in chunks))

    assert texts == ["Hi"] * 4
    assert (
        rows("SELECT model, serves, reason, propensity, deployment FROM routes")
        == [{"model": "small", "serves": "small", "reason": "default", "propensity": 1.0, "deployment": "small"}] * 4
    )


async def test_async_calls_are_routed(configured: Configure, rows: Rows) -> None:
    configured(RULES)
    assert (await llmops.achat("Hi", model="auto")).text == "Hi"
    assert "".join([chunk.text async for chunk in llmops.astream("Hi", model="auto")]) == "Hi"
    assert rows("SELECT count(*) AS n FROM routes") == [{"n": 2}]


def test_calls_without_a_route_load_no_router(rows: Rows) -> None:
    llmops.chat("Hi", model="offline/echo")
    assert rows("SELECT count(*) AS n FROM routes") == [{"n": 0}]


@pytest.mark.parametrize(
    ("rule", "prompt", "options", "matches"),
    [
        ({"tags": ["vip"]}, "Hi", {}, True),
        ({"tags": ["vip", "eu"]}, "Hi", {}, False),
        ({"prompt_names": ["greet"]}, "Hi", {}, True),
        ({"prompt_names": ["other"]}, "Hi", {}, False),
        ({"longer_than": 2}, "Hi!", {}, True),
        ({"longer_than": 2}, "Hi", {}, False),
        ({"tools": True}, "Hi", {"tools": [add]}, True),
        ({"tools": False}, "Hi", {"tools": [add]}, False),
        ({"images": True}, [{"role": "user", "content": [IMAGE, {"type": "text", "text": "Hi"}]}], {}, True),
    ],
)
def test_rules_choose_by_their_conditions(
    configured: Configure, rows: Rows, rule: dict[str, Any], prompt: Any, options: dict[str, Any], matches: bool
) -> None:
    configured({**RULES, "rules": {"special": {"model": "large", **rule}}})
    with llmops.context(tags=["vip"], prompt="greet"):
        answer = llmops.chat(prompt, model="auto", **options)
    assert served(answer) == ("large" if matches else "small")
    [row] = rows("SELECT model, reason, rule FROM routes")
    assert (row["reason"], row["rule"]) == (("rule", "special") if matches else ("default", None))


def test_kill_switch_pins_a_model_but_not_against_a_residency_rule(configured: Configure, rows: Rows) -> None:
    eu = {"eu": {"only": ["small"], "tags": ["eu"]}}
    configured({**RULES, "pin": "large", "rules": eu})
    assert served(llmops.chat("Hi", model="auto")) == "large"
    with llmops.context(tags=["eu"]):
        assert served(llmops.chat("Hi", model="auto")) == "small"
    assert [row["reason"] for row in rows("SELECT reason FROM routes ORDER BY time")] == ["pinned", "rule"]


def test_rule_with_only_holds_for_fallbacks_too(configured: Configure) -> None:
    broken = {"options": {"failures": {"sequence": ["server"]}}, "fallbacks": ["large"], "retry": {"attempts": 1}}
    configured({**RULES, "rules": {"eu": {"only": ["small"], "tags": ["eu"]}}}, models={"small": broken})
    with llmops.context(tags=["eu"]), pytest.raises(llmops.ServerError):
        llmops.chat("Hi", model="auto")


@pytest.mark.parametrize(
    ("ability", "prompt", "options"),
    [
        ({"images": False}, [{"role": "user", "content": [IMAGE]}], {}),
        ({"tools": False}, "Hi", {"tools": [add]}),
        ({"schema": False}, "Hi", {"response_model": dict[str, int]}),
        ({"context_window": 8_000}, "word " * 180_000, {}),
        ({"context_window": 2_000}, "Hi", {"max_tokens": 2_000}),
    ],
    ids=["image", "tools", "schema", "180k tokens", "long answer"],
)
def test_models_that_cannot_are_never_chosen_nor_fallen_back_to(
    configured: Configure, rows: Rows, ability: dict[str, Any], prompt: Any, options: dict[str, Any]
) -> None:
    broken = {"options": {"answers": ["x"], "failures": {"sequence": ["server"]}}, "retry": {"attempts": 1}}
    configured(RULES, models={"small": ability, "large": {**broken, "fallbacks": ["small"]}})
    with pytest.raises(llmops.ServerError):
        llmops.chat(prompt, model="auto", **options)
    [row] = rows("SELECT model, reason, candidates FROM routes")
    assert (row["model"], row["reason"]) == ("large", "incapable")
    assert [one["able"] for one in json.loads(row["candidates"])] == [False, True]
    assert rows("SELECT DISTINCT deployment FROM attempts") == [{"deployment": "large"}]


def test_a_call_that_no_model_can_take_goes_to_the_default(configured: Configure, rows: Rows) -> None:
    configured(RULES, models={"small": {"tools": False}, "large": {"tools": False}})
    llmops.chat("Hi", model="auto", tools=[add])
    assert rows("SELECT model, reason FROM routes") == [{"model": "small", "reason": "incapable"}]


def test_score_and_costs_after_a_failover_tell_both_models(configured: Configure, rows: Rows) -> None:
    broken = {"options": {"failures": {"sequence": ["server"]}}, "fallbacks": ["large"], "retry": {"attempts": 1}}
    configured(RULES, models={"small": broken})
    answer = llmops.chat("Hi", model="auto")
    assert answer.text == "from large"
    [row] = rows("SELECT model, serves, served_model, deployment, cost FROM routes")
    assert row == {"model": "small", "serves": "small", "served_model": "script", "deployment": "large",
                   "cost": pytest.approx(answer.cost)}  # fmt: skip
    tried = rows("SELECT deployment, status, cost FROM attempts ORDER BY attempt")
    assert [(one["deployment"], one["status"], one["cost"] is None) for one in tried] == [
        ("small", "error", True),
        ("large", "ok", False),
    ]


def test_cache_key_has_the_chosen_model(configured: Configure) -> None:
    configured({**RULES, "rules": {"vip": {"model": "large", "tags": ["vip"]}}}, cache={"exact": True})
    texts: list[tuple[str, str | None]] = []
    for tags in ([], ["vip"], [], ["vip"]):
        with llmops.context(tags=tags):
            answer = llmops.chat("Hi", model="auto")
        texts.append((answer.text, answer.cache))
    assert texts == [("Hi", None), ("from large", None), ("Hi", "exact"), ("from large", "exact")]


def test_guards_and_budgets_are_those_of_the_chosen_model(configured: Configure) -> None:
    configured(
        {**RULES, "rules": {"vip": {"model": "large", "tags": ["vip"]}}},
        models={"small": {"guardrails": {"input": ["cards:block"]}}},
        budgets=[{"name": "large", "model": "large", "limit_usd": 1e-9}],
    )
    with pytest.raises(llmops.GuardrailViolation):
        llmops.chat("My card is 4111 1111 1111 1111", model="auto")
    assert llmops.chat("Hi", model="auto").text == "Hi"
    with llmops.context(tags=["vip"]), pytest.raises(llmops.BudgetExceededError):
        llmops.chat("Hi", model="auto")


def test_shadow_mode_calls_the_default_and_records_the_choice(configured: Configure, rows: Rows) -> None:
    configured({"mode": "shadow", "policy": "rules", "rules": {"all": {"model": "small"}}})
    assert served(llmops.chat("Hi", model="auto")) == "large"
    assert rows("SELECT model, serves, mode, propensity FROM routes") == [
        {"model": "small", "serves": "large", "mode": "shadow", "propensity": 1.0}
    ]


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 no archive", b"\x93NUMPY"])
def test_missing_or_broken_router_breaks_no_call_and_warns_once(
    configured: Configure, rows: Rows, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    settings = configured()
    llmops.chat("Hi", model="small")
    llmops.flush()  # makes the store's folder
    file = settings.store.path / "routers" / "auto.npz"
    if content is not None:
        file.parent.mkdir()
        file.write_bytes(content)
    with caplog.at_level(logging.WARNING, "llmops_sdk"):
        assert [served(llmops.chat("Hi", model="auto")) for _ in range(3)] == ["large"] * 3
    assert [record.getMessage() for record in caplog.records if str(file) in record.getMessage()] != []
    assert len(caplog.records) == 1
    assert rows("SELECT DISTINCT reason, model FROM routes") == [{"reason": "unproven", "model": "large"}]


def test_decisions_leave_the_machine_without_content(configured: Configure, rows: Rows) -> None:
    configured({**RULES, "rules": {"special": {"model": "large"}}})
    llmops.chat("a secret word", model="auto")
    [event] = rows("SELECT attributes FROM events WHERE name = 'llmops.route'")
    attributes = json.loads(event["attributes"])
    assert "secret" not in event["attributes"]
    assert event_without_content("llmops.route", attributes) == attributes


def test_unknown_cost_is_no_number(configured: Configure, rows: Rows) -> None:
    configured(RULES)
    llmops.configure(prices={})
    configured(RULES)
    llmops.chat("Hi", model="auto")
    [row] = rows("SELECT candidates FROM routes")
    assert [one["cost"] for one in json.loads(row["candidates"])] == [None, None]


def test_vectors_are_not_routed(configured: Configure) -> None:
    configured(RULES)
    with pytest.raises(ConfigError, match="vectors of different models"):
        llmops.embed(["a"], model="auto")


# --- the cascade


CASCADE: dict[str, Any] = {"policy": "cascade", "verify": "verifier:good"}


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "verifier.py").write_text("def good(messages, response):\n    return 'good' in response.text\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("verifier")
def test_cascade_escalates_what_does_not_pass(configured: Configure, rows: Rows) -> None:
    configured(CASCADE)
    kept, escalated = llmops.chat("good", model="auto"), llmops.chat("bad", model="auto")
    assert (kept.text, escalated.text, len(escalated.attempts)) == ("good", "from large", 2)
    assert [attempt.reason for attempt in escalated.attempts] == ["first", "escalation"]
    assert escalated.cost == pytest.approx(sum(attempt.cost or 0.0 for attempt in escalated.attempts))
    assert [(row["model"], row["reason"], row["deployment"]) for row in rows("SELECT * FROM routes ORDER BY time")] == [
        ("small", "cascade", "small"),
        ("small", "cascade", "large"),
        ("large", "escalated", "large"),
    ]


@pytest.mark.usefixtures("verifier")
async def test_streams_of_a_cascade_show_only_the_answer_that_passed(configured: Configure) -> None:
    configured(CASCADE)
    for prompt, text, tries in (("good one", "good one", 1), ("bad", "from large", 2)):
        stream = llmops.stream(prompt, model="auto")
        assert "".join(chunk.text for chunk in stream) == text
        assert len(stream.response.attempts) == tries
        assert (await llmops.achat(prompt, model="auto")).text == text
        assert "".join([chunk.text async for chunk in llmops.astream(prompt, model="auto")]) == text


def test_cascade_escalates_cut_empty_and_unfitting_answers(configured: Configure) -> None:
    answers = {"answers": ["no JSON"]}
    configured({"policy": "cascade"}, models={"small": {"model": "offline/script", "options": answers}})
    assert llmops.chat("Hi", model="auto").text == "no JSON"
    assert llmops.chat("Hi", model="auto", max_tokens=1).text != "no JSON"
    fitting = {"model": "offline/script", "options": {"answers": ['{"n": 1}']}}
    configured(
        {"policy": "cascade"}, models={"small": {"model": "offline/script", "options": answers}, "large": fitting}
    )
    answer = llmops.chat("Hi", model="auto", response_model=dict[str, int])
    assert (answer.parsed, served(answer)) == ({"n": 1}, "large")
    unfit = {"model": "offline/script", "options": answers}
    configured({"policy": "cascade"}, models={"small": unfit, "large": unfit})
    with pytest.raises(ValidationFailedError):
        llmops.chat("Hi", model="auto", response_model=dict[str, int])


def test_cascade_needs_a_function_and_equal_guards(configured: Configure) -> None:
    configured({"policy": "cascade", "verify": "nowhere:good"})
    with pytest.raises(ConfigError, match="nowhere"):
        llmops.chat("Hi", model="auto")
    configured({"policy": "cascade"}, models={"large": {"guardrails": {"input": ["cards"]}}})
    with pytest.raises(ConfigError, match="different guards"):
        llmops.chat("Hi", model="auto")
