"""What the guards `pii` and `secrets` find, and how long they take.

Quality: `pii_presidio_synth_v2_dev.json` of the shared data (or `LLMOPS_BENCH_DATA`), a finding counts if it overlaps a
span of its kind. The rules were tuned on the first half; the second half is the score. Secrets and disguises are made
at run time. Latency: CPU time of this thread, the median of the rounds.

Run it with `python benchmarks/bench_guards_pii.py`.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from llmops_sdk.guardrails import GuardContext
from llmops_sdk.guardrails.detectors._secrets_detector import SecretsDetector
from llmops_sdk.guardrails.detectors.pii._pii import KINDS, PiiDetector

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "receivers"))

from disguises import DISGUISES, PAIRS  # noqa: E402 - needs the path
from planted_secrets import planted_secrets  # noqa: E402

DATA = Path(os.environ.get("LLMOPS_BENCH_DATA", ROOT.parent / "shared" / "data"))
CONTEXT = GuardContext(rail="input")
NAMES = {
    "CREDIT_CARD": "CARD",
    "PHONE_NUMBER": "PHONE",
    "EMAIL_ADDRESS": "EMAIL",
    "DOMAIN_NAME": "URL",
    "IBAN_CODE": "IBAN",
    "US_SSN": "US_SSN",
    "IP_ADDRESS": "IP",
    "STREET_ADDRESS": "ADDRESS",
}
PROSE = (
    "Where is the card that I ordered two weeks ago? The app says it is on its way, but not where. It was 3 May, and I"
    " paid 25 euros. Please tell me how to change the address, and whether well-known shops take it.\n"
)
PERSONAL = "Dear team, my name is Ada, mail ada@example.org, phone +1 212 555 0147, born on 3 May 1980. "
CRAFTED = (
    "a.",
    "1-",
    "@",
    "a@",
    "1 ",
    '{"a":',
    "%41",
    "&#65;",
    "a\u200b",
    "\\",
    "AbC9",
    "-----BEGIN PRIVATE KEY----- ",
)
SIZES = (200, 2_000, 20_000, 1_000_000)


def quality(rows: list[dict[str, Any]]) -> None:
    detector = PiiDetector(kinds=tuple(KINDS))
    right, missed, false = Counter[str](), Counter[str](), Counter[str]()
    for row in rows:
        gold = [
            (NAMES[one["entity_type"]], one["start_position"], one["end_position"])
            for one in row["spans"]
            if one["entity_type"] in NAMES
        ]
        findings = detector.detect(row["full_text"], CONTEXT).findings
        for kind, start, end in gold:
            is_found = any(one.kind == kind and one.start < end and start < one.end for one in findings)
            (right if is_found else missed)[kind] += 1
        for one in findings:
            if not any(kind == one.kind and one.start < end and start < one.end for kind, start, end in gold):
                false[one.kind] += 1
    print(f"{'kind':14} found missed false    F1")
    for kind in sorted(right.keys() | missed.keys() | false.keys()):
        f1 = 2 * right[kind] / max(1, 2 * right[kind] + missed[kind] + false[kind])
        print(f"{kind:14} {right[kind]:5} {missed[kind]:6} {false[kind]:5} {f1:5.2f}")


def disguises(detector: Any, kind: str, value: str) -> None:
    for name, chains in (("disguises", [(one,) for one in DISGUISES]), ("pairs", PAIRS)):
        seen = 0
        for chain in chains:
            hidden = value
            for one in chain:
                hidden = DISGUISES[one](hidden)
            found = detector.detect(f"Please note {hidden} for later", CONTEXT).findings
            seen += any(one.kind.startswith(kind) for one in found)
        print(f"{kind:8} {name:10} {seen} of {len(chains)}")


def milliseconds(detector: Any, text: str, rounds: int) -> float:
    detector.detect(text, CONTEXT)
    taken: list[int] = []
    for _ in range(rounds):
        began = time.thread_time_ns()
        detector.detect(text, CONTEXT)
        taken.append(time.thread_time_ns() - began)
    return statistics.median(taken) / 1e6


def main() -> None:
    file = DATA / "guard" / "pii_presidio_synth_v2_dev.json"
    if file.exists():
        rows = json.loads(file.read_text())
        quality(rows[len(rows) // 2 :])
    else:
        print(f"skipped the quality of pii: there is no {file}")
    pii, secrets = PiiDetector(), SecretsDetector()
    disguises(pii, "EMAIL", "ada.lovelace@example.org")
    disguises(pii, "CARD", "4242 " * 3 + "4242")
    disguises(secrets, "SECRET", "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2")
    planted = [one for seed in range(5) for one in planted_secrets(seed=seed)]
    found = sum(secrets.detect(f"It is {one.text} now", CONTEXT).found for one in planted)
    print(f"secrets: {found} of {len(planted)}, {len({one.kind for one in planted})} formats")
    print("milliseconds           " + "".join(f"{size:>10}" for size in SIZES))
    for name, base in (("prose", PROSE), ("personal data", PERSONAL)):
        for detector in (pii, secrets):
            row = [
                milliseconds(detector, (base * (size // len(base) + 1))[:size], 1 if size > 100_000 else 21)
                for size in SIZES
            ]
            print(f"{name:14}{detector.name:9}" + "".join(f"{one:10.3f}" for one in row))
    for piece in CRAFTED:
        text = piece * (1_000_000 // len(piece))
        print(f"1 MB of {piece!a:32}", *(f"{one.name} {milliseconds(one, text, 1):8.0f} ms" for one in (pii, secrets)))


if __name__ == "__main__":
    main()
