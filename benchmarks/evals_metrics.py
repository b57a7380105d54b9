"""The metrics beside published numbers, the groundedness model on sets that did not train it, and the speed of each.

Run it with `LLMOPS_BENCH_DATA=FOLDER python benchmarks/evals_metrics.py`. The folder has `evals/reference_values.json`
and `evals/trec_reference.json`. What else is there is measured too, and may be in the folder itself or in the folder
`LLMOPS_BENCH_GROUNDING`:

- `qrels.test` and `results.test` of github.com/usnistgov/trec_eval (its folder test),
- `mturk_cnndm.jsonl` and `mturk_xsum.jsonl` of github.com/W4ngatang/qags, and `FaithBench.csv` of
  github.com/vectara/FaithBench; they have no licence for training and measure only,
- `LLMOPS_BENCH_MINILM_FOLDER`: all-MiniLM-L6-v2, as sentence-transformers saves it.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from llmops_sdk.evals import metrics

__all__ = ["Row", "auc", "run", "table"]

Answers = list[tuple[str, str, bool]]
"""Documents, an answer, and whether people found it grounded."""


class Row(NamedTuple):
    """A figure, what was asked for, and whether it was reached."""

    name: str
    figure: str
    wanted: str
    reached: bool | None


def auc(good: Sequence[float], bad: Sequence[float]) -> float:
    """Return the share of pairs in which the good one has the higher score; equal scores count a half."""
    ordered = sorted([(score, True) for score in good] + [(score, False) for score in bad])
    total, below, place = 0.0, 0, 0
    while place < len(ordered):
        end = place
        while end < len(ordered) and ordered[end][0] == ordered[place][0]:
            end += 1
        among = [is_good for _, is_good in ordered[place:end]]
        total += among.count(True) * (below + among.count(False) / 2)
        below += among.count(False)
        place = end
    return total / (len(good) * len(bad))


def run(folder: Path) -> list[Row]:
    """Return all figures for which the folder has data."""
    return [*_texts(folder / "evals"), *_rankings(folder), *_grounded(folder), *_speed()]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    marks = {True: "yes", False: "**no**", None: ""}
    lines = [f"| {row.name} | {row.figure} | {row.wanted} | {marks[row.reached]} |" for row in rows]
    return "\n".join(["| what | figure | wanted | reached |", "|---|---|---|---|", *lines])


def _difference(name: str, pairs: Sequence[tuple[float, float]], bound: float) -> Row:
    largest = max(abs(one - other) for one, other in pairs)
    return Row(name, f"{len(pairs)} values, largest difference {largest:.1e}", f"{bound:.0e}", largest <= bound)


def _texts(folder: Path) -> Iterator[Row]:
    if not (folder / "reference_values.json").is_file():
        return
    values = json.loads((folder / "reference_values.json").read_text("utf-8"))
    given, wanted = [one for one, _ in values["pairs"]], [one for _, one in values["pairs"]]
    corpus, sentence = values["corpus"], values["sentence"]
    found = [(metrics.bleu(given, wanted), corpus["bleu"]), (metrics.chrf(given, wanted), corpus["chrf"])]
    found += [
        (metrics.bleu(given, wanted, lowercase=True), corpus["bleu_lc"]),
        (metrics.ter(given, wanted), corpus["ter"]),
    ]
    found += [(metrics.chrf(given, wanted, word_order=2), corpus["chrf++"])]
    found += [(metrics.bleu(given, wanted, tokenize=one), corpus[f"bleu_{one}"]) for one in ("none", "intl", "char")]
    for name, metric in (("bleu_effective", metrics.bleu), ("chrf", metrics.chrf), ("ter", metrics.ter)):
        found += zip(metric(given, wanted, each=True), [one[name] for one in sentence], strict=True)
    yield _difference("BLEU, chrF, chrF++, TER against sacrebleu", found, 1e-6)
    found = []
    for key, stemmer in (("rouge", False), ("rouge_stem", True)):
        for scores, right in zip(metrics.rouge(given, wanted, stemmer=stemmer, each=True), values[key], strict=True):
            found += [pair for name in right for pair in zip(scores[name], right[name], strict=True)]
    yield _difference("ROUGE against rouge-score", found, 1e-6)
    if model := os.environ.get("LLMOPS_BENCH_MINILM_FOLDER"):
        embedder = f"sentence-transformers:{model}"
        scores = metrics.bert_score(given, wanted, embedder=embedder, each=True)
        right = values["bertscore_minilm_l6"]
        found = [pair for place in right for pair in zip(scores[int(place)], right[place], strict=True)]
        yield _difference("BERTScore against bert-score", found, 1e-4)
        similar = metrics.semantic_similarity(given, wanted, embedder=embedder, each=True)
        yield _difference("SemScore", list(zip(similar, values["semscore_minilm"], strict=True)), 1e-6)


_TREC = {
    "map": "average_precision",
    "recip_rank": "mean_reciprocal_rank",
    "ndcg": "ndcg",
    "Rprec": "r_precision",
    "bpref": "bpref",
}
_TREC_CUT = {"P": "precision_at", "recall": "recall_at", "ndcg_cut": "ndcg", "success": "success_at"}


def _our_name(name: str) -> str:
    plain, _, number = name.rpartition("_")
    return _TREC.get(name) or f"{_TREC_CUT[plain]}@{number}"


def _other(folder: Path, name: str) -> Path:
    more = Path(os.environ.get("LLMOPS_BENCH_GROUNDING", folder))
    return next((one for one in (folder / name, more / name) if one.is_file()), folder / name)


def _rankings(folder: Path) -> Iterator[Row]:
    qrels, results = _other(folder, "qrels.test"), _other(folder, "results.test")
    reference = folder / "evals" / "trec_reference.json"
    if not (qrels.is_file() and results.is_file() and reference.is_file()):
        return
    judgments: dict[str, dict[str, float]] = {}
    for line in qrels.read_text("utf-8").splitlines():
        query, _, document, gain = line.split()
        judgments.setdefault(query, {})[document] = int(gain)
    ranked: dict[str, dict[str, float]] = {}
    for line in results.read_text("utf-8").splitlines():
        query, _, document, _, score, _ = line.split()
        ranked.setdefault(query, {})[document] = float(score)
    values = json.loads(reference.read_text("utf-8"))
    names = {name for one in (values["mean"], *values["per_query"].values()) for name in one}
    scores = metrics.evaluate_run(ranked, judgments, sorted(map(_our_name, names)))
    found = [(scores.means[_our_name(name)] or 0.0, value) for name, value in values["mean"].items()]
    for query, right in values["per_query"].items():
        found += [(scores.per_query[query][_our_name(name)], value) for name, value in right.items()]
    yield _difference("ranking metrics against trec_eval", found, 1e-6)


def _qags(path: Path) -> Iterator[tuple[Answers, Answers]]:
    whole: Answers = []
    sentences: Answers = []
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        votes = [sum(one["response"] == "yes" for one in part["responses"]) >= 2 for part in row["summary_sentences"]]
        parts = [part["sentence"] for part in row["summary_sentences"]]
        whole.append((row["article"], " ".join(parts), all(votes)))
        sentences += [(row["article"], part, vote) for part, vote in zip(parts, votes, strict=True)]
    yield whole, sentences


def _sets(folder: Path) -> Iterator[tuple[str, Answers, float]]:
    for name, wanted in (("cnndm", 0.80), ("xsum", 0.64)):
        if (path := _other(folder, f"mturk_{name}.jsonl")).is_file():
            for whole, sentences in _qags(path):
                yield f"QAGS {name}, summaries", whole, wanted
                if len(sentences) > len(whole):
                    yield f"QAGS {name}, sentences", sentences, wanted
    if (path := _other(folder, "FaithBench.csv")).is_file():
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        good = {"Consistent", "Benign"}
        yield "FaithBench", [(row["source"], row["summary"], row["worst-label"] in good) for row in rows], 0.64
    if (path := folder / "evals" / "grounded_qa_dev.jsonl.gz").is_file():
        rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        pairs = [
            (row["knowledge"], row[name], name == "grounded") for row in rows for name in ("grounded", "ungrounded")
        ]
        yield "HaluEval QA (length alone solves it: no evidence)", pairs, 0.5


def _grounded(folder: Path) -> Iterator[Row]:
    for name, rows, wanted in _sets(folder):
        scored = [(metrics.groundedness(answer, document).score, good) for document, answer, good in rows]
        value = auc([score for score, good in scored if good], [score for score, good in scored if not good])
        yield Row(f"groundedness, AUC on {name} ({len(rows)})", f"{value:.3f}", f"{wanted:.2f}", value >= wanted)


def _seconds(call: Callable[[], Any]) -> float:
    call()
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return best


_PASSAGE = (
    "A refund is paid within {0} working days after the parcel number {1} has come back to the depot in Leeds. "
    "Ms Carter, who runs the desk, said that customers in Zone {2} wait a little longer because of customs. "
)


def _speed() -> Iterator[Row]:
    document = "".join(_PASSAGE.format(one, 7_000 + one, one % 5) for one in range(11))[:2_048]
    answer = " ".join("".join(_PASSAGE.format(one, 7_100 + one, one % 7) for one in range(6)).split()[:200])
    taken = _seconds(lambda: metrics.groundedness(answer, document)) * 1e3
    yield Row("groundedness, 2 KB of documents, 200 words", f"{taken:.2f} ms", "2 ms", taken <= 2)
    ids = [f"d{one}" for one in range(100)]
    gains = {one: place % 3 for place, one in enumerate(ids[::5])}
    sentence, other = " ".join(answer.split()[:30]), " ".join(document.split()[:30])
    calls: dict[str, Callable[[], Any]] = {
        name: lambda metric=metric: metric(sentence, other)
        for name in ("exact_match", "token_f1", "bleu", "chrf", "ter", "rouge", "levenshtein")
        for metric in [getattr(metrics, name)]
    }
    for name in ("semantic_similarity", "bert_score", "mover_score"):
        metric = getattr(metrics, name)
        calls[f"{name}, static"] = lambda metric=metric: metric(sentence, other)
    calls["ndcg of 100 ids"] = lambda: metrics.ndcg(ids, gains, 10)
    calls["json_valid"] = lambda: metrics.json_valid('{"answer": [1, 2, 3]}')
    calls["matches"] = lambda: metrics.matches(sentence, ".*refund.*")
    calls["matches_schema"] = lambda: metrics.matches_schema('{"a": 1}', {"required": ["a"]})
    for name, call in calls.items():
        yield Row(
            f"{name}, two texts of 30 words" if " of " not in name else name,
            f"{_seconds(call) * 1e6:,.0f} µs",
            "",
            None,
        )


def main() -> None:
    """Print the table."""
    print(table(run(Path(os.environ.get("LLMOPS_BENCH_DATA", "no data")))))


if __name__ == "__main__":
    main()
