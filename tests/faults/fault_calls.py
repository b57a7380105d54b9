"""Play the cells to this package, and check the answer, the server, the attempts and the stored span of each."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from fault_cases import ATTEMPTS, GOOD, PATIENCE, TOOLS, Cell, want
from fault_grades import Outcome, Verdict, grade, row_of, table
from fault_server import FaultServer, Scene

import llmops_sdk as llmops
from llmops_sdk import config
from llmops_sdk._util._guard import raise_in_tests
from llmops_sdk.client._shared import STAND_INS
from llmops_sdk.tracing.runtime import _start as _runtime

AT_ONCE = 4
"""Number of threads, and of tasks. Calls that wait for a time-out need no processor: many more run at once."""
WAITING = 12
LATE, LATE_AT_ONCE = 48, 4
"""Number of calls that a busy machine may make too late. More of them are a defect, and are not made again."""
NAMES = {"openai": "gpt-x", "anthropic": "claude-sonnet-4-5"}
OTHER = {"openai": "anthropic", "anthropic": "openai"}

_waits: ContextVar[list[float]] = ContextVar("waits")


class _RecordedWaits:
    """The real time; it records the waits between attempts and does not wait."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        _waits.get().append(seconds)

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


@dataclass
class Call:
    """One cell that is running."""

    cell: Cell
    scene: Scene
    waits: list[float] = field(default_factory=list)
    outcome: Outcome | None = None
    trace: str = ""


def _options(call: Call) -> dict[str, Any]:
    cell = call.cell
    refused = "-refused" if cell.case.play is None else ""
    kept = "-kept" if cell.setup == "fallback" else ""
    tools = {"tools": TOOLS} if cell.tools else {}
    return {"model": f"{cell.route}{refused}{kept}", "timeout": cell.bounds, **tools}


def _outcome(began: float, answer: llmops.Response | None, error: BaseException | None, got: str) -> Outcome:
    seconds = time.monotonic() - began
    if answer is not None:
        calls = tuple((call.name, call.arguments) for call in answer.tool_calls)
        tokens = (answer.usage.input_tokens, answer.usage.output_tokens)
        more = {"attempts": answer.attempts, "provider": answer.provider, "cost": answer.cost, "got": got}
        return Outcome(text=answer.text, calls=calls, seconds=seconds, tokens=tokens, more=more)
    partial = getattr(error, "partial", None)
    return Outcome(
        text=partial.text if partial else "",
        calls=tuple((call.name, call.arguments) for call in partial.tool_calls) if partial else (),
        error=type(error).__name__,
        typed=isinstance(error, llmops.LLMOpsError),
        message=str(error)[:300],
        status=getattr(error, "status_code", None),
        seconds=seconds,
        more={"attempts": getattr(error, "attempts", ()), "got": got},
    )


def _sync(call: Call, model: llmops.LLM) -> None:
    _waits.set(call.waits)
    got: list[str] = []
    answer, failed, began = None, None, time.monotonic()
    with llmops.span("cell") as span:
        call.trace = span.trace_id
        try:
            if call.cell.streaming:
                chunks = model.stream(call.cell.key, **_options(call))
                got.extend(chunk.text for chunk in chunks)
                answer = chunks.response
            else:
                answer = model.chat(call.cell.key, **_options(call))
        except Exception as error:
            failed = error
    call.outcome = _outcome(began, answer, failed, "".join(got))


async def _async(call: Call, model: llmops.LLM) -> None:
    _waits.set(call.waits)
    got: list[str] = []
    answer, failed, began = None, None, time.monotonic()
    async with llmops.span("cell") as span:
        call.trace = span.trace_id
        try:
            if call.cell.streaming:
                chunks = model.astream(call.cell.key, **_options(call))
                async for chunk in chunks:
                    got.append(chunk.text)  # noqa: PERF401 - what came before an error counts
                answer = chunks.response
            else:
                answer = await model.achat(call.cell.key, **_options(call))
        except Exception as error:
            failed = error
    call.outcome = _outcome(began, answer, failed, "".join(got))


def _threads(calls: list[Call], at_once: int) -> None:
    with llmops.LLM() as model, ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda call: copy_context().run(_sync, call, model), calls))


