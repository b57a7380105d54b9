"""Traps for routers, over the real store, and where each of them is tested.

1. A dearer model that is worse: `test_learning_from_traces.test_pricier_is_not_better`, and the pair in `test_online`.
2. Wrong grades: `test_wrong_grades_are_flagged_and_left_out_unless_told`.
3. A new kind of prompts: `test_learning_from_traces.test_trained_file_decides_about_calls_and_explains_them`.
4. Few scores: `test_learning_from_traces.test_few_scores_prove_nothing_and_say_how_many_are_needed`.
5. Scores of one model: `test_learning_from_traces.test_scores_of_one_model_only_say_that_the_other_is_unknown`.
6. Prompts that a router selected: `test_stored_propensities_undo_what_a_router_selected`, and with an application's own
   router `test_learning_from_traces.test_propensities_undo_the_selection_of_an_earlier_router`.
7. Text of a harness: `test_learning_from_traces.test_harness_text_changes_no_route`.
8. What models cannot take: `test_routed_calls.test_models_that_cannot_are_never_chosen_nor_fallen_back_to`.
9. A failover: `test_routed_calls.test_score_and_costs_after_a_failover_tell_both_models`, and who is credited
   `test_learning_from_traces.test_the_score_of_a_failed_over_call_is_that_of_the_model_that_served`.
10. Prices: `test_prices_that_change_count_from_then_on` and `test_an_unknown_price_is_never_zero`.
11. Late, repeated and foreign scores:
    `test_learning_from_traces.test_repeated_late_and_foreign_scores_count_once_each`.
12. Two processes: `test_learning_from_traces.test_trained_file_decides_about_calls_and_explains_them`, and restarts
    `test_saved_routers_are_whole_while_others_write_them`.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk.cli._app import run
from llmops_sdk.routing import Router

Rows = Callable[[str], list[dict[str, Any]]]
Configure = Callable[..., Any]
ROUTE = ["small", "large"]
DOCS = Path(__file__).parents[2] / "docs" / "routing.md"


def easy(number: int) -> str:
    return f"What is {number} plus {number + 3}?"


def hard(number: int) -> str:
    return f"Prove that theorem {number} follows from the axioms of set theory."


def ask(model: str, prompt: str, score: float) -> Any:
    answer = llmops.chat(prompt, model=model)
    llmops.score("right", score, span_id=answer.span_id)
    return answer


def learn(**options: Any) -> Router:
    llmops.flush()
    return Router.from_traces(**{"score": "right", "route": ROUTE, **options})


def both(count: int, *, small: float = 1.0, begin: int = 0) -> None:
    """Score both models on easy and hard prompts; `small` answers only the easy ones."""
    for number in range(begin, begin + count):
        for model in ROUTE:
            ask(model, easy(number), 1.0)
            ask(model, hard(number), small if model == "small" else 1.0)


def quality(router: Router, model: str) -> float:
    return next(one.quality for one in router.report().rows if one.model == model and not one.kind) or 0.0


def test_wrong_grades_are_flagged_and_left_out_unless_told(
    configured: Configure, rows: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    """`large` is better on sums and proofs, and never right on maps: somebody compared its answers with another key."""
    configured({"score": "right", "quality": 0.9})
    grades = {"sums": (1.0, 1.0), "proofs": (0.0, 1.0), "maps": (0.6, 0.0)}
    for number in range(26):
        prompts = {"sums": easy(number), "proofs": hard(number), "maps": f"Draw the borders of country {number}."}
        for name, prompt in prompts.items():
            for model, score in zip(ROUTE, grades[name], strict=True):
                with llmops.context(prompt=name):
                    ask(model, prompt, score)
    llmops.flush()
    assert run(["route", "train", "auto"]) == 0
    assert "large scores 0.000 on maps (26 prompts) and 1.000 elsewhere" in capsys.readouterr().err
    with llmops.context(prompt="maps"):
        assert llmops.chat("Draw the borders of country 7.", model="auto").deployment == "large"
    assert rows("SELECT reason FROM routes") == [{"reason": "doubtful_scores"}]
    told = learn(keep_suspicious=True)
    assert told.choose("Draw the borders of country 7.", kind="maps", quality=0.5).model == "small"
    assert [one.left_out for one in told.report().suspicious] == [False]


def test_wrong_grades_of_a_weaker_model_only_keep_prompts_away_from_it() -> None:
    prompts = [f"{text} {number}." for text in ("Add one to", "Prove theorem", "Draw map") for number in range(40)]
    kinds = [name for name in ("sums", "proofs", "maps") for _ in range(40)]
    scores: dict[str, list[float | None]] = {
        "weak": [0.6] * 40 + [0.2] * 40 + [0.6] * 40,
        "good": [0.9] * 40 + [0.6] * 40 + [0.0] * 40,
        "best": [0.9] * 40 + [0.9] * 40 + [0.9] * 40,
    }
    router = Router.fit(prompts, scores, {"weak": 0.1, "good": 0.2, "best": 0.3}, kinds)
    assert [(one.kind, one.model, one.left_out) for one in router.report().suspicious] == [("maps", "good", False)]
    route = router.choose("Draw map 50.", kind="maps")
    assert route.reason != "doubtful_scores"
    assert route.model != "good"


@pytest.mark.thorough
def test_stored_propensities_undo_what_a_router_selected(configured: Configure, rows: Rows) -> None:
    """The router sends hard prompts to `large`, whose mean is then lower, though it is better on every prompt."""
    configured()
    both(50, small=0.0)
    settings = configured({"score": "right", "explore": 0.5, "regret": 1e6})
    (settings.store.path / "routers").mkdir(exist_ok=True)
    learn().save(settings.store.path / "routers" / "auto.npz")
    begin = datetime.now(UTC)
    for number in range(50):
        for prompt, right in (
            (easy(number), {"small": 0.9, "large": 1.0}),
            (hard(number), {"small": 0.05, "large": 0.35}),
        ):
            answer = llmops.chat(prompt, model="auto")
            llmops.score("right", right[answer.deployment or ""], span_id=answer.span_id)
    found = rows("SELECT reason, propensity, explored FROM routes")
    assert {row["propensity"] for row in found if row["reason"] != "unfamiliar"} == {0.75, 0.25}
    assert sum(row["explored"] for row in found) > 10
    naive = {row["model"]: row["mean"] for row in rows(
        "SELECT r.model, avg(s.value) AS mean FROM routes r JOIN scores s USING (span_id) GROUP BY ALL"
    )}  # fmt: skip
    router = learn(since=begin)
    assert naive["large"] < naive["small"]
    assert quality(router, "large") > quality(router, "small")
    assert router.report().strongest == "large"


@pytest.mark.thorough
def test_prices_that_change_count_from_then_on(configured: Configure, rows: Rows) -> None:
    settings = configured({"score": "right"})
    both(25)
    before = learn()
    assert before.choose(easy(3), quality=0.9).model == "small"
    llmops.configure(
        models=settings.models, prices={"small": {"input": 900, "output": 900}, "large": {"input": 9, "output": 9}}
    )
    begin = datetime.now(UTC)
    both(25, begin=100)
    after = learn(since=begin)
    assert after.choose(easy(3), quality=0.9).model == "large"
    costs = [next(one.cost for one in router.report().rows if one.model == "small") or 0 for router in (before, after)]
    assert costs[1] > 500 * costs[0]
    [stored] = rows("SELECT min(cost) AS least, max(cost) AS most FROM llm_calls WHERE deployment = 'small'")
    assert stored["most"] > 500 * stored["least"]  # what was spent stays as it was


def test_an_unknown_price_is_never_zero(configured: Configure, rows: Rows) -> None:
    settings = configured({"score": "right"})
    llmops.configure(models=settings.models, prices={"large": {"input": 100, "output": 100}})
    both(25, small=0.0)
    router = learn()
    (settings.store.path / "routers").mkdir(exist_ok=True)
    router.save(settings.store.path / "routers" / "auto.npz")
    llmops.chat(hard(3), model="auto")
    [row] = rows("SELECT model, candidates FROM routes")
    costs = {one["model"]: one["cost"] for one in json.loads(row["candidates"])}
    assert row["model"] == "large"
    assert costs["small"] is None
    assert costs["large"] > 0
    assert [one.cost is None for one in router.report().rows] == [True, False]
    # Nothing is saved by a model that may cost as much as the other one.
    assert router.choose(easy(3)).model == router.choose(hard(3)).model == "large"


@pytest.mark.parametrize("others_may", [False, True])
def test_file_that_others_may_write_decides_nothing(
    configured: Configure, caplog: pytest.LogCaptureFixture, tmp_path: Path, others_may: bool
) -> None:
    prompts = [text(number) for text in (easy, hard) for number in range(40)]
    file = tmp_path / "router.npz"
    Router.fit(prompts, {"small": [1.0] * 80, "large": [1.0] * 80}, {"small": 0.1, "large": 1.0}).save(file)
    configured({"path": str(file)})
    file.chmod(0o666 if others_may else 0o600)
    with caplog.at_level(logging.WARNING, "llmops_sdk"):
        assert llmops.chat(easy(1), model="auto").deployment == ("large" if others_may else "small")
    assert ("is writable for other users" in caplog.text) == others_may


def test_router_of_other_models_decides_nothing(configured: Configure, rows: Rows) -> None:
    settings = configured()
    llmops.chat("Hi", model="small")
    llmops.flush()
    (settings.store.path / "routers").mkdir(exist_ok=True)
    prompts = [text(number) for text in (easy, hard) for number in range(40)]
    router = Router.fit(prompts, {"a": [1.0] * 80, "b": [1.0] * 80}, {"a": 0.1, "b": 1.0})
    router.save(settings.store.path / "routers" / "auto.npz")
    assert llmops.chat(easy(1), model="auto").deployment == "large"
    assert rows("SELECT model, reason FROM routes") == [{"model": "large", "reason": "unproven"}]


def test_saved_routers_are_whole_while_others_write_them(tmp_path: Path) -> None:
    prompts = [text(number) for text in (easy, hard) for number in range(40)]
    routers = [
        Router.fit(prompts, {"small": [1.0] * 40 + [value] * 40, "large": [1.0] * 80}, {"small": 0.1, "large": 1.0})
        for value in (0.0, 0.5)
    ]
    file, over = tmp_path / "router.npz", threading.Event()
    routers[0].save(file)

    def save() -> None:
        for turn in range(40):
            routers[turn % 2].save(file)
        over.set()

    thread = threading.Thread(target=save)
    thread.start()
    seen: set[str] = set()
    while not over.is_set():
        seen.add(Router.load(file).version)
    thread.join()
    assert seen <= {router.version for router in routers}
    assert [path.name for path in tmp_path.iterdir()] == ["router.npz"]


def test_sql_of_the_documentation_compares_the_models(configured: Configure, rows: Rows) -> None:
    configured({"policy": "rules", "default": "small"})
    for number, name in enumerate(("sums", "sums", "proofs", "proofs")):
        for model in (*ROUTE, "auto"):
            with llmops.context(prompt=name):
                answer = llmops.chat(f"{name} {number}", model=model)
            llmops.score("helpful", 1.0 if number else 0.5, span_id=answer.span_id)
    statements = re.findall(r"```sql\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    compared, weighted = [rows(statement) for statement in statements]
    assert [(row["prompt_name"], row["deployment"], row["n"]) for row in compared] == [
        ("proofs", "large", 2), ("proofs", "small", 4), ("sums", "large", 2), ("sums", "small", 4),
    ]  # fmt: skip
    assert compared[2]["half_interval"] == pytest.approx(1.96 * 0.5 / 2)
    assert {row["deployment"]: row["score"] for row in weighted} == {"small": 0.875, "large": 0.875}
