"""`Router.from_traces` and `llmops route` over the real store: who is credited, what is proven, and what is not."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk.cli._app import run
from llmops_sdk.routing import Router

Rows = Callable[[str], list[dict[str, Any]]]
Configure = Callable[..., Any]

EASY = [f"What is {number} plus {number + 3}?" for number in range(32)]
HARD = [f"Prove that theorem {number} follows from the axioms of set theory." for number in range(32)]
ROUTE = ["small", "large"]


def ask(model: str, prompt: str, score: float | None, *, name: str = "right", source: str = "user") -> Any:
    answer = llmops.chat(prompt, model=model)
    if score is not None:
        llmops.score(name, score, span_id=answer.span_id, source=source)
    return answer


def learn(**options: Any) -> Router:
    llmops.flush()
    return Router.from_traces(**{"score": "right", "route": ROUTE, **options})


def both(prompts: Sequence[str], small: float, large: float) -> None:
    for prompt in prompts:
        ask("small", prompt, small)
        ask("large", prompt, large)


def row_of(router: Router, model: str) -> Any:
    return next(one for one in router.report().rows if one.model == model and not one.kind)


@pytest.fixture
def learned(configured: Configure) -> Router:
    """Return a router that knows: `small` answers the easy prompts, and none of the hard ones."""
    configured()
    both(EASY, 1.0, 1.0)
    both(HARD, 0.0, 1.0)
    return learn()


def test_routes_by_what_scores_of_stored_calls_say(learned: Router) -> None:
    assert (learned.choose(EASY[0]).model, learned.choose(HARD[0]).model) == ("small", "large")
    small, large = row_of(learned, "small"), row_of(learned, "large")
    assert (small.n, small.quality, large.quality) == (64, 0.5, 1.0)
    assert large.cost > small.cost > 0


def test_trained_file_decides_about_calls_and_explains_them(
    learned: Router, rows: Rows, configured: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = configured({"score": "right"})
    assert run(["route", "train", "auto"]) == 0
    assert "right" not in capsys.readouterr().err
    answers = [llmops.chat(prompt, model="auto") for prompt in (EASY[3], HARD[3], "Écris un poème sur la mer.")]
    found = rows("SELECT model, reason, version, familiarity > 0.99 AS near FROM routes ORDER BY time")
    assert [(row["model"], row["reason"]) for row in found] == [
        ("small", "cheapest_good_enough"), ("large", "best"), ("large", "unfamiliar"),
    ]  # fmt: skip
    assert {row["version"] for row in found} == {Router.load(settings.store.path / "routers" / "auto.npz").version}
    # A process of its own decides alike, from the file alone.
    program = (
        f"from llmops_sdk.routing import Router; r = Router.load({str(settings.store.path / 'routers/auto.npz')!r}); "
    )
    program += f"route = r.choose({EASY[3]!r}); print(route.model, route.version)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["small", found[0]["version"]]
    capsys.readouterr()
    assert run(["route", "explain", answers[0].trace_id]) == 0
    told = capsys.readouterr().out
    assert "auto -> small: its expected score, less the price of its cost, is the highest" in told
    assert "propensity 1" in told
    assert "answered by small" in told
    assert EASY[3] not in told


def test_harness_text_changes_no_route(learned: Router) -> None:
    reminder = "<system-reminder>\n" + "Prove the theorem. Use the axioms of set theory. " * 60 + "\n</system-reminder>"
    tool: dict[str, Any] = {"role": "tool", "tool_call_id": "1", "content": "theorem axioms proof " * 100}
    call = {"role": "assistant", "content": "I look it up.", "tool_calls": []}
    for prompt, model in ((EASY[5], "small"), (HARD[5], "large")):
        bare = learned.choose(prompt)
        asked = {"role": "user", "content": f"{reminder}\n{prompt}"}
        after = {"role": "user", "content": f"{reminder}\n{reminder}"}
        parts = {"role": "user", "content": [{"type": "text", "text": reminder}, {"type": "text", "text": prompt}]}
        summary = {"role": "user", "content": "<conversation_summary>" + HARD[1] * 9 + "</conversation_summary>"}
        for messages in ([asked], [asked, call, tool, after], [parts], [summary, asked, call, tool]):
            route = learned.choose(messages)
            assert (route.model, route.expected_quality) == (model, bare.expected_quality)


def test_the_score_of_a_failed_over_call_is_that_of_the_model_that_served(configured: Configure) -> None:
    broken = {"options": {"failures": {"rate": 1.0}}, "fallbacks": ["large"], "retry": {"attempts": 1}}
    configured({"policy": "rules", "default": "small"}, models={"small": broken})
    for prompt in [*EASY, *HARD[:13]]:
        assert ask("auto", prompt, 1.0).deployment == "large"
    router = learn()
    assert (row_of(router, "small").n, row_of(router, "large").n) == (0, 45)


def test_scores_of_one_model_only_say_that_the_other_is_unknown(configured: Configure) -> None:
    configured()
    for prompt in (*EASY, *HARD):
        ask("large", prompt, 1.0)
    report = learn().report()
    assert any("the quality of small is unknown" in note for note in report.notes)
    assert report.needed is None
    route = learn().choose(EASY[0])
    assert (route.model, route.reason, set(route.expected_quality)) == ("large", "unproven", {"large"})


def test_few_scores_prove_nothing_and_say_how_many_are_needed(configured: Configure) -> None:
    configured()
    both(EASY[:25], 1.0, 1.0)
    both(HARD[:25], 1.0, 1.0)
    router = learn()
    assert router.choose(EASY[0], quality=0.99).reason == "unproven"
    report = router.report(quality=0.99)
    assert report.needed is not None
    assert report.needed > 50
    assert f"about {report.needed} scored prompts are needed, there are 50" in report.notes[-1]


def test_too_few_scores_are_an_error_that_says_so(configured: Configure) -> None:
    configured()
    both(EASY[:5], 1.0, 1.0)
    with pytest.raises(ValueError, match="a router needs 30 or more"):
        learn()
    both(EASY[5:], 1.0, 1.0)
    with pytest.raises(ValueError, match="about 40 or more"):
        learn()
    ask("small", "Hi", 4.5)
    with pytest.raises(ValueError, match="not from 0 to 1"):
        learn()


def test_pricier_is_not_better(configured: Configure) -> None:
    configured()
    both(EASY, 0.9, 0.6)
    both(HARD, 0.8, 0.5)
    router = learn()
    report = router.report()
    assert (report.strongest, router.default) == ("small", "large")
    assert "large costs more and is worse than another model: leave it out" in report.notes
    assert {router.choose(prompt).model for prompt in [*EASY, *HARD, "Écris un poème sur la mer."]} == {"small"}


def test_repeated_late_and_foreign_scores_count_once_each(configured: Configure, tmp_path: Path) -> None:
    settings = configured()
    both(EASY, 1.0, 1.0)
    both(HARD, 0.0, 1.0)
    first, again = learn(), learn()
    assert first.version == again.version
    answer = ask("small", EASY[0], 1.0)
    same = learn()
    assert row_of(same, "small").quality == row_of(first, "small").quality
    # Days later, from another process: the user thinks better of it; another scorer has its own name.
    program = (
        f"import llmops_sdk as llmops; llmops.configure(store={{'path': {str(settings.store.path)!r}}}); "
        f"[llmops.score('right', value, span_id={answer.span_id!r}) for value in (0.5, 0.0, 0.0)]; "
        f"llmops.score('other', 0.7, span_id={answer.span_id!r}); llmops.flush()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    late, twice = learn(), learn()
    assert late.version == twice.version != same.version
    # The prompt was asked twice, with 1 and now 0.
    assert row_of(late, "small").quality == pytest.approx(row_of(first, "small").quality - 0.5 / 64)
    llmops.score("right", 1.0, span_id=answer.span_id, source="judge")
    assert row_of(learn(source="user"), "small").quality == row_of(late, "small").quality
    assert row_of(learn(), "small").quality > row_of(late, "small").quality


def test_propensities_undo_the_selection_of_an_earlier_router(configured: Configure, rows: Rows) -> None:
    """A router sent hard prompts to `large`: its mean is lower, though it is better on every prompt."""
    configured()
    draw = random.Random(5)
    for at in range(160):
        hard = at % 2 == 0
        share = 0.9 if hard else 0.1
        model = "large" if draw.random() < share else "small"
        chance = share if model == "large" else 1 - share
        prompt = f"{'Prove theorem' if hard else 'Add one to'} {at}."
        answer = llmops.chat(prompt, model=model)
        right = draw.random() < {("large", True): 0.7, ("small", True): 0.3, ("large", False): 1.0}.get(
            (model, hard), 0.95
        )
        llmops.score("right", float(right), span_id=answer.span_id)
        record_decision(answer, model, chance)
    naive = {row["deployment"]: row["mean"] for row in rows(
        "SELECT deployment, avg(value) AS mean FROM llm_calls JOIN scores USING (span_id) "
        "WHERE scores.name = 'right' GROUP BY ALL"
    )}  # fmt: skip
    router = learn(query=LOGGED)
    assert naive["large"] < naive["small"]
    assert router.report().strongest == "large"
    assert (row_of(router, "large").quality or 0) > (row_of(router, "small").quality or 1)


LOGGED = """
SELECT c.input_messages->0->'parts'->0->>'content' AS prompt, c.deployment AS model, s.value AS score,
    (d.attributes->>'propensity')::DOUBLE AS propensity
