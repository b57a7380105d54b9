"""Thresholds for a share of false positives: what they hold, and bad rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._calibrate import CalibrationRow, calibrate, read_calibration_rows
from llmops_sdk.guardrails._protocol import Detection, GuardContext
from llmops_sdk.stats import wilson_interval


class Numbers:
    """Takes the text, a number, as its score."""

    name, version = "numbers", "7"

    def detect(self, text: str, context: GuardContext) -> Detection:
        return Detection(score=None if text == "none" else float(text))


def rows(harmless: list[float], attacks: list[float]) -> list[CalibrationRow]:
    labelled = [(score, False) for score in harmless] + [(score, True) for score in attacks]
    return [CalibrationRow(repr(score), is_attack) for score, is_attack in labelled]


def test_the_threshold_lets_the_allowed_share_through():
    found = calibrate(rows([n / 1000 for n in range(200)], [0.1, 0.198, 0.5, 0.9]), Numbers(), fpr=0.01)

    # Two of 200 may be flagged: 0.199 and 0.198. The threshold lies just above the third.
    assert 0.197 < found.threshold < 0.198
    assert (found.fpr, found.recall, found.negatives, found.positives) == (0.01, 0.75, 200, 4)
    assert found.fpr_interval == wilson_interval(2, 200)
    assert found.recall_interval == wilson_interval(3, 4)
    assert (found.detector, found.version, found.target_fpr) == ("numbers", "7", 0.01)


@given(
    st.lists(st.floats(0, 0.99), min_size=100, max_size=150),
    st.lists(st.floats(0, 1), max_size=20),
    st.sampled_from([0.01, 0.03, 0.1, 0.5]),
)
def test_the_measured_rate_never_exceeds_the_target(harmless: list[float], attacks: list[float], fpr: float):
    found = calibrate(rows(harmless, attacks), Numbers(), fpr=fpr)

    assert sum(score >= found.threshold for score in harmless) / len(harmless) == found.fpr <= fpr
    if attacks:
        assert found.recall == sum(score >= found.threshold for score in attacks) / len(attacks)


def test_equal_scores_do_not_raise_the_rate():
    found = calibrate(rows([0.5] * 100, [0.5, 0.6]), Numbers(), fpr=0.05)

    assert (found.fpr, found.recall) == (0.0, 0.5)


def test_without_attacks_the_recall_is_unknown():
    found = calibrate(rows([0.5] * 100, []), Numbers())

    assert (found.recall, found.recall_interval) == (None, (0.0, 1.0))


@pytest.mark.parametrize(
    ("given_rows", "fpr", "message"),
    [
        (rows([0.1] * 99, [0.9] * 500), 0.01, "99 harmless texts .* at least 100"),
        ([], 0.5, "0 harmless texts"),
        (rows([0.1] * 100, []), 0.0, "fpr is 0.0"),
        (rows([0.1] * 100, []), 1.0, "fpr is 1.0"),
        (rows([0.1] * 100, []), float("nan"), "fpr is nan"),
        ([*rows([0.1] * 100, []), "text"], 0.01, "row 100 is not a CalibrationRow"),
        ([*rows([0.1] * 100, []), CalibrationRow(None, False)], 0.01, "row 100"),  # pyright: ignore[reportArgumentType]
        ([*rows([0.1] * 100, []), CalibrationRow("none", False)], 0.01, "'numbers' gives no score"),
        ([*rows([0.1] * 100, []), CalibrationRow("nan", False)], 0.01, "'numbers' gives no score"),
        (rows([1.0] * 100, []), 0.01, "check their labels"),
    ],
)
def test_what_cannot_be_calibrated_is_a_config_error(given_rows: list[Any], fpr: float, message: str):
    with pytest.raises(ConfigError, match=message):
        calibrate(given_rows, Numbers(), fpr=fpr)


def test_a_file_gives_its_rows(tmp_path: Path):
    labels = [0, 1, "0", "1", "benign", "attack", False, True]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n\n".join(json.dumps({"text": f"é {label}", "label": label}) for label in labels), "utf-8")

    found = read_calibration_rows(file)

    assert [one.is_attack for one in found] == [False, True] * 4
    assert found[0].text == "é 0"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "rows.jsonl:2 is not JSON"),
        ("[" * 100_000, "rows.jsonl:2 is not JSON"),
        ("[]", "rows.jsonl:2 needs a text"),
        ('{"label": 0}', "rows.jsonl:2 needs a text"),
        ('{"text": 5, "label": 0}', "rows.jsonl:2 needs a text"),
        ('{"text": "topsecret"}', "rows.jsonl:2 needs a label"),
        ('{"text": "topsecret", "label": "maybe"}', "rows.jsonl:2 needs a label"),
        ('{"text": "topsecret", "label": [1]}', "rows.jsonl:2 needs a label"),
        ('{"text": "topsecret", "label": 2}', "rows.jsonl:2 needs a label"),
    ],
)
def test_a_bad_line_is_named_without_its_text(tmp_path: Path, line: str, message: str):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "fine", "label": 0}\n' + line, "utf-8")

    with pytest.raises(ConfigError, match=message) as caught:
        read_calibration_rows(file)

    assert "topsecret" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_a_config_error(tmp_path: Path):
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "\xe9", "label": 0}')

    for name in ("absent.jsonl", "latin.jsonl"):
        with pytest.raises(ConfigError, match=name):
            read_calibration_rows(tmp_path / name)
