"""How long each detector takes: on ordinary texts from 200 B to 1 MB, and on texts made to be slow.

The times are CPU milliseconds of this thread, medians of the rounds. The text of the first table has e-mail addresses,
numbers, links and code, as requests to a model have. The second table has one row a crafted text and one column a
detector; a time above 1,000 is printed bold, and the program then ends with status 1.

Run it with `python benchmarks/bench_guards_speed.py [DETECTOR ...] [--sizes | --crafted]`.
"""

from __future__ import annotations

import argparse
import base64
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from llmops_sdk.guardrails import CardGuard, GuardContext
from llmops_sdk.guardrails.detectors import (
    CanaryDetector,
    ExfiltrationDetector,
    GroundedDetector,
    InjectionDetector,
    JsonDetector,
    LanguageDetector,
    LengthDetector,
    PiiDetector,
    ProfanityDetector,
    SecretsDetector,
    TopicsDetector,
    new_canary,
)

SIZES = (200, 2_000, 20_000, 1_000_000)
DEFAULT_PACK = ("pii", "secrets", "injection", "exfiltration")
LIMIT_MS = 1_000.0
CONTEXT = GuardContext(rail="output", documents=("Ada Lovelace wrote 42 notes in 1843. " * 20,))

ORDINARY = (
    "Where is the card that I ordered two weeks ago? The app says it is on its way, but not where. It was 3 May"
    " 2024, and I paid 25.50 euros. Please tell me how to change the address, and whether well-known shops take"
    " it.\n\nMy colleague (support@example.org) sent me https://example.org/help/cards?lang=en, where step 2"
    " says:\n\n```python\ndef total(items: list[dict]) -> float:\n    return sum(item['price'] * item.get('count',"
    " 1) for item in items)\n```\n\nIt fails with KeyError: 'price' in line 2. I'd like the answer as a list:\n\n-"
    " what went wrong\n- how do I fix it (Python 3.11.4, 64-bit)?\n- who to call; I'm in the office until 17:30, at"
    " +1 212 555 0147.\n\nHe said \u201cit\u2019s fine\u201d \u2013 but I don\u2019t think so. The invoice"
    " INV-20241 is overdue, the second one this year, and nobody in the team of 12 people has answered since"
    " Monday. Thank you very much for your help, and have a nice day.\n"
)


def _dense_pii(size: int) -> str:
    draw = random.Random(1)
    names = ("ada", "grace", "alan", "edsger", "barbara")
    rows: list[str] = []
    while sum(map(len, rows[-1:])) == 0 or len(rows) * 120 < size:
        number = draw.randrange(10**6)
        rows.append(
            f"{draw.choice(names)}{number}@example.org, +1 212 555 {number % 10000:04}, 4242 4242 4242 4242,"
            f" 10.0.{number % 256}.7, {number % 900 + 100}-45-{number % 9000 + 1000}, 12 Crown Street\n"
        )
    return "".join(rows)[:size]


