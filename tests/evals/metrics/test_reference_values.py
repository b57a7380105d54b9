"""The published libraries' numbers, as constants, and from the reference files where LLMOPS_BENCH_DATA has them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from llmops_sdk.evals.metrics import bert_score, bleu, chrf, rouge, semantic_similarity, ter

FOLDER = Path(os.environ.get("LLMOPS_BENCH_DATA", "no data")) / "evals"
MODEL = os.environ.get("LLMOPS_BENCH_MINILM_FOLDER", "")
# Our own sentences; sacrebleu 2.6.0 and rouge-score 0.1.2 gave the numbers.
PREDICTIONS = ["The parcel came on 14 March.", "No fees apply.", "", "the the the the"]
REFERENCES = ["The package arrived on March 14.", "A fee of 3% applies.", "Not empty.", "The cat is on the mat."]

BLEU = 3.178602796431153
BLEU_CHAR = 21.643423928563475
CHRF = 20.46781964146696
CHRF_PLUS = 19.294743521348497
TER = 78.94736842105263
ROUGE = {"rouge1": 0.26666666666666666, "rouge2": 0.0, "rougeL": 0.225, "rougeLsum": 0.225}
ROUGE_STEM = 0.3916666666666666


def near(value):
    return pytest.approx(value, abs=1e-6)


def test_corpus_metrics_give_the_numbers_of_sacrebleu():
    assert bleu(PREDICTIONS, REFERENCES) == near(BLEU)
    assert bleu(PREDICTIONS, REFERENCES, lowercase=True, tokenize="char") == near(BLEU_CHAR)
    assert chrf(PREDICTIONS, REFERENCES) == near(CHRF)
    assert chrf(PREDICTIONS, REFERENCES, word_order=2) == near(CHRF_PLUS)
    assert ter(PREDICTIONS, REFERENCES) == near(TER)


def test_rouge_gives_the_numbers_of_rouge_score():
    assert rouge(PREDICTIONS, REFERENCES) == near(ROUGE)
    assert rouge(PREDICTIONS, REFERENCES, stemmer=True)["rouge1"] == near(ROUGE_STEM)


@pytest.fixture(scope="module")
def reference():
    file = FOLDER / "reference_values.json"
    if not file.is_file():
        pytest.skip("LLMOPS_BENCH_DATA has no reference values")
    values = json.loads(file.read_text("utf-8"))
    return [one for one, _ in values["pairs"]], [one for _, one in values["pairs"]], values


def test_reference_file_of_sacrebleu(reference):
    given, wanted, values = reference
    corpus, sentence = values["corpus"], values["sentence"]
    assert bleu(given, wanted) == near(corpus["bleu"])
    assert bleu(given, wanted, lowercase=True) == near(corpus["bleu_lc"])
    assert {name: bleu(given, wanted, tokenize=name) for name in ("none", "intl", "char")} == near(
        {name: corpus[f"bleu_{name}"] for name in ("none", "intl", "char")}
    )
    assert chrf(given, wanted) == near(corpus["chrf"])
    assert chrf(given, wanted, word_order=2) == near(corpus["chrf++"])
    assert ter(given, wanted) == near(corpus["ter"])
    for name, found in (("bleu_effective", bleu), ("chrf", chrf), ("ter", ter)):
        assert found(given, wanted, each=True) == near([one[name] for one in sentence])
        assert found(given[0], wanted[0]) == near(sentence[0][name])


@pytest.mark.parametrize(("key", "stemmer"), [("rouge", False), ("rouge_stem", True)])
def test_reference_file_of_rouge_score(reference, key, stemmer):
    given, wanted, values = reference
    for found, right in zip(rouge(given, wanted, stemmer=stemmer, each=True), values[key], strict=True):
        for name, numbers in right.items():
            assert tuple(found[name]) == near(tuple(numbers))


def test_reference_file_of_the_local_model(reference):
    if not MODEL:
        pytest.skip("LLMOPS_BENCH_MINILM_FOLDER names no model")
    given, wanted, values = reference
    embedder = f"sentence-transformers:{MODEL}"
    found = bert_score(given, wanted, embedder=embedder, each=True)
    assert tuple(found[6]) == (0.0, 0.0, 0.0)
    for place, numbers in values["bertscore_minilm_l6"].items():
        assert tuple(found[int(place)]) == pytest.approx(tuple(numbers), abs=1e-4)
    similar = semantic_similarity(given, wanted, embedder=embedder, each=True)
    assert similar == pytest.approx(values["semscore_minilm"], abs=1e-5)