def _loop(calls: list[Call], at_once: int) -> None:
    async def main() -> None:
        room = asyncio.Semaphore(at_once)
        async with llmops.LLM() as model:

            async def one(call: Call) -> None:
                async with room:
                    await asyncio.create_task(_async(call, model))

            await asyncio.gather(*map(one, calls))

    asyncio.run(main())


@contextmanager
def configured(server: FaultServer) -> Iterator[None]:
    """Configure models of the server, with and without a fallback, with the cases' number of attempts."""
    models: dict[str, dict[str, Any]] = {}
    for route, name in NAMES.items():
        version = "/v1" if route == "openai" else ""
        models[f"{route}-second"] = {"model": f"{route}/{name}", "base_url": f"{server.url}/second{version}"}
        for kind, url in (("", f"{server.url}/first"), ("-refused", server.refusing)):
            first = {"model": f"{route}/{name}", "base_url": f"{url}{version}"}
            models[f"{route}{kind}"] = first
            models[f"{route}{kind}-kept"] = {**first, "fallbacks": [f"{OTHER[route]}-second"]}
    clock = STAND_INS.clock
    with pytest.MonkeyPatch.context() as patch:
        for route in NAMES:
            patch.setenv(f"{route.upper()}_API_KEY", secrets.token_hex(8))
        STAND_INS.clock = _RecordedWaits()
        try:
            llmops.configure(models=models, retry={"attempts": ATTEMPTS, "base": 0.001, "budget": None})
            yield
        finally:
            STAND_INS.clock = clock


def play(cells: Iterable[Cell], server: FaultServer) -> list[dict[str, Any]]:
    """Make the calls, many at once, and return a graded row for each.

    A call with a time-out that misses its criterion is made again, beside few others and with a longer time-out.
    """
    with configured(server):
        calls = _called(list(map(_ours, cells)), server, WAITING)
        rows = _graded(calls)
        late = [n for n, call in enumerate(calls) if call.cell.case.timeouts and rows[n]["grade"] != "pass"]
        if len(late) <= LATE:
            again = _called([replace(calls[n].cell, patience=PATIENCE) for n in late], server, LATE_AT_ONCE)
            for n, row in zip(late, _graded(again), strict=True):
                rows[n] = row
    return rows


def _ours(cell: Cell) -> Cell:
    """Return the cell with what this package must do where libraries may differ: it streams a whole answer."""
    if not cell.case.readable:
        return cell
    return replace(cell, case=replace(cell.case, stream=GOOD, readable=False))


def _called(cells: list[Cell], server: FaultServer, waiting_at_once: int) -> list[Call]:
    calls = [Call(cell=cell, scene=cell.scene()) for cell in cells]
    server.scenes.update({call.cell.key: call.scene for call in calls})
    for waiting, at_once in ((False, AT_ONCE), (True, waiting_at_once)):
        these = [call for call in calls if bool(call.cell.case.timeouts) is waiting]
        with ThreadPoolExecutor(1) as other:
            twins = other.submit(_loop, [call for call in these if call.cell.way.startswith("a")], at_once)
            _threads([call for call in these if not call.cell.way.startswith("a")], at_once)
            twins.result()
    for call in calls:
        call.scene.free.wait(20)
    return calls


def _graded(calls: list[Call]) -> list[dict[str, Any]]:
    spans = _spans()
    return [_row(call, spans.get(call.trace, [])) for call in calls]


def played(cells: Iterable[Cell], folder: Path) -> list[dict[str, Any]]:
    """Play with an own server, store and environment, for fixtures that live longer than a test."""
    with pytest.MonkeyPatch.context() as patch, FaultServer() as server:
        for name in [name for name in os.environ if name.startswith(("LLMOPS_", "OTEL_"))]:
            patch.delenv(name)
        patch.chdir(folder)
        raise_in_tests(True)
        try:
            return play(cells, server)
        finally:
            raise_in_tests(False)
            _runtime.reset()
            config.reset()


def _spans() -> dict[str, list[dict[str, Any]]]:
    """Return the stored `chat` spans of each trace, with their attempts."""
    assert llmops.flush(60).pending == 0
    found: dict[str, list[dict[str, Any]]] = {}
    made: dict[str, list[dict[str, Any]]] = {}
    fields = "span_id, attempt, provider, status, status_code, error_type, reason"
    for row in _rows(f"SELECT {fields} FROM attempts ORDER BY attempt"):
        made.setdefault(row["span_id"], []).append(row)
    for row in _rows("SELECT trace_id, span_id, provider, status, attempts, error_type FROM llm_calls"):
        row["made"] = made.get(row["span_id"], [])
        found.setdefault(row["trace_id"], []).append(row)
    return found