def _repeated(piece: str, size: int = 1_000_000) -> Callable[[], str]:
    return lambda: piece * (size // len(piece))


def _base64_of_text() -> str:
    return base64.b64encode(ORDINARY.encode() * (37_500_000 // len(ORDINARY.encode()))).decode()


def _base64_of_prose() -> str:
    prose = b"The app says it is on its way, but not where. Please tell me how to change it and whether shops take it. "
    return base64.b64encode(prose * (37_500_000 // len(prose))).decode()


def _base64_of_bytes() -> str:
    return base64.b64encode(random.Random(1).randbytes(37_500_000)).decode()


CRAFTED: dict[str, Callable[[], str]] = {
    "`a.` × 500k": _repeated("a."),
    "`1-` × 500k": _repeated("1-"),
    "`@` × 1M": _repeated("@"),
    "`a@` × 500k": _repeated("a@"),
    "`1 ` × 500k": _repeated("1 "),
    "`a ` × 500k": _repeated("a "),
    "`AbC9` × 250k": _repeated("AbC9"),
    "`AbC9 ` × 200k": _repeated("AbC9 "),
    "lists 100k deep": lambda: "[" * 100_000 + "]" * 100_000,
    "objects 100k deep": lambda: '{"a":' * 100_000 + "1" + "}" * 100_000,
    "50 MB base64": lambda: "QUJD" * 12_500_000,
    "50 MB base64 of text": _base64_of_text,
    "50 MB base64 of prose": _base64_of_prose,
    "50 MB base64 of bytes": _base64_of_bytes,
    "50 MB base64, lines": lambda: ("QUJD" * 19 + "\n") * 650_000,
    "1 MB zero-width": _repeated("\u200b"),
    "`a` + zero-width": _repeated("a\u200b"),
    "e-mail + zero-width": _repeated("\u200b".join("ada@example.org") + " "),
    "combining marks": _repeated("e\u0301"),
    "mathematical letters": _repeated("\U0001d41a"),
    "look-alikes": _repeated("\u0430"),
    "`%41`": _repeated("%41"),
    "`%2541`": _repeated("%2541"),
    "`&#65;`": _repeated("&#65;"),
    "`&amp;`": _repeated("&amp;"),
    "`&`": _repeated("&"),
    "`\\u0041`": _repeated("\\u0041"),
    "`\\`": _repeated("\\"),
    "dense punctuation": _repeated(".,;:!?-_/()[]{}<>|~^*+=#$%&@'\"`\\"),
    "dense PII": lambda: _dense_pii(1_000_000),
    "quotes": _repeated('"'),
    "apostrophes": _repeated("'"),
    "braces": _repeated("{"),
    "`[`": _repeated("["),
    "`![](`": _repeated("![]("),
    "`[a](//b.c`": _repeated("[a](//b.c"),
    "`<`": _repeated("<"),
    "`<a href=`": _repeated("<a href="),
    "`://`": _repeated("://"),
    "`https://a.b/`": _repeated("https://a.b/"),
    "newlines": _repeated("\n"),
    "`1\\n`": _repeated("1\n"),
    "spaces": _repeated(" "),
    "`sk-`": _repeated("sk-"),
    "`password=`": _repeated('password="'),
    "private key begins": _repeated("-----BEGIN PRIVATE KEY----- "),
    "`12 Crown `": _repeated("12 Crown "),
    "digits": _repeated("4242424242424242 "),
    "digits, no space": _repeated("42"),
    "`born 12 `": _repeated("born 12 "),
    "emoji": _repeated("\U0001f600\u200d"),
    "Chinese": _repeated("\u5317\u4eac\u5929\u6c14\u3002"),
}


class _Cards:
    """The guard `cards` in the form of a detector."""

    name = "cards"

    def __init__(self) -> None:
        self._guard = CardGuard()

    def detect(self, text: str, context: GuardContext) -> Any:
        return self._guard.check(text, context)


def detectors() -> list[Any]:
    new_canary()
    words = [f"word{number}" for number in range(200)]
    return [
        PiiDetector(),
        SecretsDetector(),
        InjectionDetector(),
        ExfiltrationDetector(("example.org",)),
        _Cards(),
        CanaryDetector(("q7w2xk4mzp",)),
        TopicsDetector([*words, "new york", "a b"]),
        ProfanityDetector(words),
        LanguageDetector(),
        LengthDetector(max_chars=10**9, max_tokens=1_000),
        JsonDetector(),
        GroundedDetector(),
    ]


def milliseconds(detector: Any, text: str, rounds: int) -> float:
    """Return the median of the CPU time of one detection."""
    taken: list[int] = []
    for _ in range(rounds):
        began = time.thread_time_ns()
        detector.detect(text, CONTEXT)
        taken.append(time.thread_time_ns() - began)
    return statistics.median(taken) / 1e6


def _print_row(cells: Sequence[str]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def sizes(guards: Sequence[Any]) -> None:
    """Print the times on ordinary texts."""
    _print_row(["ms", *(f"{size:,} B" for size in SIZES)])
    _print_row(["---"] * (len(SIZES) + 1))
    totals = [0.0] * len(SIZES)
    for guard in guards:
        row: list[float] = []
        for size in SIZES:
            text = (ORDINARY * (size // len(ORDINARY) + 1))[:size]
            guard.detect(text, CONTEXT)
            row.append(milliseconds(guard, text, 3 if size > 100_000 else 31))
        if guard.name in DEFAULT_PACK:
            totals = [total + one for total, one in zip(totals, row, strict=True)]
        _print_row([guard.name, *(f"{one:.3f}" for one in row)])
    _print_row(["**default pack**", *(f"**{one:.3f}**" for one in totals)])


def crafted(guards: Sequence[Any]) -> int:
    """Print the times on crafted texts, and return how many are above the limit."""
    _print_row(["ms", *(guard.name for guard in guards)])
    _print_row(["---"] * (len(guards) + 1))
    slow = 0
    for name, make in CRAFTED.items():
        text = make()
        row = [milliseconds(guard, text, 1) for guard in guards]
        slow += sum(one > LIMIT_MS for one in row)
        _print_row([name, *(f"**{one:.0f}**" if one > LIMIT_MS else f"{one:.0f}" for one in row)])
    return slow


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detectors", nargs="*", help="names of detectors; by default all")
    parser.add_argument("--sizes", action="store_true", help="only the first table")
    parser.add_argument("--crafted", action="store_true", help="only the second table")
    given = parser.parse_args()
    guards = [one for one in detectors() if not given.detectors or one.name in given.detectors]
    for guard in guards:
        guard.detect(ORDINARY, CONTEXT)
    if not given.crafted:
        sizes(guards)
        print()
    return 1 if not given.sizes and crafted(guards) else 0


if __name__ == "__main__":
    sys.exit(main())
