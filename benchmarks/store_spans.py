"""Spans with realistic text, for the benchmarks of the store.

The text comes from the conversations and questions in the folder `semantic_cache` of `LLMOPS_BENCH_DATA`. Without them,
sentences are made of a word list with a Zipf distribution; `Texts.source` says which. What an application repeats is
repeated here: its system prompts and the passages that it retrieves. Users' questions are those of the data. Answers
and earlier turns are new text, a chain of words each drawn by the two before it, so that compression finds a language
in them and no copies.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._ids import new_trace_id
from llmops_sdk.tracing.records._records import RecordedSpan, Stamp

BATCH = 512
"""Spans that the pipeline gives to the store at once."""
DAY_NS = 86_400_000_000_000
FIRST_NS = 20_700 * DAY_NS
SMALL, LARGE, MIXED = "0.8 KB", "4.4 KB", "4.4 KB, mixed"
"""Calls to models with a short question and a short answer; chats; traces of an agent, a retriever and two chats."""
MODELS = (
    ("openai", "gpt-4.1-mini"),
    ("openai", "gpt-4.1"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("ollama", "llama3.2"),
)
TENANTS = 40
RESOURCE = {"service.name": "support", "deployment.environment.name": "production"}

_SEED = 20_261_126
_LINE = {SMALL: 830, LARGE: 4_400, MIXED: 7_280}
"""Bytes of the line of a call, on average; in a mixed trace the other two spans are smaller."""
_AROUND = 930
"""Of those, what is not text."""
_WIDTH = 0.7  # of the log-normal distribution of a chat's size
_TURNS = 20_000
_PASSAGES = 2_000
_WORDS = (
    "the",
    "a",
    "to",
    "of",
    "and",
    "in",
    "is",
    "that",
    "it",
    "for",
    "you",
    "was",
    "with",
    "on",
    "as",
    "are",
    "be",
    "this",
    "have",
    "from",
    "or",
    "by",
    "we",
    "not",
    "but",
    "what",
    "all",
    "were",
    "when",
    "account",
    "card",
    "payment",
    "transfer",
    "balance",
    "limit",
    "order",
    "parcel",
    "refund",
    "invoice",
    "delivery",
    "address",
    "password",
    "contract",
    "tariff",
    "meter",
    "booking",
    "branch",
    "statement",
    "charge",
    "fee",
    "currency",
    "exchange",
    "dispute",
    "merchant",
    "device",
    "code",
    "opening",
    "Monday",
    "pounds",
)


class Texts:
    """Questions, passages, turns and system prompts to build chats of."""

    def __init__(self) -> None:
        self._random = random.Random(_SEED)
        folder = _data()
        if folder is None:
            self.source = "words of a list with a Zipf distribution (there is no semantic_cache beside the checkout)"
            said = [self._invented(self._random.randrange(8, 60)) for _ in range(3_000)]
            self.questions = [self._invented(self._random.randrange(5, 16)) for _ in range(20_000)]
        else:
            self.source = "conversations and questions of semantic_cache"
            said = _conversations(folder)
            self.questions = _questions(folder)
        self._chain: dict[tuple[str, str], list[str]] = {}
        self._begins: list[tuple[str, str]] = []
        for words in map(str.split, said):
            if len(words) > 2:
                self._begins.append((words[0], words[1]))
                for first, second, third in zip(words, words[1:], words[2:], strict=False):
                    self._chain.setdefault((first, second), []).append(third)
        self.turns = [self._new_text(self._random.randrange(8, 90)) for _ in range(_TURNS)]
        self.passages = [self._new_text(self._random.randrange(60, 160)) for _ in range(_PASSAGES)]
        self.systems = [self._new_text(160) for _ in range(8)]

    def _invented(self, count: int) -> str:
        weights = [1 / rank for rank in range(1, len(_WORDS) + 1)]
        return " ".join(self._random.choices(_WORDS, weights, k=count)).capitalize() + "."

    def _new_text(self, count: int) -> str:
        words: list[str] = []
        while len(words) < count:
            pair = self._random.choice(self._begins)
            words += pair
            while len(words) < count and (after := self._chain.get(pair)):
                pair = pair[1], self._random.choice(after)
                words.append(pair[1])
        return " ".join(words)


def _data() -> Path | None:
    folder = Path(os.environ.get("LLMOPS_BENCH_DATA", "")) / "semantic_cache"
    return folder if folder.is_dir() else None


def _conversations(folder: Path) -> list[str]:
    """Return the texts of the conversations."""
    said: list[str] = []
    for file in sorted(folder.glob("fow/conv-*/*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            pair = json.loads(line)
            said += [turn["content"] for side in ("a", "b") for turn in pair[side]]
    return said


def _questions(folder: Path) -> list[str]:
    with (folder / "banking77_train.csv").open(encoding="utf-8", newline="") as file:
        asked = [row["text"] for row in csv.DictReader(file)]
    intents = json.loads((folder / "clinc150_data_full.json").read_text(encoding="utf-8"))
    return asked + [question for part in intents.values() for question, _ in part]


class Spans:
    """Makes spans of a size, one trace after the other.

    Args:
        texts: What is said in them.
        size: SMALL, LARGE or MIXED.
        seed: Other seeds, other spans.
        between_ns: Nanoseconds from one trace's begin to the next one's.
    """

    def __init__(self, texts: Texts, size: str, *, seed: int = 0, between_ns: int = 1_000_000_000) -> None:
        self._texts = texts
        self._size = size
        self._random = random.Random(_SEED + seed)
        self._between = between_ns
        self._made = 0

    def take(self, count: int) -> list[RecordedSpan]:
        """Return the next spans, ordered by start."""
        return list(itertools.islice(self._all(), count))

    def batches(self, count: int) -> Iterator[list[RecordedSpan]]:
        """Return the next spans in the form that the pipeline passes to a sink."""
        spans = itertools.islice(self._all(), count)
        while batch := list(itertools.islice(spans, BATCH)):
            yield batch

    def _all(self) -> Iterator[RecordedSpan]:
        while True:
            start = FIRST_NS + self._made * self._between
            self._made += 1
            chance = self._random
            user = int(chance.paretovariate(1.2)) % 5_000
            stamp = Stamp(
                session_id=f"session-{user}-{self._made // 50_000}",
                user_id=f"user-{user}",
                tags=("beta",) if user % 10 == 0 else (),
                metadata={"tenant": f"tenant-{user % TENANTS}", "region": ("eu", "us", "ap")[user % 3]},
                prompt_name="answer",
                prompt_version=str(1 + self._made // 20_000),
            )
            trace = new_trace_id(start)
            if self._size == MIXED:
                yield from self._trace(trace, start, stamp)
            else:
                yield self._call(trace, 0, start, stamp, chance.choice(self._texts.questions))

    def _trace(self, trace: int, start: int, stamp: Stamp) -> Iterator[RecordedSpan]:
        chance = self._random
        question, answer = chance.choice(self._texts.questions), chance.choice(self._texts.turns)
        root = _span("support.answer", "agent", trace, 0, start, 2_400_000_000, stamp, chance)
        root.input, root.output = _json({"question": question}), _json(answer)
        yield root
        found = chance.choices(self._texts.passages, k=3)
        look_up = _span("search", "retriever", trace, root.span_id, start + 2_000_000, 40_000_000, stamp, chance)
        look_up.input, look_up.output = _json({"query": question, "k": 3}), _json(found)
        yield look_up
        for number in (0, 1):
            yield self._call(trace, root.span_id, start + 50_000_000 + number * 1_200_000_000, stamp, question)

    def _call(self, trace: int, parent: int, start: int, stamp: Stamp, question: str) -> RecordedSpan:
        chance, texts = self._random, self._texts
        provider, model = chance.choices(MODELS, (8, 3, 4, 4, 1))[0]
        duration = int(chance.lognormvariate(math.log(800e6), 0.6))
        span = _span(f"chat {model}", "llm", trace, parent, start, duration, stamp, chance)
        answer = chance.choice(texts.turns)
        room = _LINE[self._size] - _AROUND
        if self._size == SMALL:
            messages, answer = [("user", question)], answer[:90]
        else:
            # The mean of a log-normal distribution is its median times exp(width² / 2).
            room = int(chance.lognormvariate(math.log(room) - _WIDTH**2 / 2, _WIDTH))
            messages = self._chat(room - len(answer), question)
        said = sum(len(text) for _, text in messages)
        span.attributes = {
            sc.OPERATION: "chat",
            sc.PROVIDER: provider,
            sc.REQUEST_MODEL: model,
            sc.RESPONSE_MODEL: model,
            sc.INPUT_TOKENS: said // 4,
            sc.OUTPUT_TOKENS: len(answer) // 4,
            sc.COST: (said + 4 * len(answer)) * 1e-7,
            sc.INPUT_MESSAGES: _json([_message(role, text) for role, text in messages]),
            sc.OUTPUT_MESSAGES: _json([{**_message("assistant", answer), "finish_reason": "stop"}]),
            sc.FINISH_REASONS: ["stop"],
        }
        if self._size == SMALL:
            span.stamp = None
        else:
            span.attributes |= {f"{sc.REQUEST_PREFIX}temperature": 0.2, f"{sc.REQUEST_PREFIX}max_tokens": 1_024}
        if span.status == "error":
            span.error_type, span.status_message = "RateLimitError", "429: the limit of requests a minute is reached"
        return span

    def _chat(self, room: int, question: str) -> list[tuple[str, str]]:
        """Return a system prompt, as many earlier turns and passages as fit, and the question."""
        chance, texts = self._random, self._texts
        system = chance.choices(texts.systems, (40, 20, 10, 10, 8, 6, 4, 2))[0]
        messages = [("system", system[: max(room // 3, 80)])]
        room -= len(messages[0][1]) + len(question)
        passage = ""
        if room > 200:
            passage = chance.choice(texts.passages)[:room]
            room -= len(passage)
        for role in itertools.cycle(("user", "assistant")):
            if room <= 40:
                break
            turn = chance.choice(texts.questions if role == "user" else texts.turns)[: room - 35]
            messages.append((role, turn))
            room -= len(turn) + 70
        last = f"{question}\n\nFrom our pages:\n{passage}" if passage else question
        return [*messages, ("user", last)]


def _span(
    name: str, kind: str, trace: int, parent: int, start: int, duration: int, stamp: Stamp, chance: random.Random
) -> RecordedSpan:
    return RecordedSpan(
        name=name,
        kind=kind,
        trace_id=trace,
        span_id=chance.getrandbits(64) or 1,
        parent_id=parent,
        start_ns=start + chance.randrange(1_000_000),
        duration_ns=duration,
        status="error" if chance.random() < 0.01 else "ok",
        stamp=stamp,
        otel_kind="client" if kind == "llm" else "internal",
        resource=RESOURCE,
    )


def _message(role: str, text: str) -> dict[str, object]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def renewed(batch: Sequence[RecordedSpan]) -> Sequence[RecordedSpan]:
    """Return the same spans with new ids. This is cheap, so a few spans make many."""
    for span in batch:
        span.trace_id += 1
        span.span_id = span.span_id + 1 & (1 << 64) - 1 or 1
        if span.parent_id:
            span.parent_id = span.parent_id + 1 & (1 << 64) - 1 or 1
    return batch
