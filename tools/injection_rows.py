"""The rows that the injection model learns from, is calibrated on and is scored on, and the split between them.

Only sets whose licence allows it stand here (see `injection_weights.txt`). They are read from `LLMOPS_BENCH_DATA`, and
none of them is copied into the project.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

__all__ = ["Part", "Row", "embed", "part_of", "read_jsonl", "read_rows"]

Part = Literal["train", "calibrate", "score"]

_CUTOFF = 20_000  # characters of a text


class Row(NamedTuple):
    """A text with its label.

    Attributes:
        group: The set that it comes from.
        label: 1 if it is or holds an attack.
        text: The text.
        span: Where the attack stands, or None if the whole text is meant.
        part: What the row is for.
    """

    group: str
    label: int
    text: str
    span: tuple[int, int] | None
    part: Part


def _digest(text: str, salt: str = "") -> bytes:
    return hashlib.blake2b((salt + text).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def part_of(text: str) -> Part:
    """Return the part of a text: 70 % train, 20 % calibrate, 10 % score, by a hash of the text alone."""
    share = int.from_bytes(_digest(text), "big") / 2**64
    return "train" if share < 0.7 else "calibrate" if share < 0.9 else "score"


def read_jsonl(path: Path) -> list[Any]:
    """Return the rows of a file of JSON lines, which may be compressed."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def embed(carrier: str, attack: str, place: int) -> tuple[str, tuple[int, int]]:
    """Return a text with an attack before, after or within it, and where the attack stands."""
    cut = carrier.find(" ", len(carrier) // 2)
    cut = (0, len(carrier), cut if cut > 0 else len(carrier))[place % 3]
    before, after = carrier[:cut], carrier[cut:]
    text = f"{before}\n{attack}\n{after}"
    return text, (len(before) + 1, len(before) + 1 + len(attack))


def _rows(group: str, label: int, texts: Iterable[str], most: int | None = None) -> list[Row]:
    ordered = sorted(set(texts), key=lambda text: _digest(text, "order"))[:most]
    return [Row(group, label, text[:_CUTOFF], None, part_of(text)) for text in ordered]


def _embedded(attacks: Sequence[Row], carriers: Sequence[Row], share: int) -> list[Row]:
    """Put every `share`-th attack into a carrier of the same part."""
    found = []
    for number, attack in enumerate(attacks[::share]):
        pool = [one for one in carriers if one.part == attack.part]
        text, span = embed(pool[number * 7 % len(pool)].text, attack.text, number)
        found.append(Row("embedded", 1, text, span, attack.part))
    return found


def read_rows(folder: Path) -> list[Row]:
    """Return all rows, in the same order on every machine.

    Args:
        folder: The folder with the data sets.
    """
    guard, router, cache = folder / "guard", folder / "router", folder / "semantic_cache"
    with (guard / "overrefusal_xstest.csv").open(encoding="utf-8", newline="") as lines:
        xstest = [row for row in csv.DictReader(lines) if int(row["id"]) % 2]
    with (cache / "banking77_train.csv").open(encoding="utf-8", newline="") as lines:
        banking = [row["text"] for row in csv.DictReader(lines)]
    clinc = json.loads((cache / "clinc150_data_full.json").read_text("utf-8"))
    passages = [row["prompt"] for row in read_jsonl(router / "mmlu_dev.jsonl.gz")]
    mails = [row["context"] for row in read_jsonl(guard / "injection_bipia_email_train.jsonl")]
    one = json.loads((guard / "overrefusal_notinject_one.json").read_text("utf-8"))
    spikee = _rows("spikee", 1, (row["text"] for row in read_jsonl(guard / "injection_spikee.jsonl.gz")))
    mail_rows = _rows("mail", 0, mails)
    long_passages = _rows("mmlu", 0, (text for text in passages if len(text) > 700))
    return [
        *_rows("inthewild", 1, json.loads((guard / "jailbreak_inthewild_dev.json").read_text("utf-8"))),
        *spikee,
        *_embedded(spikee, mail_rows, 3),
        *_embedded(spikee[1:], long_passages, 3),
        *_rows("roleplay", 0, (row["text"] for row in read_jsonl(guard / "benign_roleplay.jsonl.gz"))),
        *_rows("instructions", 0, (row["text"] for row in read_jsonl(guard / "benign_instructions.jsonl.gz"))),
        *_rows("notinject", 0, (row["prompt"] for row in one)),
        *_rows("xstest", 0, (row["prompt"] for row in xstest if row["label"] == "safe")),
        # A question about something harmful is not an attack on the model.
        *_rows("harm", 0, (row["prompt"] for row in xstest if row["label"] != "safe")),
        *_rows("banking", 0, banking, 1500),
        *_rows("clinc", 0, (text for text, _ in clinc["train"] + clinc["oos_train"]), 2100),
        *_rows("questions", 0, (row["prompt"] for row in read_jsonl(router / "nine_models_dev.jsonl.gz")), 1850),
        *_rows("mmlu", 0, passages, 600),
        *mail_rows,
    ]
