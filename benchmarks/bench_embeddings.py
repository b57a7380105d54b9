"""The embedder in the package and the index: cost of a text, quality of the vectors, latency and memory of a search.

Run it with `LLMOPS_BENCH_DATA=FOLDER python benchmarks/bench_embeddings.py`. Without the folder no quality is measured.
`--embedder` measures another embedder beside it, as in `sentence-transformers:FOLDER`. `--vectors 1000,1000000` chooses
the sizes of the index; above 100,000 the library usearch is needed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from llmops_sdk.embeddings import Embedder, VectorIndex, open_embedder
from llmops_sdk.embeddings._wordpiece import split_words

QUESTION = "How long does it take until my new card arrives?"
STREAM = 6_000


def median_ms(call: Callable[[], object], rounds: int) -> float:
    """Return the median CPU time of a call in milliseconds, which other programs hardly change."""
    times = []
    for _ in range(rounds):
        begin = time.process_time_ns()
        call()
        times.append((time.process_time_ns() - begin) / 1e6)
    return statistics.median(times)


def cost(embedder: Embedder) -> None:
    """Print the CPU of a text, and its ratio to lowering and splitting the same text."""
    print(f"\n{'text':34}{'µs':>12}{'x lower().split()':>20}{'ns a character':>17}")
    texts = {
        "a question of 11 words": QUESTION,
        "2 KB": QUESTION * 40,
        "32 KB, the most that is read": QUESTION * 655,
        "1 MB": QUESTION * 20_000,
        "32 KB of one accent": "\u0301" * 32_768,
        "32 KB of words without tokens": ("abcdefghij" * 9 + " ") * 360,
    }
    for name, text in texts.items():
        rounds = 2_000 if len(text) < 5_000 else 20
        ours = median_ms(lambda text=text: embedder.embed([text]), rounds)
        base = median_ms(lambda text=text: text.lower().split(), rounds)
        print(f"{name:34}{ours * 1e3:12,.1f}{ours / base:20.1f}{ours * 1e6 / len(text):17.1f}")
    batch = [QUESTION] * 1_000
    print(f"{'of 1,000 questions at once, each':34}{median_ms(lambda: embedder.embed(batch), 5):12,.1f}")
    print(f"{'of it, splitting into words':34}{median_ms(lambda: split_words(QUESTION), 2_000) * 1e3:12,.1f}")


def first_use() -> None:
    """Print what the first text costs in a new process, beyond importing numpy."""
    program = (
        "import time, numpy, llmops_sdk.config, llmops_sdk.embeddings as e\n"
        "resident = lambda: int(open('/proc/self/statm').read().split()[1])\n"
        "before, begin = resident(), time.perf_counter()\n"
        "e.open_embedder('static').embed(['Where is my card?'])\n"
        "print(time.perf_counter() - begin, resident() - before)"
    )
    runs = [subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout for _ in range(5)]
    seconds, pages = (statistics.median(float(run.split()[part]) for run in runs) for part in (0, 1))
    print(f"\nfirst text of a process: {seconds * 1e3:.0f} ms, {pages * os.sysconf('SC_PAGE_SIZE') / 1e6:.0f} MB")


def area_under_curve(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """Return the chance that a random pair with the same answer scores higher than one without."""
    same = np.array([score for score, label in zip(scores, labels, strict=True) if label])
    other = np.array([score for score, label in zip(scores, labels, strict=True) if not label])
    return float(((same[:, None] > other) + 0.5 * (same[:, None] == other)).mean())


def served_at(scores: np.ndarray, labels: np.ndarray, share: float) -> float:
    """Return how many of the same pairs are served if at most a share of the others may be."""
    others = np.sort(scores[~labels])[::-1]
    return float((scores[labels] > others[int(share * len(others))]).mean())


def pairs(embedder: Embedder, folder: Path) -> None:
    """Print how well the similarity tells same answers from traps on the pairs of fow."""
    rows = [json.loads(line) for line in (folder / "fow" / "pairs.jsonl").read_text("utf-8").splitlines()]
    first, second = (embedder.embed([row[name] for row in rows]) for name in ("a", "b"))
    scores, labels = (first * second).sum(axis=1), np.array([bool(row["same_answer"]) for row in rows])
    served = ", ".join(f"@{share:.0%} {served_at(scores, labels, share):.3f}" for share in (0.01, 0.02, 0.05, 0.1))
    print(f"fow: AUC {area_under_curve(scores, labels):.3f}, served {served}")


def intents(embedder: Embedder, folder: Path) -> None:
    """Print how often the nearest question has the same intent, and what a fixed threshold serves of a stream."""
    with (folder / "banking77_train.csv").open(encoding="utf-8", newline="") as lines:
        rows = [(row["text"], row["category"]) for row in csv.DictReader(lines)]
    random.Random(0).shuffle(rows)
    vectors, labels = embedder.embed([text for text, _ in rows]), np.array([label for _, label in rows])
    right = 0
    for begin in range(0, len(rows), 1_000):
        part = vectors[begin : begin + 1_000] @ vectors.T
        part[np.arange(len(part)), np.arange(begin, begin + len(part))] = -2
        right += int((labels[part.argmax(axis=1)] == labels[begin : begin + 1_000]).sum())
    print(f"BANKING77: nearest of {len(rows):,} has the same intent: {right / len(rows):.3f}")
    for threshold in (0.80, 0.85, 0.90, 0.94, 0.96, 0.98):
        print("BANKING77 stream, fixed", threshold, stream(vectors[:STREAM], labels[:STREAM], threshold))


def stream(vectors: np.ndarray, labels: np.ndarray, threshold: float) -> str:
    """Serve the nearest stored question from a threshold on, and store what is not served."""
    index: VectorIndex[int] = VectorIndex(vectors.shape[1])
    hits = errors = 0
    for number, vector in enumerate(vectors):
        best = index.search(vector, top=1)
        if best and best[0].similarity >= threshold:
            hits += 1
            errors += int(labels[best[0].id] != labels[number])
        else:
            index.add([number], [vector])
    return f"hits {hits / len(vectors):.3f}, errors among hits {errors / max(1, hits):.3f}, entries {len(index):,}"


def searches(dimension: int, sizes: list[int]) -> None:
    """Print the latency of a search, and how many of the true five nearest it finds."""
    columns = ("build s", "add µs", "search ms", "numpy ms", "recall@5", "bytes each")
    print(f"\n{'vectors':>10}" + "".join(f"{column:>12}" for column in columns))
    for size in sizes:
        generator = np.random.default_rng(0)
        centres = generator.normal(size=(size // 20 + 1, dimension)).astype("float32")
        rows = centres[generator.integers(len(centres), size=size)]
        rows += 0.7 * generator.standard_normal(rows.shape, dtype="float32")
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        asked = rows[:200] + 0.02 * generator.standard_normal((200, dimension), dtype="float32")
        index: VectorIndex[int] = VectorIndex(dimension, max_vectors=size + 200)
        begin = time.perf_counter()
        index.add(range(size), rows)
        built = time.perf_counter() - begin
        truth = [set(np.argsort(rows @ one)[-5:].tolist()) for one in asked[:100]]
        found = [{match.id for match in index.search(one)} for one in asked[:100]]
        recall = sum(len(one & other) for one, other in zip(truth, found, strict=True)) / 500
        turns = iter(range(10_000))
        search = median_ms(lambda index=index, asked=asked, turns=turns: index.search(asked[next(turns) % 200]), 100)
        plain = median_ms(lambda rows=rows, asked=asked: rows @ asked[0], 20)
        begin = time.perf_counter()
        for number, one in enumerate(asked):
            index.add([size + number], [one])
        added = (time.perf_counter() - begin) / len(asked)
        line = f"{size:10,}{built:12.2f}{added * 1e6:12.0f}{search:12.3f}{plain:12.3f}{recall:12.3f}"
        print(f"{line}{index.nbytes / len(index):12,.0f}" + ("" if index.is_exact else "  with usearch"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embedder", default="static", help="the embedder to measure")
    parser.add_argument("--vectors", default="1000,10000,100000", help="sizes of the index, separated by commas")
    arguments = parser.parse_args()
    embedder = open_embedder(arguments.embedder)
    print(embedder.identity)
    if arguments.embedder == "static":
        cost(embedder)
        first_use()
    folder = Path(os.environ.get("LLMOPS_BENCH_DATA", "")) / "semantic_cache"
    if folder.is_dir():
        print()
        pairs(embedder, folder)
        intents(embedder, folder)
    else:
        print("LLMOPS_BENCH_DATA is not set: no quality")
    searches(embedder.dimension, [int(size) for size in arguments.vectors.split(",") if size])


if __name__ == "__main__":
    main()
