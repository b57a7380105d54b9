"""`Router.fit`, `choose`, `save` and `load`: properties, files of others, and what the file does not hold."""

from __future__ import annotations

import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_sdk.embeddings import CallableEmbedder
from llmops_sdk.routing import Router
from llmops_sdk.routing._picture import curve_svg
from llmops_sdk.routing.calls._exploration import RegretBudget, explored
from llmops_sdk.routing.features._asked import asked_text
from llmops_sdk.routing.features._form import form_of, words_of
from llmops_sdk.routing.features._read import read_features

EASY = [f"What is {number} plus {number + 3}?" for number in range(40)]
HARD = [f"Prove that theorem {number} follows from the axioms of set theory." for number in range(40)]
SCORES: dict[str, list[float | None]] = {"small": [1.0] * 40 + [0.0] * 40, "large": [1.0] * 80}
COSTS = {"small": 0.0001, "large": 0.01}


@pytest.fixture(scope="module")
def router() -> Router:
    return Router.fit(EASY + HARD, SCORES, COSTS)


@pytest.fixture
def file(router: Router, tmp_path: Path) -> Path:
    router.save(tmp_path / "router.npz")
    return tmp_path / "router.npz"


def test_saved_router_decides_alike_and_its_file_has_no_word_of_a_prompt(router: Router, file: Path) -> None:
    loaded = Router.load(file)
    for prompt in [*EASY[:5], *HARD[:5], "", "Où est la gare?"]:
        assert loaded.choose(prompt) == router.choose(prompt)
    assert (loaded.version, loaded.default, loaded.models) == (router.version, "large", ("small", "large"))
    with zipfile.ZipFile(file) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    for word in (b"theorem", b"axioms", b"Prove", b"plus"):
        assert word not in content
    assert file.stat().st_mode & 0o077 == 0


def test_equal_data_give_equal_versions_and_other_data_another(router: Router) -> None:
    assert Router.fit(EASY + HARD, SCORES, COSTS).version == router.version
    assert Router.fit(EASY + HARD, SCORES, COSTS, default="small").version != router.version


def test_router_of_another_embedder_is_refused(file: Path) -> None:
    other = CallableEmbedder(lambda texts: [[1.0, 0.0]] * len(texts), "other")
    with pytest.raises(ValueError, match="give that one, or fit it again"):
        Router.load(file, embedder=other)


def _repacked(file: Path, **changed: Any) -> bytes:
    with np.load(file) as found:
        arrays = {name: found[name] for name in found.files}
    header = json.loads(arrays["header"].tobytes())
    for name, value in changed.items():
        if name in header:
            header[name] = value
        elif value is None:
            del arrays[name.replace("__", ".")]
        else:
            arrays[name.replace("__", ".")] = value
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


HOSTILE: dict[str, dict[str, Any]] = {
    "another format": {"format": 99},
    "models that are no texts": {"models": [1, 2]},
    "one model": {"models": ["small"]},
    "a default that is no model": {"default": "other"},
    "a strongest out of range": {"strongest": 7},
    "familiar that is no number": {"familiar": "high"},
    "parts of no models": {"parts": []},
    "parts out of range": {"parts": [{"models": [0, 5], "differences": True}]},
    "kinds of another length": {"kinds": ["a"]},
    "a missing array": {"rows": None},
    "rows of another width": {"rows": np.zeros((80, 3), "float32")},
    "rows that are not finite": {"rows": np.full((80, 32), np.inf, "float32")},
    "objects": {"believed": np.array([None] * 80)},
    "buckets out of range": {"0__buckets": np.array([1 << 40]), "0__term_weights": np.array([1.0])},
    "points that are none": {"curve": [{"price": 1}]},
}


