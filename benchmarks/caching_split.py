"""Split the pairs and conversations of fow in a half to work with and a half that only scores.

The rules of `llmops_sdk.caching.semantic.lexical` were written with the visible half in view. The hidden half says
what they are worth on pairs that nobody looked at. The split depends on ids alone: each category (of conversations:
each file and subtype) is ordered by a hash of the id, and its first half is hidden. Pairs that share a text stay
together: they form a group, whose id is the smallest of its pairs and whose categories are all of theirs.

    python benchmarks/caching_split.py            # counts, never texts
    python benchmarks/caching_split.py --show     # the visible pairs

The data are read from `LLMOPS_BENCH_DATA`.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

Half = Literal["visible", "hidden"]
Row = dict[str, Any]
T = TypeVar("T")


def data_folder() -> Path | None:
    """Return the folder of the semantic cache's data, or None where it is missing."""
    root = os.environ.get("LLMOPS_BENCH_DATA")
    folder = Path(root) / "semantic_cache" if root else None
    return folder if folder is not None and folder.is_dir() else None


def half_of(rows: list[T], half: Half, *, identity: Callable[[T], str], stratum: Callable[[T], str]) -> list[T]:
    """Return one half of the rows, in their own order."""
    strata: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        strata[stratum(row)].append(identity(row))
    hidden: set[str] = set()
    for ids in strata.values():
        ids.sort(key=lambda one: hashlib.sha256(one.encode()).hexdigest())
        hidden.update(ids[: len(ids) // 2])
    return [row for row in rows if (identity(row) in hidden) == (half == "hidden")]


def read_pairs(folder: Path, half: Half) -> list[Row]:
    """Return one half of the pairs of fow: `a`, `b`, `category`, `same_answer`."""
    rows: list[Row] = [json.loads(line) for line in (folder / "fow" / "pairs.jsonl").read_text("utf-8").splitlines()]
    groups = half_of(
        _groups(rows),
        half,
        identity=lambda group: str(group[0]["id"]),
        stratum=lambda group: str(sorted({row["category"] for row in group})),
    )
    inside = {row["id"] for group in groups for row in group}
    return [row for row in rows if row["id"] in inside]


def _groups(rows: list[Row]) -> list[list[Row]]:
    """Return the rows in groups that share no text, the rows of a group by their ids."""
    groups: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: row["id"]):
        texts = {row["a"], row["b"]}
        joined = [group for group in groups if any(texts & {one["a"], one["b"]} for one in group)]
        groups = [group for group in groups if group not in joined]
        groups.append(sorted([row, *(one for group in joined for one in group)], key=lambda one: one["id"]))
    return groups


def read_conversations(folder: Path, half: Half) -> list[Row]:
    """Return one half of the pairs of conversations of fow: `a` and `b` are lists of messages."""
    rows: list[Row] = []
    for path in sorted((folder / "fow").glob("conv-*/*.jsonl")):
        source = f"{path.parent.name}/{path.stem}"
        rows += [json.loads(line) | {"source": source} for line in path.read_text("utf-8").splitlines()]
    for row in rows:
        row["id"] = f"{row['source']}/{row['id']}"
    return half_of(rows, half, identity=lambda row: row["id"], stratum=lambda row: f"{row['source']} {row['subtype']}")


def read_intents(folder: Path) -> list[tuple[str, str]]:
    """Return the questions of BANKING77's training part with their intents."""
    with (folder / "banking77_train.csv").open(encoding="utf-8", newline="") as lines:
        return [(row["text"], row["category"]) for row in csv.DictReader(lines)]


def read_clinc(folder: Path, part: str) -> list[tuple[str, str]]:
    """Return a part of CLINC150, such as "train", "test" or "oos_test", with the intents."""
    parts: dict[str, list[tuple[str, str]]] = json.loads((folder / "clinc150_data_full.json").read_text("utf-8"))
    return [(text, intent) for text, intent in parts[part]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", action="store_true", help="print the visible pairs")
    options = parser.parse_args()
    folder = data_folder()
    if folder is None:
        print("LLMOPS_BENCH_DATA has no semantic_cache: skipped")
        return
    for half in ("visible", "hidden"):
        pairs = Counter((row["category"], row["same_answer"]) for row in read_pairs(folder, half))
        talks = Counter((row["subtype"], row["same_answer"]) for row in read_conversations(folder, half))
        print(half, dict(sorted(pairs.items())), dict(sorted(talks.items())), sep="\n  ")
    if options.show:
        for row in read_pairs(folder, "visible"):
            print(row["id"], row["same_answer"], row["a"], row["b"], sep=" | ")


if __name__ == "__main__":
    main()
