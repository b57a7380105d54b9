"""`check`, guards by kind and action, and guards made of detectors."""

from __future__ import annotations

import json

import pytest

import llmops_sdk as llmops
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails import Detection, DetectorGuard, Finding, GuardContext, Verdict, check, resolve
from llmops_sdk.guardrails._protocol import ACTIONS, strongest

CONTEXT = GuardContext(rail="input")


class Names:
    """Finds names; scores by how many there are."""

    name, version = "names", "7"

    def detect(self, text: str, context: GuardContext) -> Detection:
        findings = tuple(
            Finding("NAME", start, start + 3) for start in range(len(text) - 2) if text[start : start + 3] == "Ada"
        )
        score = min(len(findings) / 4, 1.0)
        return Detection(
            found=score >= 0.5, findings=findings, score=score, threshold=0.5, reason="names", fixed=text.lower()
        )

    def settled(self, text: str) -> int:
        return max(len(text) - 2, 0)


def test_check_tells_what_each_guard_did(card):
    number = card
    done = check(f"pay with {number} now", ["cards"])
    assert (done.action, done.text) == ("redact", "pay with [CARD] now")
    (verdict,) = done.verdicts
    assert (verdict.guard, verdict.version, verdict.rail, verdict.action) == ("cards", "1:redact", "input", "redact")
    assert [(one.kind, one.start, one.end) for one in verdict.findings] == [("CARD", 9, 9 + len(number))]
    assert verdict.duration_ms > 0


def test_check_stops_at_the_guard_that_refuses(card):
    done = check(f"pay with {card}", ["cards:block", "cards"], rail="output")
    assert (done.action, done.text, [one.action for one in done.verdicts]) == ("block", "", ["block"])


def test_a_text_without_findings_passes():
    done = check("good day", ["cards"])
    assert (done.action, done.text, [one.action for one in done.verdicts]) == ("pass", "good day", ["pass"])


def test_each_guard_sees_what_the_one_before_left():
    done = check("Ada and Ada", [DetectorGuard(Names(), "redact"), DetectorGuard(Names(), "block")])
    assert (done.action, done.text) == ("redact", "[NAME] and [NAME]")


@pytest.mark.parametrize(
    ("action", "text"),
    [("flag", "Ada, Ada"), ("redact", "[NAME], [NAME]"), ("fix", "ada, ada"), ("block", ""), ("fallback", "")],
)
def test_a_detector_serves_every_action(action, text):
    done = check("Ada, Ada", [DetectorGuard(Names(), action)])
    assert (done.action, done.text) == (action, text)
    assert (done.verdicts[0].score, done.verdicts[0].threshold, done.verdicts[0].reason) == (0.5, 0.5, "names")


def test_a_score_below_the_threshold_passes_and_is_told():
    (verdict,) = check("Ada", [DetectorGuard(Names(), "block")]).verdicts
    assert (verdict.action, verdict.score, verdict.threshold, verdict.findings) == ("pass", 0.25, 0.5, ())


@pytest.mark.parametrize("action", ["redact", "fix"])
def test_what_cannot_be_replaced_is_blocked(action):
    class Whole(Names):
        def detect(self, text: str, context: GuardContext) -> Detection:
            return Detection(found=True, reason="all of it")

    assert check("anything", [DetectorGuard(Whole(), action)]).action == "block"


def test_a_guard_that_refuses_settles_nothing_of_a_stream():
    assert [DetectorGuard(Names(), action).settled("good day") for action in ("redact", "flag", "block")] == [6, 6, 0]


def test_a_guard_that_fails_blocks_or_passes_as_told():
    class Broken(Names):
        def detect(self, text: str, context: GuardContext) -> Detection:
            raise RuntimeError(text)

    broken = DetectorGuard(Broken(), "flag")
    closed, opened = check("secret", [broken]), check("secret", [broken], on_error="open")
    assert (closed.action, closed.text, closed.verdicts[0].reason) == ("block", "", "guard failed: RuntimeError")
    assert (opened.action, opened.text, opened.verdicts[0].reason) == ("pass", "secret", "guard failed: RuntimeError")


def test_the_event_has_score_and_places_and_none_of_the_text():
    with llmops.span("a"):
        check("Ada told Ada", [DetectorGuard(Names(), "redact")])
    llmops.flush()
    row = llmops.query("FROM guard_verdicts").dicts()[0]
    assert (row["guard"], row["version"], row["action"], row["score"], row["threshold"]) == (
        "names", "7:redact", "redact", 0.5, 0.5,
    )  # fmt: skip
    found = json.loads(row["findings"])
    assert found == [
        {"text": 0, "kind": "NAME", "start": 0, "end": 3},
        {"text": 0, "kind": "NAME", "start": 9, "end": 12},
    ]
    assert "told" not in json.dumps(row, default=str)


def test_the_places_in_an_event_are_bounded():
    with llmops.span("a"):
        check("Ada" * 1_000, [DetectorGuard(Names(), "flag")])
    llmops.flush()
    assert len(json.loads(llmops.query("SELECT findings FROM guard_verdicts").scalar())) == 64


@pytest.mark.parametrize(
    ("name", "meant"), [("card", "cards"), ("cards:blok", "cards:block"), ("Cards", "cards"), ("cards:", None)]
)
def test_an_unknown_guard_or_action_is_an_error(name, meant):
    if meant is None:
        assert resolve([name])[0].version == "1:redact"
        return
    with pytest.raises(ConfigError, match=f"did you mean '{meant}'") as raised:
        resolve([name])
    assert raised.value.nearest == meant


def test_an_unknown_rail_is_an_error():
    with pytest.raises(ConfigError, match=r"no rail 'inputs'.*input, documents") as raised:
        check("a", ["cards"], rail="inputs")
    assert raised.value.nearest == "input"


def test_actions_are_ordered():
    assert strongest(ACTIONS) == "block"
    assert [strongest(one) for one in ((), ("pass",), ("flag", "redact"), ("block", "redact"))] == [
        "pass", "pass", "redact", "block",
    ]  # fmt: skip


@pytest.mark.parametrize("action", ["redact", "mask", "fix"])
def test_a_verdict_that_replaces_needs_the_replacement(action):
    with pytest.raises(ValueError, match="needs `text`"):
        Verdict(action)
    with pytest.raises(ValueError, match="must be one of pass, flag"):
        Verdict("stop")
