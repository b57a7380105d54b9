"""Write stored calls for the tests of checks for drift: days of traffic with what a test changes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmops_sdk.store import StoreSink
from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._records import RecordedSpan, Stamp

HOUR = 3_600
DAY = 24 * HOUR
NOW = 1_795_046_400.0  # Thursday, 2026-11-19, midnight in UTC
TOPICS = (
    "Where is my {} card, please? It has not arrived yet.",
    "How do I change the pin of my {} card?",
    "Why was a fee charged for the {} payment of last week?",
    "Can you raise the limit of my {} account?",
)
THINGS = ("debit", "credit", "virtual", "business", "joint", "savings", "travel", "family", "second", "blue")


@dataclass(kw_only=True)
class Call:
    """A call to a model; `at` is in seconds since the epoch, its end."""

    at: float
    user: str | None = None
    question: str = "Where is my card?"
    answer: str = "It is on its way to you."
    model: str = "gpt-4.1-mini"
    served: str = "gpt-4.1-mini-2025-04-14"
    version: str = "1"
    prompt: str = "answer"
    latency: float = 0.8
    status: str = "ok"
    finish: str = "stop"
    attributes: dict[str, Any] = field(default_factory=dict)
    simulated: bool = False
    kind: str = "llm"


def write_calls(folder: Path, calls: Iterable[Call]) -> None:
    """Write calls to a store, in the order given."""
    sink = StoreSink(folder, compaction="manual")
    batch = [_span(number, call) for number, call in enumerate(calls, 1)]
    for begin in range(0, len(batch), 512):
        sink.write(batch[begin : begin + 512])
    sink.close(5.0)


def _span(number: int, call: Call) -> RecordedSpan:
    end, duration = int(call.at * 1e9), int(call.latency * 1e9)
    span = RecordedSpan(
        name="chat",
        kind=call.kind,
        trace_id=random.Random(number).getrandbits(127) | 1,
        span_id=number,
        parent_id=0,
        start_ns=end - duration,
        duration_ns=duration,
        status=call.status,
        stamp=Stamp(
            session_id=None, user_id=call.user, tags=(), metadata=None, prompt_name=call.prompt,
            prompt_version=call.version,
        ),
        otel_kind="client",
        resource={"service.name": "tests"},
    )  # fmt: skip
    span.attributes = {
        sc.OPERATION: "chat",
        sc.PROVIDER: "openai",
        sc.REQUEST_MODEL: call.model,
        sc.RESPONSE_MODEL: call.served,
        sc.INPUT_TOKENS: 10 + len(call.question) // 4,
        sc.OUTPUT_TOKENS: 1 + len(call.answer) // 4,
        sc.COST: (10 + len(call.question) + 4 * len(call.answer)) * 1e-7,
        sc.INPUT_MESSAGES: _messages("user", call.question),
        sc.OUTPUT_MESSAGES: _messages("assistant", call.answer),
        sc.FINISH_REASONS: [call.finish],
        f"{sc.REQUEST_PREFIX}temperature": 0.2,
        **({sc.SIMULATED: True} if call.simulated else {}),
        **call.attributes,
    }
    return span


def _messages(role: str, text: str) -> bytes:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}]).encode()


def traffic(
    days: float,
    per_day: int,
    *,
    seed: int = 0,
    end: float = NOW,
    users: int = 400,
    change: Callable[[Call], None] | None = None,
    at: Callable[[random.Random], float] | None = None,
) -> list[Call]:
    """Return calls of the days before `end`.

    Args:
        days: How many.
        per_day: Calls of a day.
        seed: Other seeds, other calls.
        end: When the last day ends.
        users: How many users.
        change: Changes a call.
        at: The second of a call within the days; by default evenly.
    """
    chance = random.Random(seed)
    calls: list[Call] = []
    for _ in range(int(days * per_day)):
        moment = chance.random() * days * DAY if at is None else at(chance)
        question = chance.choice(TOPICS).format(chance.choice(THINGS))
        call = Call(
            at=end - days * DAY + moment,
            user=f"user-{chance.randrange(users)}",
            question=question,
            answer="Of course. " * chance.randrange(1, 6) + "Is there anything else?",
            latency=chance.lognormvariate(-0.2, 0.5),
            status="error" if chance.random() < 0.02 else "ok",
        )
        if change is not None:
            change(call)
        calls.append(call)
    return sorted(calls, key=lambda one: one.at)