def _rows(sql: str) -> list[dict[str, Any]]:
    result = llmops.query(sql)
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows()]


def _row(call: Call, spans: list[dict[str, Any]]) -> dict[str, Any]:
    outcome = call.outcome
    if outcome is None:
        verdict = Verdict(grade="fail", reasons=("the call never ended",))
        return row_of(call.cell, Outcome(), call.scene, verdict)
    return row_of(call.cell, outcome, call.scene, grade(call.cell, outcome, call.scene, _beside(call, outcome, spans)))


def _beside(call: Call, outcome: Outcome, spans: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the problems of the attempts, the waits and the span."""
    cell, wanted = call.cell, want(call.cell)
    attempts, providers = outcome.more["attempts"], [cell.route, OTHER[cell.route]]
    expected = [(providers[0], "error")] * wanted.failures
    if wanted.served is not None:
        expected.append((providers[wanted.served == "second"], "ok"))
    if [(one.provider, one.status) for one in attempts] != expected:
        yield f"attempts {[(one.provider, one.status) for one in attempts]}"
    failed = [one for one in attempts if one.status == "error"]
    if any(one.error_type not in cell.ending.errors or one.status_code not in cell.ending.statuses for one in failed):
        yield f"errors of the attempts {[(one.error_type, one.status_code) for one in failed]}"
    reasons = ["first", *["retry"] * (len(attempts) - 1)]
    if wanted.served == "second":
        reasons[-1] = "fallback"
    if [(one.number, one.reason) for one in attempts] != list(enumerate(reasons, 1)):
        yield f"numbers and reasons {[(one.number, one.reason) for one in attempts]}"
    if cell.streaming and outcome.more["got"] != outcome.text:
        yield f"the consumer got {outcome.more['got']!r}"
    if wanted.served and outcome.more["provider"] != providers[wanted.served == "second"]:
        yield f"served by {outcome.more['provider']}"
    if wanted.served and outcome.tokens == (0, 0) and outcome.more["cost"] is not None:
        yield f"a cost of {outcome.more['cost']} for unknown counts"
    yield from _waited(call, failed)
    yield from _stored(outcome, spans, attempts)


def _waited(call: Call, failed: list[Any]) -> Iterator[str]:
    asked = call.cell.ending.asked
    if asked is None:
        return
    if any(one.retry_after is None or not asked[0] <= one.retry_after <= asked[1] for one in failed):
        yield f"Retry-After read as {[one.retry_after for one in failed]}"
    again = int(call.cell.ending.again)
    if len(call.waits) != again or any(not asked[0] <= wait <= asked[1] for wait in call.waits):
        yield f"waited {call.waits}"


def _stored(outcome: Outcome, spans: list[dict[str, Any]], attempts: Any) -> Iterator[str]:
    if len(spans) != 1:
        yield f"{len(spans)} spans"
        return
    (span,) = spans
    status = "ok" if outcome.error is None else "error"
    if (span["status"], span["attempts"]) != (status, len(attempts)):
        yield f"the span says {span['status']}, {span['attempts']} attempts"
    if outcome.error is not None and (span["error_type"] or "").rpartition(".")[2] != outcome.error:
        yield f"the span's error is {span['error_type']}"
    if outcome.error is None and span["provider"] != outcome.more["provider"]:
        yield f"the span's provider is {span['provider']}"
    told = [(one.number, one.provider, one.status, one.status_code, one.error_type, one.reason) for one in attempts]
    fields = ("attempt", "provider", "status", "status_code", "error_type", "reason")
    if [tuple(one[name] for name in fields) for one in span["made"]] != told:
        yield f"the span's attempts are {span['made']}"


def write(rows: list[dict[str, Any]], folder: Path, name: str = "faults.json") -> Path:
    """Write the machine-readable table."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    about = {"library": "llmops-sdk", "versions": {one: version(one) for one in ("llmops-sdk", "litellm", "httpx")}}
    path.write_text(json.dumps({**about, "faults": table(rows), "rows": rows}, indent=1))
    return path