@pytest.mark.parametrize("changed", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_with_a_typed_error(file: Path, tmp_path: Path, changed: dict[str, Any]) -> None:
    hostile = tmp_path / "hostile.npz"
    hostile.write_bytes(_repacked(file, **changed))
    with pytest.raises(ValueError, match=r"is no router"):
        Router.load(hostile)


def check_damaged(file: Path, content: bytes, draw: random.Random) -> None:
    damaged = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 40])):
        damaged[draw.randrange(len(damaged))] = draw.randrange(256)
    file.write_bytes(damaged[: draw.choice([len(damaged), len(damaged), draw.randrange(len(damaged))])])
    try:
        loaded = Router.load(file)
    except ValueError:
        return
    assert loaded.choose(EASY[0]).model in loaded.models  # a byte that means nothing


@pytest.mark.parametrize("count", [40, pytest.param(4_000, marks=[pytest.mark.thorough, pytest.mark.timeout(600)])])
def test_damaged_files_are_refused(file: Path, count: int) -> None:
    draw = random.Random(count)
    content = _repacked(file)  # without compression, more of the damages reach what reads the arrays
    for _ in range(count):
        check_damaged(file, content, draw)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": {"small": [1.0] * 80}}, "two models or more"),
        ({"scores": {**SCORES, "small": [1.0]}}, "1 entries for 80 prompts"),
        ({"scores": {**SCORES, "small": [1.5] * 80}}, "from 0 to 1"),
        ({"scores": {**SCORES, "small": [float("inf")] * 80}}, "from 0 to 1"),
        ({"costs": {"other": 1.0}}, "of which there are no scores"),
        ({"costs": {"small": [-1.0] * 80}}, "at least 0"),
        ({"kinds": ["a"]}, "give one for each"),
        ({"default": "other"}, "none of the models"),
        ({"propensities": {"small": [2.0] * 80, "large": [1.0] * 80}}, "a probability"),
        ({"scores": {"small": [None] * 80, "large": [None] * 80}}, "a router needs 30"),
    ],
)
def test_bad_input_is_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Router.fit(EASY + HARD, **{"scores": SCORES, **arguments})


def test_bad_bounds_are_told(router: Router) -> None:
    with pytest.raises(ValueError, match="not both"):
        router.choose("a", quality=0.5, max_cost=1.0)
    with pytest.raises(ValueError, match="from 0 to 1"):
        router.choose("a", quality=2.0)
    with pytest.raises(ValueError, match="none of the candidates"):
        router.choose("a", allowed=["other"])


