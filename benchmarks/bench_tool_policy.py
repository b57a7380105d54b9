"""How well the tool policy finds values that come from a tool's result, and how long it takes.

Quality: the values of `pii_presidio_synth_v2_dev.json` in `LLMOPS_BENCH_DATA` as arguments of a call, with the text
that has them, or another one, as the tool's result. Latency: wall time of one check.

Run it with `LLMOPS_BENCH_DATA=FOLDER python benchmarks/bench_tool_policy.py`. Without the variable, only the latency is
measured.
"""

from __future__ import annotations

import base64
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from llmops_sdk import GuardrailViolation
from llmops_sdk.guardrails import ToolPolicy

POLICY = ToolPolicy({"pay": {"untainted": ["*"], "allow_domains": ["example.org"]}})
ORIGIN = ToolPolicy({"pay": {"untainted": ["*"]}})
# How the call writes the value, and how the tool's result writes its text.
FORMS: dict[str, Callable[[str, str], tuple[str, str]]] = {
    "as it is": lambda value, text: (value, text),
    "in capitals": lambda value, text: (value.upper(), text),
    "without spaces": lambda value, text: ("".join(value.split()), text),
    "percent-encoded result": lambda value, text: (value, quote(text)),
    "base64 result": lambda value, text: (value, base64.b64encode(text.encode()).decode()),
    "JSON result": lambda value, text: (value, json.dumps({"text": [text]})),
}
CRAFTED = ("a.", "1-", "@", "a@", "a ", "%41", "QWRh", "東京", "ada@example.org, ", "https://a.example/x ", "<a ", "[")
ADDRESSES = frozenset({"EMAIL_ADDRESS", "DOMAIN_NAME", "IP_ADDRESS"})


def is_blocked(policy: ToolPolicy, value: object, said: str, returned: str) -> bool:
    result = {"role": "tool", "tool_call_id": "0", "content": returned}
    try:
        policy.check_call("pay", {"to": value}, [{"role": "user", "content": said}, result])
    except GuardrailViolation:
        return True
    return False


def quality(folder: Path) -> None:
    rows = json.loads((folder / "guard" / "pii_presidio_synth_v2_dev.json").read_text("utf-8"))
    texts = [row["full_text"] for row in rows]
    random.seed(0)
    values = [
        (span["entity_type"], span["entity_value"], row["full_text"])
        for row in rows
        for span in row["spans"]
        if len(span["entity_value"]) >= 3
    ]
    for name, form in FORMS.items():
        missed = Counter(kind for kind, value, text in values if not is_blocked(ORIGIN, *_asked(*form(value, text))))
        print(f"{name}: {len(values) - missed.total()} of {len(values)} found; missed {dict(missed)}")
    given = Counter(kind for kind, value, text in values if is_blocked(ORIGIN, value, f"Use {value} for it", text))
    print(f"given by the user: {given.total()} of {len(values)} blocked; {dict(given)}")
    others = [(kind, value, random.choice(texts)) for kind, value, _ in values]
    apart = [one for one in others if one[1].lower() not in one[2].lower()]
    blocked = Counter(kind for kind, value, text in apart if is_blocked(ORIGIN, value, "Read it", text))
    wrong = Counter({kind: count for kind, count in blocked.items() if kind not in ADDRESSES})
    print(f"in another text: {blocked.total()} of {len(apart)} blocked, no addresses {wrong.total()}; {dict(blocked)}")


def _asked(value: str, text: str) -> tuple[str, str, str]:
    return value, "Read it", text


def prose(size: int) -> str:
    random.seed(1)
    letters = "abcdefghijklmnop"
    words = ["".join(random.choices(letters, k=random.randint(2, 9))) for _ in range(5000)]
    return " ".join(random.choices(words, k=size // 6))[:size]


def latency() -> None:
    call = {"to": "bob@example.org", "body": prose(3000), "iban": "DE89 3704 0044 0532 0130 00", "amount": 123456}
    for size in (2_000, 20_000, 200_000, 1_000_000):
        print(f"prose of {size} characters: {_milliseconds(call, 'Read it', prose(size)):.1f} ms")
    for unit in CRAFTED:
        crafted = (unit * (1_000_000 // len(unit) + 1))[:1_000_000]
        as_result, as_question = _milliseconds(call, "Read it", crafted), _milliseconds(call, crafted, "x")
        print(f"1 MB of {unit!r}: as a result {as_result:.0f} ms, from the user {as_question:.0f} ms")


def _milliseconds(call: object, said: str, returned: str) -> float:
    began = time.perf_counter()
    is_blocked(POLICY, call, said, returned)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    if "LLMOPS_BENCH_DATA" in os.environ:
        quality(Path(os.environ["LLMOPS_BENCH_DATA"]))
    latency()
