"""The online router: what it tries, what it forgets, what it may lose, and its file. The traffic is simulated."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk.cli._app import run
from llmops_sdk.routing import OnlineRouter
from llmops_sdk.routing.online._arm import change_point

Rows = Callable[[str], list[dict[str, Any]]]
Configure = Callable[..., Any]
THREE = {"small": (0.7, 0.0001), "middle": (0.9, 0.001), "large": (0.93, 0.03)}


def serve(
    router: OnlineRouter, count: int, *, models: dict[str, tuple[float, float]] = THREE, kind: str = "", seed: int = 1
) -> list[str]:
    """Let a router serve calls whose scores are near each model's mean; return the models."""
    draw = random.Random(seed)
    served: list[str] = []
    for _ in range(count):
        route = router.choose(kind)
        mean, cost = models[route.model]
        router.record(route.model, min(max(mean + draw.uniform(-0.1, 0.1), 0.0), 1.0), cost=cost, kind=kind)
        served.append(route.model)
    return served


def test_cheapest_model_that_is_good_enough_gets_the_calls_after_few_tries() -> None:
    served = serve(OnlineRouter(THREE), 400)
    assert set(served[:40]) == set(THREE)
    assert served[-300:].count("middle") > 285
    assert served.count("large") < 20


def test_dearer_model_that_is_worse_gets_hardly_any_call() -> None:
    """The arena's pair, with answers that are right or wrong."""
    router, draw = OnlineRouter(["flash", "haiku"]), random.Random(3)
    served: list[str] = []
    for _ in range(809):
        served.append(router.choose().model)
        right = draw.random() < {"flash": 0.69, "haiku": 0.523}[served[-1]]
        router.record(served[-1], float(right), cost={"flash": 4.7e-5, "haiku": 1.76e-4}[served[-1]])
    assert served[100:].count("haiku") <= 0.05 * 709
    assert router.choose().model == "flash"


def test_silent_regression_is_found_and_left_within_fifty_calls() -> None:
    router = OnlineRouter(THREE)
    serve(router, 600)
    assert router.changes == ()
    served = serve(router, 200, models={**THREE, "middle": (0.5, 0.001)}, seed=2)
    assert [change.model for change in router.changes] == ["middle"]
    assert served[50:].count("large") > 140


def test_models_that_get_better_are_found_again() -> None:
    router = OnlineRouter(THREE, memory=300)
    serve(router, 300)
    served = serve(router, 2_000, models={**THREE, "small": (0.92, 0.0001)}, seed=2)
    assert served[-200:].count("small") > 180


def test_nothing_is_tried_without_scores_or_beyond_the_regret() -> None:
    router = OnlineRouter(THREE)
    assert {router.choose().reason for _ in range(50)} == {"unproven"}
    assert router.choose().model == "large"
    router.record("large", 0.9)
    assert router.choose("letters").reason == "unproven"  # a kind without scores
    tried = [router.choose().model for _ in range(500)]  # no score comes back
    assert 500 - tried.count("large") <= 10 / 0.25 + 500 / 1_000 * 10 / 0.25
    still = OnlineRouter(THREE, regret=0)
    still.record("large", 0.9)
    assert {still.choose().model for _ in range(50)} == {"large"}


def test_each_kind_has_its_own_model() -> None:
    router = OnlineRouter(["small", "large"], memory=5_000)
    easy, hard = {"small": (0.9, 0.0001), "large": (0.9, 0.01)}, {"small": (0.3, 0.0001), "large": (0.9, 0.01)}
    router.record("large", 0.9, kind="easy")
    router.record("large", 0.9, kind="hard")
    for turn in range(60):
        serve(router, 5, models=easy, kind="easy", seed=turn)
        serve(router, 5, models=hard, kind="hard", seed=turn)
    assert (router.choose("easy").model, router.choose("hard").model) == ("small", "large")


def test_propensities_are_those_of_the_draws() -> None:
    router = OnlineRouter(["small", "large"], explore=0.3, regret=1e6)
    for _ in range(30):
        router.record("small", 0.9, cost=0.1)
        router.record("large", 0.9, cost=1.0)
    routes = [router.choose() for _ in range(3_000)]
    drawn = [route for route in routes if route.model == "large"]
    assert len(drawn) / 3_000 == pytest.approx(0.15, abs=0.03)
    assert {(route.model, route.propensity, route.explored) for route in routes} == {
        ("small", 0.85, False),
        ("large", 0.15, True),
    }


def test_unknown_costs_count_as_the_dearest() -> None:
    router = OnlineRouter(["unpriced", "priced"])
    for _ in range(50):
        router.record("unpriced", 0.9)
        router.record("priced", 0.9, cost=0.5)
    route = router.choose()
    assert route.expected_cost == {"unpriced": None, "priced": 0.5}
    # Equal costs: the first one of the route.
    assert route.model == "unpriced"
    router.record("unpriced", 0.9, cost=0.9)
    assert router.choose().model == "priced"


