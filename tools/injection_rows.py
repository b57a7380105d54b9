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

from injection_synthetic import read_templates, texts

__all__ = ["Part", "Row", "embed", "fold_of", "part_of", "read_jsonl", "read_request_rows", "read_rows"]

Part = Literal["train", "calibrate", "score"]

_CUTOFF = 6_000  # characters of a text
_ATTACKS, _PROMPTS, _DOCUMENTS, _CARRIERS, _REQUESTS = 2_500, 2_500, 800, 600, 1_500  # texts made of templates


class Row(NamedTuple):
    """A text with its label.

    Attributes:
        group: The set that it comes from.
        label: 1 if it is or holds an attack.
        text: The text.
        span: Where the attack stands, or None if the whole text is meant.
        part: What the row is for. Training takes all but the rows to score: folds of them set the threshold.
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


def fold_of(row: Row) -> int:
    """Return 0 or 1: the half of the rows that a row belongs to when a model is fitted to the other half."""
    return _digest(row.text, "fold")[0] % 2


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


def _made(group: str, label: int, file: str, name: str, count: int) -> list[Row]:
    """Return rows of texts made of templates; none is scored, as they would flatter the model."""
    made = dict.fromkeys(texts(read_templates(file), name, count))
    parts: dict[str, Part] = {text: "train" if part_of(text) == "train" else "calibrate" for text in made}
    return [Row(group, label, text, None, parts[text]) for text in made]


def _embedded(attacks: Sequence[Row], carriers: Sequence[Row], share: int, group: str = "embedded") -> list[Row]:
    """Put every `share`-th attack into a carrier of the same part."""
    found = []
    for number, attack in enumerate(attacks[::share]):
        pool = [one for one in carriers if one.part == attack.part]
        text, span = embed(pool[number * 7 % len(pool)].text, attack.text, number)
        found.append(Row(group, 1, text, span, attack.part))
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
    attacks = _made("synthetic attack", 1, "attacks", "attack", _ATTACKS)
    documents = _made("synthetic document", 0, "clean", "document", _DOCUMENTS + _CARRIERS)
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
        *attacks,
        *_made("synthetic prompt", 0, "clean", "prompt", _PROMPTS),
        *documents[:_DOCUMENTS],
        *_embedded(attacks, documents[_DOCUMENTS:], len(attacks) // _CARRIERS, "synthetic embedded"),
    ]


def read_request_rows(folder: Path) -> list[Row]:
    """Return the rows of the head for requests: documents, and documents with a request to an assistant in them.

    Args:
        folder: The folder with the data sets.
    """
    guard = folder / "guard"
    rows = [row for row in read_rows(folder) if row.part != "score"]
    texts_of = {group: [row.text for row in rows if row.group == group] for group in {row.group for row in rows}}
    whole = [text.partition("\n") for text in texts_of["instructions"]]
    bipia = json.loads((guard / "injection_bipia_text_attack_train.json").read_text("utf-8"))
    requests = {
        "synthetic request": list(dict.fromkeys(texts(read_templates("requests"), "request", _REQUESTS))),
        "utterance": texts_of["clinc"][:500],
        "question": [text for text in texts_of["questions"] if len(text) < 250][:500],
        "instruction": [first for first, _, _ in whole],
        "safe": texts_of["xstest"] + texts_of["notinject"],
        "attack": [text for text in texts_of["spikee"] if len(text) < 400][:300],
        "bipia": [text for some in bipia.values() for text in some for _ in range(8)],
    }
    documents = {
        "mail": texts_of["mail"],
        "synthetic document": list(dict.fromkeys(texts(read_templates("clean"), "document", 1_400))),
        "input": [rest for _, _, rest in whole if len(rest) > 120],
    }
    every = [text for some in documents.values() for text in some]
    found = [Row(group, 0, text, None, "train") for group, some in documents.items() for text in some]
    for group, some in requests.items():
        for number, text in enumerate(some):
            chance = int.from_bytes(_digest(f"{text}{number}", "place"), "big")
            carriers = documents["mail"] if chance % 3 == 0 else every
            placed, span = embed(carriers[chance // 3 % len(carriers)], text, chance // 7)
            found.append(Row(group, 1, placed, span, "train"))
    return found
