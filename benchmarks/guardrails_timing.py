"""How long the guards take, beside their peers, and how far a guarded stream lags behind the model."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from guardrails_peers import ask, timed
from guardrails_sets import CRAFTED, PERSONAL, PROSE, documentation, stream_pieces
from guardrails_tables import LATENCY_TEXTS, Results, Share, number, table

from llmops_sdk.guardrails import Guard, GuardContext, OutputGuardProvider, check, resolve
from llmops_sdk.guardrails.detectors import (
    CardDetector,
    ExfiltrationDetector,
    InjectionDetector,
    PiiDetector,
    SecretsDetector,
)
from llmops_sdk.providers import Chunk, Request, WrapperProvider

__all__ = ["crafted", "latency", "streaming"]

CONTEXT = GuardContext(rail="input")
SIZES = (200, 2_000, 20_000, 1_000_000)
ROUNDS = {200: 201, 2_000: 101, 20_000: 21, 1_000_000: 3}
PEER_ROUNDS = {200: 21, 2_000: 11, 20_000: 3, 1_000_000: 1}
PEER_WAYS = {
    "presidio-analyzer": ["pii"], "detect-secrets": ["patterns"], "stackone-defender": ["injection"],
    "turbocloak": ["injection", "everything"],
}  # fmt: skip
STREAMS = (
    ("cards",), ("pii",), ("secrets",), ("exfiltration",), ("cards", "pii", "secrets", "exfiltration"), ("injection",),
    ("default",),
)  # fmt: skip
STREAM_SEEDS = range(5)


def _texts() -> dict[str, str]:
    pages = documentation()
    return dict(zip(LATENCY_TEXTS, (PROSE, pages, PERSONAL), strict=True))


def _of_size(text: str, size: int) -> str:
    return (text * (size // len(text) + 1))[:size]


def _calls() -> dict[str, Callable[[str], object]]:
    detectors = [PiiDetector(), SecretsDetector(), InjectionDetector(), ExfiltrationDetector(), CardDetector()]
    pack = resolve(["default"])
    calls: dict[str, Callable[[str], object]] = {
        one.name: lambda text, one=one: one.detect(text, CONTEXT) for one in detectors
    }
    return calls | {"default pack": lambda text: check(text, pack)}


def latency(results: Results, *, peers: bool) -> None:
    """Measure each detector and the default pack on texts of four sizes."""
    calls, rows = _calls(), []
    for title, base in _texts().items():
        for name, call in calls.items():
            times = []
            for size in SIZES:
                text = _of_size(base, size)
                times.append(timed(lambda call=call, text=text: call(text), ROUNDS[size]))
                wall, processor = times[-1]
                results.value(f"ms {name} {size:,} B, {title}", processor, unit=f" ms (wall {number(wall)})")
            rows.append((title, name, *map(_cell, times)))
    texts = _texts() if peers else {}
    tasks = [[(_of_size(base, size), PEER_ROUNDS[size]) for size in SIZES] for base in texts.values()]
    for peer, ways in PEER_WAYS.items() if peers else ():
        for way, answer in ask(peer, ways=ways, latency=tasks).items():
            for title, times in zip(texts, answer["latency"], strict=True):
                rows.append((title, f"{peer}, {way}", *map(_cell, times)))
                _keep(results, title, peer, way, times)
    head = ("text", "detector", *(f"{size:,} B" for size in SIZES))
    results.table(
        "Latency, ms: median wall time / median CPU time",
        table(head, sorted(rows, key=lambda row: row[0])),
    )


def _keep(results: Results, title: str, peer: str, way: str, times: Sequence[tuple[float, float] | None]) -> None:
    name = {"injection": "injection", "everything": "default pack"}.get(way)
    for size, one in zip(SIZES, times, strict=True):
        if name and one is not None:
            results.peer(f"ms {name} {size:,} B, {title}", peer, f"{number(one[1])} (wall {number(one[0])})")


def _cell(times: tuple[float, float] | None) -> str:
    return "over 60 s, not run" if times is None else f"{number(times[0])} / {number(times[1])}"


def crafted(results: Results, *, peers: bool) -> None:
    """Measure a megabyte of texts that are made to be slow."""
    calls, rows = _calls(), []
    texts = {piece: _of_size(piece, 1_000_000) for piece in CRAFTED}
    theirs = {}
    if peers:
        answer = ask("turbocloak", ways=["everything"], latency=[[(text, 1)] for text in texts.values()])
        theirs = dict(zip(texts, answer["everything"]["latency"], strict=True))
    worst = 0.0
    for piece, text in texts.items():
        times = [timed(lambda call=call, text=text: call(text), 1) for call in calls.values()]
        worst = max(worst, times[-1][1])
        extra = [_cell(theirs[piece][0])] if peers else []
        rows.append((f"`{piece!a}`", *map(_cell, times), *extra))
    results.value("ms default pack, worst crafted 1,000,000 B", worst, len(CRAFTED), " ms")
    head = ("1 MB of", *calls, *(["turbocloak, everything"] if peers else []))
    results.table("Crafted texts, ms: wall time / CPU time", table(head, rows))


class _Source(WrapperProvider):
    """Streams pieces of a text, and counts those that were asked for."""

    name = "source"

    def __init__(self, pieces: Sequence[str]) -> None:
        self._pieces = pieces
        self.asked = 0

    def stream(self, request: Request) -> Iterator[Chunk]:  # noqa: ARG002 - it gives the same to all
        for place, piece in enumerate(self._pieces):
            self.asked += 1
            yield Chunk(text=piece, response_id=str(place))
        yield Chunk(finish_reason="stop")


def _lags(pieces: Sequence[str], guards: Sequence[Guard]) -> tuple[list[int], str]:
    """Return by how many chunks each chunk is late, and the text that comes out."""
    source = _Source(pieces)
    request = Request(model="source/one", messages=[{"role": "user", "content": "Hi"}])
    lags, texts = [], []
    for chunk in OutputGuardProvider(source, guards).stream(request):
        texts.append(chunk.text)
        if chunk.response_id is not None:
            lags.append(source.asked - 1 - int(chunk.response_id))
    return lags, "".join(texts)


class _Streamed(NamedTuple):
    """Some streams through the same guards.

    Attributes:
        firsts: By how many chunks the first chunk of each stream is late.
        others: The same of the other chunks, sorted.
        equal: The share of the streams whose text is that of a check of the whole.
        cost: CPU time of a stream, in milliseconds.
    """

    firsts: list[int]
    others: list[int]
    equal: Share
    cost: float


def _streamed(guards: Sequence[Guard], *, planted: bool) -> _Streamed:
    firsts, others, equal, spent = [], [], [], 0
    for seed in STREAM_SEEDS:
        pieces = stream_pieces(seed, planted=planted)
        whole = check("".join(pieces), guards, rail="output").text
        began = time.process_time_ns()
        lags, text = _lags(pieces, guards)
        spent += time.process_time_ns() - began
        firsts.append(lags[0])
        others += lags[1:]
        equal.append(text == whole)
        equal.append(_lags(list("".join(pieces)), guards)[1] == whole)  # one character a chunk
    return _Streamed(firsts, sorted(others), Share(sum(equal), len(equal)), spent / 1e6 / len(STREAM_SEEDS))


def streaming(results: Results) -> None:
    """Measure how late the chunks of a guarded stream are, and compare its text with that of a check of the whole."""
    rows, equal = [], Share(0, 0)
    for names in STREAMS:
        guards = resolve(names)
        for title, planted in (("things to find", True), ("nothing to find", False)):
            firsts, others, same, cost = _streamed(guards, planted=planted)
            equal = Share(equal.count + same.count, equal.total + same.total)
            # A text that is held to its end and changed comes out as one chunk.
            mean = f"{statistics.mean(others):.2f}" if others else "one chunk"
            p95, most = (others[len(others) * 95 // 100], others[-1]) if others else ("", "")
            match = f"{same.count} of {same.total}"
            rows.append(
                (", ".join(names), title, max(firsts), mean, p95, most, f"{len(others):,}", match, f"{cost:.1f}")
            )
    results.share("streams equal to a check of the whole text", equal)
    head = ("guards", "2,000 tokens with", "first chunk, worst", "others, mean", "p95", "most", "n",
            "equal to a check of the whole text", "CPU of a stream, ms")  # fmt: skip
    title = "Streams of one token a chunk: how many further chunks the model has sent when a chunk is released"
    results.table(title, table(head, rows))
