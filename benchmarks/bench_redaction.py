"""What the redaction stage costs on the background thread, as a ratio to encoding the same span's line for the store.

Both are measured in turn, in the CPU time of this thread; the figure is the median of the rounds' ratios.

Run it with `python benchmarks/bench_redaction.py`.
"""

from __future__ import annotations

import json
import random
import statistics
import string
import time
from collections.abc import Callable

from llmops_sdk.store.lines._encode import Encoder
from llmops_sdk.tracing.privacy._redaction_stage import RedactionStage
from llmops_sdk.tracing.privacy._text_redactor import TextRedactor
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.records._records import RecordedSpan, Stamp

ROUNDS = 41
CALLS = 400
SENTENCE = "Where is the card that I ordered two weeks ago? The app says it is on its way, but not where. "


def span(size: int, secret: str = "") -> RecordedSpan:
    """Return a span whose content is about `size` bytes of JSON."""
    text = (SENTENCE * (size // len(SENTENCE) + 1))[: size // 2] + secret
    return RecordedSpan(
        name="answer",
        kind="llm",
        trace_id=1 << 100,
        span_id=1 << 40,
        start_ns=1_790_000_000_000_000_000,
        duration_ns=1_234_567,
        status="ok",
        input=json.dumps({"messages": [{"role": "user", "content": text}]}).encode(),
        output=json.dumps({"role": "assistant", "content": text[: size // 2 - 120]}).encode(),
        attributes={
            _semconv.OPERATION: "chat",
            _semconv.PROVIDER: "openai",
            _semconv.REQUEST_MODEL: "gpt-4.1-mini",
            _semconv.INPUT_TOKENS: 321,
            _semconv.OUTPUT_TOKENS: 45,
        },
        stamp=Stamp(session_id="session-17", user_id="user-4", tags=("web",)),
        resource=RESOURCE,
    )


RESOURCE = {"service.name": "bench"}


def microseconds(call: Callable[[], object]) -> float:
    """CPU time of one call."""
    begin = time.thread_time_ns()
    for _ in range(CALLS):
        call()
    return (time.thread_time_ns() - begin) / CALLS / 1_000


def measure(record: RecordedSpan) -> tuple[float, float, float]:
    """Redaction, encoding, and the median of their ratios."""
    stage = RedactionStage({}, lambda *_: None)
    encoder = Encoder()
    pairs = [
        (microseconds(lambda: stage([record])), microseconds(lambda: encoder.span_line(record))) for _ in range(ROUNDS)
    ]
    return (
        statistics.median(pair[0] for pair in pairs),
        statistics.median(pair[1] for pair in pairs),
        statistics.median(redaction / encoding for redaction, encoding in pairs),
    )


def main() -> None:
    """Print the table."""
    token = "ghp_" + "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=36))
    print(f"{'span':<28}{'redaction µs':>14}{'encoding µs':>14}{'ratio':>8}")
    for name, record in {
        "0.8 KB, no secret": span(800),
        "4.4 KB, no secret": span(4_400),
        "0.8 KB, one secret": span(800, token),
        "4.4 KB, one secret": span(4_400, token),
    }.items():
        redaction, encoding, ratio = measure(record)
        print(f"{name:<28}{redaction:>14.2f}{encoding:>14.2f}{ratio:>8.2f}")
    # Beginnings of secrets in a megabyte of JSON: the sieves rule out nothing, and each string is searched alone.
    hostile = json.dumps(['sk-aaaa"password'] * 50_000).encode()
    begin = time.thread_time()
    TextRedactor().json(hostile)
    print(f"hostile JSON, ms a megabyte {(time.thread_time() - begin) / len(hostile) * 1e9:>14.0f}")


if __name__ == "__main__":
    main()
