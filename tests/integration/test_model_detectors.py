"""The detectors that run Presidio and ONNX models, with the real libraries and without a network."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from real_backends import environment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]  # the first use installs the libraries

_HERE = Path(__file__).parent


def run(name: str, folder: Path) -> dict[str, Any]:
    """Run a function of `model_detectors.py` in the environment `models`."""
    done = subprocess.run(
        [str(environment("models") / "python"), str(_HERE / "model_detectors.py"), name],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(_HERE.parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_presidio_finds_personal_data_without_a_network(tmp_path: Path):
    said = run("presidio", tmp_path)
    assert said["places"] == [
        ["EMAIL_ADDRESS", "ada@example.org"],
        ["CREDIT_CARD", "4111 1111 1111 1111"],
        ["IP_ADDRESS", "10.0.0.1"],
    ]
    assert said["redacted"].startswith("Write to [EMAIL_ADDRESS], card [CREDIT_CARD], from [IP_ADDRESS], see http:")
    assert said["at each place"]
    assert said["phone"] == [["PHONE_NUMBER", "212-555-0187"]]
    assert (said["long"]["truncated"], said["long"]["found"]) == (True, False)
    assert (said["harmless"]["found"], said["harmless"]["score"]) == (False, 0.0)
    assert said["hostile"] == [False] * 5
    assert {"URL", "PHONE_NUMBER"}.isdisjoint(said["kinds"])
    for message, words in zip(said["errors"], ("quadratic", "no recogniser", "is empty", "bare string"), strict=True):
        assert words in message
    assert said["versions"] == 3


def test_an_analyzer_of_the_application_is_used(tmp_path: Path):
    assert run("own_analyzer", tmp_path)["places"] == [["ORDER", "O-123456"]]


def test_a_classifier_reads_windows_of_long_texts(tmp_path: Path):
    said = run("classifier", tmp_path)
    attack, harmless, empty, late, middle, surrogate = said["seen"]
    assert (attack["found"], attack["places"]) == (True, [["INJECTION", "ignore instructions"]])
    assert attack["reason"] == "classified as INJECTION"
    assert attack["score"] > 0.9
    for one in (harmless, empty, surrogate):
        assert (one["found"], one["places"]) == (False, [])
    for one in (late, middle):
        ((kind, place),) = one["places"]
        assert (kind, "ignore instructions" in place, len(place) < 300) == ("INJECTION", True, True)
    assert said["threads"]
    assert said["one output"] == [True, False]
    assert said["sigmoid"] == 0.5
    assert 0.7 < said["cool"] < 0.8
    assert said["cut"] == [True, False]
    assert said["saved"]
    words = ("name the label", "'ATTACK'", "no label 2", "calibrate` again", "window is 8", "activation is 'relu'")
    for message, expected in zip(
        said["errors"], (*words, "temperature is 0", "must be a folder", "cannot be loaded"), strict=True
    ):
        assert expected in message


def test_a_published_model_finds_an_attack_at_the_end_of_a_page(tmp_path: Path):
    said = run("published", tmp_path)
    assert not said["harmless"]["found"]
    assert said["attack"]["score"] > 0.9
    (place,) = said["attack"]["findings"]
    assert place["end"] == said["start"] + 63
    assert place["start"] > said["start"] - 1_000
