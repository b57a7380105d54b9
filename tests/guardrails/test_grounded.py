"""Sentences that the documents do not contain are found one by one."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path

import pytest

from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails import GuardContext
from llmops_sdk.guardrails.detectors._grounded import GroundedDetector

DATA = Path(os.environ.get("LLMOPS_BENCH_DATA", "no data"))
DOCUMENTS = (
    "Ada Lovelace (1815-1852) wrote her notes on the Analytical Engine in 1843.",
    "The fee is 1,250.50 dollars. To reset the password, open Settings and choose Reset.",
)
CONTEXT = GuardContext(rail="output", documents=DOCUMENTS)


def found(text, documents=DOCUMENTS, threshold=0.5):
    context = GuardContext(rail="output", documents=documents)
    return [text[one.start : one.end] for one in GroundedDetector(threshold).detect(text, context).findings]


def test_ungrounded_sentences_are_found_and_others_not():
    text = "Lovelace wrote notes in 1843.  She moved to Paris in 1850! The fee is 1250.50 dollars.\nAsk Bob Smith."
    assert found(text) == ["She moved to Paris in 1850!", "Ask Bob Smith."]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Yes.",
        "No, it is not.",
        "ADA LOVELACE",
        "Lov\u00e9lace wrote notes",
        "the Analytical Engine",
        "Reset the password.",
    ],
)
def test_what_the_documents_say_passes(text):
    assert found(text) == []


@pytest.mark.parametrize("text", ["Lovelace wrote notes in 1844.", "Grace Hopper wrote her notes in 1843.", "Paris"])
def test_one_wrong_name_or_number_is_found(text):
    assert found(text) == [text]


def test_the_score_is_that_of_the_worst_sentence():
    detector = GroundedDetector()
    result = detector.detect("Lovelace wrote notes in 1843. Bob.", CONTEXT)
    assert (result.score, result.threshold, result.reason) == (0.925, 0.5, "not in the documents")
    assert detector.detect("Lovelace wrote notes in 1843.", CONTEXT).score < 0.5
    assert detector.detect("Her notes on the Analytical Engine", CONTEXT).score == 0.0
    assert GroundedDetector(0.3).version != detector.version


@pytest.mark.parametrize("documents", [(), ("",)])
def test_without_documents_nothing_is_found(documents):
    assert found("Paris is in 1850.", documents) == []


@pytest.mark.thorough
def test_crafted_texts_take_linear_time_and_say_what_was_left_out():
    began = time.thread_time()
    for number, piece in enumerate(("a.", "1-", "1,", ".a", '"', "A b. ", "\u5317", "\n")):
        text = piece * (1_100_000 // len(piece))
        context = GuardContext(rail="output", documents=(text,)) if number % 2 else CONTEXT
        assert GroundedDetector().detect(text, context).truncated
    # Seconds of this thread's own work; what is quadratic takes hours.
    assert time.thread_time() - began < 60


def test_the_default_separates_right_answers_from_invented_ones():
    file = DATA / "evals" / "grounded_qa_dev.jsonl.gz"
    if not file.is_file():
        pytest.skip("the data of the benchmarks is not here")
    rows = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()][1::2]
    invented = sum(bool(found(row["ungrounded"], (row["knowledge"],))) for row in rows)
    right = sum(bool(found(row["grounded"], (row["knowledge"],))) for row in rows)
    assert invented / len(rows) >= 0.85
    assert right / len(rows) <= 0.02


@pytest.mark.parametrize("threshold", [0, 1.5, -1])
def test_a_bad_threshold_is_a_config_error(threshold):
    with pytest.raises(ConfigError, match="threshold"):
        GroundedDetector(threshold)