FROM llm_calls c JOIN scores s USING (span_id)
JOIN events d ON d.name = 'decided' AND d.attributes->>'of' = c.span_id
WHERE s.name = 'right'
"""


def record_decision(answer: Any, model: str, chance: float) -> None:
    """Record what an application's own router decided, on a span of its own."""
    with llmops.span("route") as span:
        span.add_event("decided", {"of": answer.span_id, "model": model, "propensity": chance})


def test_own_queries_need_their_columns(configured: Configure) -> None:
    configured()
    llmops.chat("Hi", model="small")
    with pytest.raises(ValueError, match="has no column 'prompt'"):
        learn(query="SELECT 'a' AS model, 1.0 AS score")


@pytest.mark.usefixtures("learned")
def test_commands_train_report_and_simulate(
    configured: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    assert run(["route", "report", "auto"]) == 1
    assert run(["route", "train", "auto"]) == 2  # which scores?
    assert run(["route", "train", "small", "--score", "right"]) == 2  # no route
    assert run(["route", "train", "auto", "--score", "nothing"]) == 1
    capsys.readouterr()
    assert run(["route", "train", "auto", "--score", "right"]) == 0
    picture = tmp_path / "curve.svg"
    assert run(["route", "report", "auto", "-o", str(picture), "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert '"model":' in captured.out.replace(" ", "").replace("\n", "")
    assert "with 95 % confidence" in captured.err
    assert picture.read_text().startswith("<svg")
    assert run(["route", "report", "auto", "--quality", "1"]) == 2
    capsys.readouterr()
    assert run(["route", "simulate", "auto", "--format", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "model,reason,calls,share,expected_quality,expected_cost"
    assert {line.split(",")[0] for line in lines[1:]} == {"small", "large"}
    assert run(["route", "explain", "f" * 32]) == 1
    assert run(["route", "explain", "no id"]) == 2