@settings(max_examples=50)
@given(st.text(max_size=300), st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_every_prompt_gets_an_allowed_model_and_finite_numbers(router: Router, prompt: str, quality: float) -> None:
    route = router.choose(prompt, quality=quality)
    assert route.model in router.models
    assert all(0 <= value <= 1 for value in route.expected_quality.values())
    assert router.choose(prompt, quality=quality, allowed=["small"]).model == "small"


def test_one_prompt_is_predicted_like_many(router: Router) -> None:
    prompts = [*EASY[:20], *HARD[:20], "", "?", "a a a a b", "\ud800 broken", "Über 3 Äpfel – zwei"]
    fitted, embedder = router._fitted, router._embedder
    many = fitted.quality.predict(read_features(embedder, prompts), fitted.believed)
    for at, prompt in enumerate(prompts):
        one = router._single.predict(read_features(embedder, [prompt]))
        assert one.quality == pytest.approx(many.quality[at].tolist(), abs=1e-5)
        assert (one.familiarity, one.doubt) == pytest.approx((many.familiarity[at], many.doubt[at]), abs=1e-5)


def test_unknown_costs_are_never_zero() -> None:
    router = Router.fit(EASY + HARD, SCORES, {"large": 0.01})
    assert router.choose(EASY[0]).expected_cost == {"small": None, "large": pytest.approx(0.01)}
    # It counts as much as the dearest known one, so nothing is saved by it.
    assert router.choose(HARD[0]).model == "large"


def test_wrongly_graded_kinds_are_flagged_and_left_out() -> None:
    prompts = EASY + HARD + [f"Draw a map of country {number}." for number in range(40)]
    kinds = ["sum"] * 40 + ["proof"] * 40 + ["map"] * 40
    scores = {"small": [1.0] * 40 + [0.0] * 40 + [0.9] * 40, "large": [1.0] * 80 + [0.0] * 40}
    report = Router.fit(prompts, scores, COSTS, kinds).report()
    [found] = report.suspicious
    assert (found.kind, found.model, found.n) == ("map", "large", 40)
    assert found.p_value < 1e-9
    assert any("check how it was graded" in note for note in report.notes)
    assert report.strongest == "large"


def test_picture_is_xml_whatever_models_are_called() -> None:
    router = Router.fit(
        EASY + HARD, {"<a&b>": SCORES["small"], "c" * 99: SCORES["large"]}, {"<a&b>": 0.1, "c" * 99: 1.0}
    )
    root = ElementTree.fromstring(curve_svg(router.report()))
    assert "<a&b>" in [element.text for element in root.iter()]


# --- exploration


def test_exploring_has_the_propensities_that_it_records_and_stops_at_its_budget(router: Router) -> None:
    base = router.choose(EASY[0])
    share, models = 0.4, ["small", "large"]
    drawn = [explored(base, f"prompt {at}", models, share, 1e9, RegretBudget()) for at in range(2_000)]
    others = [one for one in drawn if one.model != base.model]
    assert len(others) / 2_000 == pytest.approx(share / 2, abs=0.03)
    assert {one.propensity for one in others} == {share / 2}
    assert {one.propensity for one in drawn if one.model == base.model} == {1 - share / 2}
    assert explored(base, "prompt 1", ["small", "large"], share, 1e9, RegretBudget()) == drawn[1]
    budget = RegretBudget()
    costly = router.choose(HARD[0])
    lost = sum(
        costly.expected_quality[costly.model] - costly.expected_quality[one.model]
        for one in (explored(costly, str(at), ["small", "large"], 0.5, 3.0, budget) for at in range(500))
    )
    assert 2.0 < lost <= 3.0
    assert explored(costly, "7", ["small", "large"], 0.5, 3.0, budget).propensity == 1.0


def test_unfamiliar_prompts_are_never_explored(router: Router) -> None:
    route = router.choose("Écris un poème sur la mer et les oiseaux.")
    assert route.reason == "unfamiliar"
    assert explored(route, "x", ["small", "large"], 0.5, 1e9, RegretBudget()) is route


# --- what a person asks


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Why?", "Why?"),
        ("<system-reminder>a</system-reminder>\nWhy?", "Why?"),
        ("Why?\n<system-reminder>a</system-reminder>", "Why?"),
        ("  <command_output>\nls\n</command_output>\nWhy?", "Why?"),
        ("<system-reminder>a <b>c</b> < d</system-reminder>Why?", "Why?"),
        ("Is a<b-c> closed by </b-c> here?", "Is a<b-c> closed by </b-c> here?"),
        ("<div>Why?</div>", "<div>Why?</div>"),
        ("<system-reminder>never closed. Why?", "<system-reminder>never closed. Why?"),
        ("<system-reminder>only</system-reminder>", "<system-reminder>only</system-reminder>"),
    ],
)
def test_blocks_of_a_harness_are_left_out(text: str, asked: str) -> None:
    assert asked_text(text) == asked


@given(st.text(alphabet="<>/-_ab \n", max_size=400))
def test_any_text_is_read_in_bounded_time_and_keeps_what_is_no_block(text: str) -> None:
    assert len(asked_text(text)) <= len(text) + 1
    assert asked_text([{"role": "user", "content": text}]).strip() == asked_text(text).strip()


@given(st.text(max_size=200))
def test_form_of_ascii_is_that_of_any_text(text: str) -> None:
    words = words_of(text)
    extended = text + "é"  # goes the other way
    first, second = form_of(text, words), form_of(extended, words)
    assert second[2] == first[2]  # the digits
    assert second[4] == pytest.approx(first[4])  # the symbols
