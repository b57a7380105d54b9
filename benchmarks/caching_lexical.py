"""Score the lexical checks of the semantic cache: what is served, what is served wrongly, and what a pair costs.

    LLMOPS_BENCH_DATA=... LLMOPS_BENCH_MINILM=... python benchmarks/caching_lexical.py [--hidden]

Without `--hidden` only the visible half of fow is scored, as often as you like. The hidden half is for milestones.
Each table has the embedders that `caching_vectors` finds.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import caching_split as data
import numpy as np
from caching_vectors import Embed, embedders, vocabulary

from llmops_sdk.caching.semantic.lexical import (
    Analysed,
    Comparison,
    analyse,
    analyse_conversation,
    compare_analysed,
    compare_conversations,
)

SHARES = (0.0, 0.01, 0.02, 0.05, 0.10)
WORDS = vocabulary()
Vectors = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", action="store_true", help="score the hidden half, too")
    options = parser.parse_args()
    folder = data.data_folder()
    if folder is None:
        print("LLMOPS_BENCH_DATA has no semantic_cache: skipped")
        return
    known = embedders()
    print(f"embedders: {', '.join(known) or 'none'}; {len(WORDS)} words")
    halves: tuple[data.Half, ...] = ("visible", "hidden") if options.hidden else ("visible",)
    for half in halves:
        pairs = data.read_pairs(folder, half)
        for name, embed in known.items():
            pair_table(f"fow, {half} half, {name}", pairs, embed)
        conversation_table(f"conversations, {half} half", data.read_conversations(folder, half))
    questions = data.read_intents(folder)
    requests = data.read_clinc(folder, "train")
    swap_table([text for text, _ in questions + requests])
    for name, embed in known.items():
        intent_table(f"BANKING77, {name}", questions, embed)
        intent_table(f"CLINC150, {name}", requests, embed)
    outside = [text for part in ("oos_train", "oos_val", "oos_test") for text, _ in data.read_clinc(folder, part)]
    outside_table([text for text, _ in requests], outside)
    time_table(data.read_pairs(folder, "visible"))


def prepared(text: str) -> Analysed:
    return analyse(text, vocabulary=WORDS)


compare = partial(compare_analysed, vocabulary=WORDS)


def auc(scores: Sequence[float], right: Sequence[bool]) -> float:
    """Return the chance that a right pair scores higher than a wrong one."""
    values, labels = np.array(scores), np.array(right)
    _, ranks, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = (np.cumsum(counts) - (counts - 1) / 2)[ranks]
    positives = int(labels.sum())
    return float((middle[labels].sum() - positives * (positives + 1) / 2) / (positives * (len(labels) - positives)))


def served_at(scores: Sequence[float], right: Sequence[bool], share: float) -> float:
    """Return the share of right pairs above the threshold that serves at most this share of the traps."""
    values, labels = np.array(scores), np.array(right)
    traps = np.sort(values[~labels])[::-1]
    threshold = traps[int(share * len(traps) + 1e-9)]
    return float((values[labels] > threshold).mean())


def pair_table(title: str, rows: list[data.Row], embed: Embed) -> None:
    left, right = embed([row["a"] for row in rows]), embed([row["b"] for row in rows])
    cosines = [float(value) for value in (np.asarray(left) * np.asarray(right)).sum(1)]
    found = [
        compare(prepared(row["a"]), prepared(row["b"]), similarity=cosine)
        for row, cosine in zip(rows, cosines, strict=True)
    ]
    same = [bool(row["same_answer"]) for row in rows]
    print(f"\n{title}: {sum(same)} same, {len(same) - sum(same)} traps")
    print("scorer      AUC   " + "  ".join(f"@{share:<4.0%}" for share in SHARES))
    for name, scores in (("cosine", cosines), ("checks", [one.score for one in found])):
        served = "  ".join(f"{served_at(scores, same, share):.3f}" for share in SHARES)
        print(f"{name:<10} {auc(scores, same):.3f}  {served}")
    kinds: defaultdict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        kinds[row["category"]].append(place)
    threshold = np.sort([one.score for one, label in zip(found, same, strict=True) if not label])[::-1]
    for kind, places in sorted(kinds.items()):
        decisions = Counter(found[place].decision for place in places)
        above = np.mean([found[place].score > threshold[int(0.01 * len(threshold))] for place in places])
        print(f"  {kind:<12} {dict(decisions)}, above the 1 % threshold {above:.3f}")
    calibration(found, same)


def calibration(found: list[Comparison], same: list[bool]) -> None:
    bins: defaultdict[int, list[bool]] = defaultdict(list)
    for one, label in zip(found, same, strict=True):
        bins[min(int(one.score * 5), 4)].append(label)
    print(
        "  score: right  "
        + "  ".join(f"{at / 5:.1f}+: {np.mean(bins[at]):.2f} of {len(bins[at])}" for at in sorted(bins))
    )


def conversation_table(title: str, rows: list[data.Row]) -> None:
    decisions: defaultdict[tuple[bool, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        pair = [analyse_conversation(row[side], vocabulary=WORDS) for side in "ab"]
        found = compare_conversations(*pair, similarity=0.97, vocabulary=WORDS)
        decisions[row["same_answer"], row["subtype"]][found.decision] += 1
    print(f"\n{title}")
    for (label, subtype), counts in sorted(decisions.items()):
        print(f"  {'repeat' if label else 'trap':<7} {subtype:<28} {dict(counts)}")


def swap_table(texts: list[str], count: int = 5_000) -> None:
    """Score sentences in which two words changed places: hardly any may be served."""
    chosen = random.Random(5)
    decisions: Counter[str] = Counter()
    for text in chosen.sample(texts, 2 * count):
        words = text.split()
        places = [at for at, word in enumerate(words) if len(word) > 3 and word.isalpha() and is_content(word)]
        if len(places) < 2 or len(words) > 25 or sum(decisions.values()) == count:
            continue
        one, other = chosen.sample(places, 2)
        if words[one].lower() != words[other].lower():
            words[one], words[other] = words[other], words[one]
            decisions[compare(prepared(text), prepared(" ".join(words)), similarity=0.98).decision] += 1
    total = sum(decisions.values())
    print(f"\nsentences with two words swapped: {total}, served {decisions['same'] / total:.3f}, {dict(decisions)}")


def is_content(word: str) -> bool:
    terms = analyse("the " + word.lower()).terms
    return bool(terms) and terms[-1].role == "content"


def intent_table(title: str, rows: list[tuple[str, str]], embed: Embed, count: int = 2_000) -> None:
    """Score neighbours, near and less near: does the score tell the same intent at least as well as the cosine?"""
    chosen = random.Random(3)
    unique = chosen.sample(sorted(dict(rows).items()), min(2_500, len(dict(rows))))
    vectors = np.asarray(embed([text for text, _ in unique]))
    found: list[Comparison] = []
    cosines: list[float] = []
    same: list[bool] = []
    for at in chosen.sample(range(len(unique)), min(count, len(unique))):
        near = np.argsort(-(vectors[at] @ vectors.T))[1:]
        for other in (int(chosen.choice(near[:10])), int(chosen.choice(near[10:200]))):
            cosine = float(vectors[at] @ vectors[other])
            found.append(compare(prepared(unique[at][0]), prepared(unique[other][0]), similarity=cosine))
            cosines.append(cosine)
            same.append(unique[at][1] == unique[other][1])
    served = [label for one, label in zip(found, same, strict=True) if one.decision == "same"]
    print(
        f"\n{title}: {len(same)} neighbours, {np.mean(same):.2f} of the same intent; AUC of the cosine"
        f" {auc(cosines, same):.3f}, of the score {auc([one.score for one in found], same):.3f};"
        f" served {len(served)}, right {np.mean(served):.3f}"
    )


def outside_table(stored: list[str], asked: list[str]) -> None:
    """Count the questions out of scope that any stored entry would serve, whatever the similarity."""
    entries = [(prepared(text), content_keys(text)) for text in stored]
    served: list[str] = []
    for text in asked:
        question, keys = prepared(text), content_keys(text)
        # The same question has the same words of content, but for one that is misspelt or says nothing new.
        close = [entry for entry, others in entries if len(keys & others) >= max(len(keys | others) - 2, 1)]
        if any(compare(question, entry, similarity=0.9).decision == "same" for entry in close):
            served.append(text)
    print(f"\nCLINC150 out of scope: served {len(served)} of {len(asked)} by {len(entries)} entries: {served[:6]}")


def content_keys(text: str) -> frozenset[str]:
    return frozenset(term.key for term in prepared(text).terms if term.role == "content")


def time_table(rows: list[data.Row]) -> None:
    pairs = [(prepared(row["a"]), prepared(row["b"])) for row in rows]
    mixed = [(one, pairs[-at][1]) for at, (one, _) in enumerate(pairs)]
    print(
        f"\nmedian of 9 rounds, µs: analysis {spent(prepared, [(row['a'],) for row in rows]):.0f}, pair of fow"
        f" {spent(partial(compare, similarity=0.9), pairs):.0f}, pair of unlike texts"
        f" {spent(partial(compare, similarity=0.9), mixed):.0f}"
    )


def spent(work: Callable[..., object], calls: list[tuple[Any, ...]]) -> float:
    """Return the microseconds of CPU a call."""
    rounds: list[float] = []
    for _ in range(9):
        start = time.process_time()
        for arguments in calls:
            work(*arguments)
        rounds.append((time.process_time() - start) / len(calls) * 1e6)
    return float(np.median(rounds))


if __name__ == "__main__":
    main()