def test_saved_router_goes_on_alike(tmp_path: Path) -> None:
    router = OnlineRouter(THREE, explore=0.2, seed=7)
    serve(router, 100, kind="letters")
    router.save(tmp_path / "router.json")
    assert (tmp_path / "router.json").stat().st_mode & 0o077 == 0
    loaded = OnlineRouter.load(tmp_path / "router.json")
    assert (loaded.version, loaded.default) == (router.version, router.default)
    assert serve(loaded, 50, kind="letters") == serve(router, 50, kind="letters")
    assert loaded.version == router.version


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2"),
        ({"arms": [["", "other", []]]}, "arms"),
        ({"arms": [["", "small", [[1, 1.5, None]]]]}, "a number"),
        ({"arms": [["", "small", [[1, "high", None]]]]}, "a number"),
        ({"arms": [["", "small", [[2, 0.5, None], [1, 0.5, None]]]]}, "arms"),
        ({"arms": [["", "small", [[10**9, 0.5, None]]]]}, "arms"),
        ({"arms": 3}, "TypeError"),
        ({"options": {}}, "KeyError"),
        ({"scores": -1}, "a count"),
        ({"spent": None}, "a number"),
        ({"changes": [{"model": "small"}]}, "TypeError"),
    ],
)
def test_hostile_files_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    file = tmp_path / "router.json"
    router = OnlineRouter(THREE)
    serve(router, 20)
    router.save(file)
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(ValueError, match="is no online router") as caught:
        OnlineRouter.load(file)
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b"nul", b'{"format": NaN}'])
def test_files_of_others_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "router.json").write_bytes(content)
    with pytest.raises(ValueError, match="is no online router"):
        OnlineRouter.load(tmp_path / "router.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"route": ["a"]}, "two or more"),
        ({"route": ["a", "a"]}, "two or more"),
        ({"default": "c"}, "none of the models"),
        ({"costs": {"a": -1.0}}, "USD of at least 0"),
        ({"costs": {"a": float("nan")}}, "USD of at least 0"),
        ({"quality": 2.0}, "from 0 to 1"),
        ({"explore": float("nan")}, "from 0 to 1"),
        ({"regret": -1.0}, "at least 0"),
        ({"memory": 1}, "at least 10"),
    ],
)
def test_bad_options_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OnlineRouter(**{"route": ["a", "b"], **options})


def test_bad_records_are_told() -> None:
    router = OnlineRouter(["a", "b"])
    for model, score, cost in (("c", 0.5, None), ("a", float("nan"), None), ("a", 1.5, None), ("a", 0.5, float("inf"))):
        with pytest.raises(ValueError, match=r"none of|from 0 to 1|at least 0"):
            router.record(model, score, cost=cost)
    with pytest.raises(ValueError, match="none of the candidates"):
        router.choose(allowed=["c"])
    assert router.version == ""


def test_changes_are_rarely_seen_where_there_are_none() -> None:
    draw = random.Random(0)
    found = 0
    for _ in range(40):
        scores: list[float] = []
        for _ in range(200):
            scores.append(float(draw.random() < 0.7))
            found += change_point(scores) is not None
    assert found == 0


def test_calls_are_routed_by_what_stored_scores_say(
    configured: Configure, rows: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = configured({"policy": "online", "score": "right", "quality": 0.9})
    assert llmops.chat("Hi", model="auto").deployment == "large"  # nothing is known yet
    for number in range(12):
        for model in ("small", "large"):
            answer = llmops.chat(f"Hi {number}", model=model)
            llmops.score("right", {"small": 0.85, "large": 0.9}[model], span_id=answer.span_id)
    llmops.flush()
    assert run(["route", "train", "auto"]) == 0
    assert "small" in capsys.readouterr().out
    assert llmops.chat("Hi", model="auto").deployment == "small"
    found = rows("SELECT model, reason, policy, version FROM routes ORDER BY time")
    version = OnlineRouter.load(settings.store.path / "routers" / "auto.json").version
    assert [(row["model"], row["reason"], row["version"]) for row in found] == [
        ("large", "unproven", None),
        ("small", "cheapest_good_enough", version),
    ]
    assert run(["route", "report", "auto"]) == 2
    assert "no trained router" in capsys.readouterr().err


def test_a_file_of_the_other_policy_decides_nothing(configured: Configure, tmp_path: Path) -> None:
    router = OnlineRouter(["small", "large"])
    for _ in range(20):
        router.record("small", 0.9)
        router.record("large", 0.9)
    router.save(tmp_path / "router")
    for policy, served in (("learned", "large"), ("online", "small")):
        configured({"policy": policy, "path": str(tmp_path / "router")})
        assert llmops.chat("Hi", model="auto").deployment == served
