"""The vendors' own clients under `@retry` and `@fallback`, against a server that plays the faults.

The clients do not retry themselves. "retry" and "alone" run under `@retry`, "fallback" under `@fallback` around it.
`fault_cases.want` says who answers after how many requests, as for our own calls.

As a program, it makes the calls of one vendor and prints the problems: python vendor_calls.py VENDOR
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from fault_cases import ATTEMPTS, BOUND, TOOLS, Cell, every_cell, want
from fault_grades import Outcome, begun, whole
from fault_server import FaultServer, Scene

import llmops_sdk as llmops

AT_ONCE = 12
UNDETECTED = {
    # These clients limit the time between two bytes, not the total, so an endless stream of nothing never ends.
    "slow first token: keep-alives and no token",
    "stall: silence beyond the total deadline",
    "drip: pieces without end",
    "drip: keep-alives, or header lines, without end",
    # The clients do not distinguish this from other errors with status 400.
    "4xx: context window",
}
"""Cases that the clients do not report, so that no policy around them can react."""
CONTENT_FAULTS = {"clean EOF without finish reason", "malformed JSON or event", "wrong content type"}
"""Faults in the content of an answer: the clients return it, or fail in their JSON parser."""
_waits: ContextVar[list[float]] = ContextVar("vendor_waits")
Piece = tuple[Any, str, str]
"""A piece of an answer: the number of the tool call or None for text, the tool's name, and text or arguments."""


class RecordedWaits:
    """The real time; it records the waits between attempts and does not wait."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        _waits.get().append(seconds)

    async def asleep(self, seconds: float) -> None:
        _waits.get().append(seconds)


def cells(vendor: str) -> list[Cell]:
    """Return every call of the vendor's API whose fault the client reports."""
    return [
        cell
        for cell in every_cell()
        if cell.route == vendor
        and cell.case.key not in UNDETECTED
        and cell.case.fault not in CONTENT_FAULTS
        and not (cell.case.fault == "in-band error event" and not cell.streaming)
    ]


@dataclass
class Call:
    """One cell that is running."""

    cell: Cell
    scene: Scene
    waits: list[float] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    error: BaseException | None = None
    tried: list[tuple[str, int | None]] = field(default_factory=list)


class Vendor:
    """A vendor's clients, sync and async."""

    name: str

    def __init__(self, server: FaultServer) -> None:
        self._library = import_module(self.name)
        self._server = server
        self._made: list[Any] = []

    def client(self, who: str, kind: str) -> Any:
        """Return a new client for the first provider, the second, or one that refuses connections."""
        root = self._server.refusing if who == "refused" else f"{self._server.url}/{who}"
        more = {"api_key": secrets.token_hex(8), "max_retries": 0, "timeout": BOUND}
        made = getattr(self._library, kind)(base_url=f"{root}{self.version}", **more)
        self._made.append(made)
        return made

    version = ""
    kinds = ("", "")

    def ask(self, client: Any, cell: Cell) -> Any:
        """Make the request."""
        raise NotImplementedError

    def whole(self, answer: Any) -> list[Piece]:
        """Return the pieces of a whole answer."""
        raise NotImplementedError

    def pieces(self, event: Any) -> list[Piece]:
        """Return the pieces of an event."""
        raise NotImplementedError


class OpenAI(Vendor):
    """The openai client."""

    name, version, kinds = "openai", "/v1", ("OpenAI", "AsyncOpenAI")

    def ask(self, client: Any, cell: Cell) -> Any:
        more = {"tools": TOOLS} if cell.tools else {}
        messages = [{"role": "user", "content": cell.key}]
        return client.chat.completions.create(model="gpt-x", messages=messages, stream=cell.streaming, **more)

    def whole(self, answer: Any) -> list[Piece]:
        message = answer.choices[0].message
        calls = [(n, one.function.name, one.function.arguments) for n, one in enumerate(message.tool_calls or ())]
        return [(None, "", message.content or ""), *calls]

    def pieces(self, event: Any) -> list[Piece]:
        found: list[Piece] = []
        for choice in event.choices[:1]:
            if choice.delta.content:
                found.append((None, "", choice.delta.content))
            calls = choice.delta.tool_calls or ()
            found += [(one.index, one.function.name or "", one.function.arguments or "") for one in calls]
        return found


class Anthropic(Vendor):
    """The anthropic client."""

    name, kinds = "anthropic", ("Anthropic", "AsyncAnthropic")

    def ask(self, client: Any, cell: Cell) -> Any:
        tools = [{"name": one["function"]["name"], "input_schema": one["function"]["parameters"]} for one in TOOLS]
        more = {"tools": tools} if cell.tools else {}
        messages = [{"role": "user", "content": cell.key}]
        return client.messages.create(
            model="claude-sonnet-4-5", max_tokens=99, messages=messages, stream=cell.streaming, **more
        )

    def whole(self, answer: Any) -> list[Piece]:
        found: list[Piece] = []
        for number, block in enumerate(answer.content):
            found.append(
                (None, "", block.text) if block.type == "text" else (number, block.name, json.dumps(block.input))
            )
        return found

    def pieces(self, event: Any) -> list[Piece]:
        if event.type == "content_block_start" and event.content_block.type == "tool_use":
            return [(event.index, event.content_block.name, "")]
        if event.type != "content_block_delta":
            return []
        if event.delta.type == "text_delta":
            return [(None, "", event.delta.text)]
        return [(event.index, "", event.delta.partial_json)]


VENDORS: dict[str, type[Vendor]] = {"openai": OpenAI, "anthropic": Anthropic}
RETRY: dict[str, Any] = {"attempts": ATTEMPTS, "base": 0.001, "clock": RecordedWaits()}


def _threads(vendor: Vendor, calls: list[Call]) -> None:
    clients = {who: vendor.client(who, vendor.kinds[0]) for who in ("first", "second", "refused")}

    def once(cell: Cell, who: str) -> list[Piece]:
        return vendor.whole(vendor.ask(clients[who], cell))

    def stream(cell: Cell, who: str) -> Iterator[Piece]:
        with vendor.ask(clients[who], cell) as events:
            for event in events:
                yield from vendor.pieces(event)

    def run(call: Call) -> None:
        _waits.set(call.waits)
        make: Any = stream if call.cell.streaming else once
        who = _first(call.cell)
        tried: Any = llmops.retry(**RETRY)(make)
        if call.cell.setup == "fallback":
            tried = llmops.fallback(lambda cell, _: make(cell, "second"))(tried)
        with llmops.span("call") as span:
            try:
                call.pieces.extend(tried(call.cell, who))
            except Exception as error:
                call.error = error
            call.tried = _tried(span)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda call: copy_context().run(run, call), calls))
    for client in clients.values():
        client.close()


def _loop(vendor: Vendor, calls: list[Call]) -> None:
    async def run(call: Call, clients: dict[str, Any]) -> None:
        _waits.set(call.waits)
        who = _first(call.cell)

        async def once(cell: Cell, who: str) -> list[Piece]:
            return vendor.whole(await vendor.ask(clients[who], cell))

        async def stream(cell: Cell, who: str) -> AsyncIterator[Piece]:
            async with await vendor.ask(clients[who], cell) as events:
                async for event in events:
                    for piece in vendor.pieces(event):
                        yield piece

        make: Any = stream if call.cell.streaming else once
        tried: Any = llmops.retry(**RETRY)(make)
        if call.cell.setup == "fallback":
            tried = llmops.fallback(lambda cell, _: make(cell, "second"))(tried)
        async with llmops.span("call") as span:
            try:
                if call.cell.streaming:
                    async for piece in tried(call.cell, who):
                        call.pieces.append(piece)
                else:
                    call.pieces.extend(await tried(call.cell, who))
            except Exception as error:
                call.error = error
            call.tried = _tried(span)

    async def main() -> None:
        clients = {who: vendor.client(who, vendor.kinds[1]) for who in ("first", "second", "refused")}
        room = asyncio.Semaphore(AT_ONCE)

        async def one(call: Call) -> None:
            async with room:
                await asyncio.create_task(run(call, clients))

        await asyncio.gather(*map(one, calls))
        for client in clients.values():
            await client.close()

    asyncio.run(main())


def _first(cell: Cell) -> str:
    return "refused" if cell.case.play is None else "first"


def _tried(span: Any) -> list[tuple[str, int | None]]:
    """Return the status and status code of each attempt on the span."""
    events = [dict(event[2]) for event in span._events or () if event[0] == "llmops.attempt"]
    return [(str(one["status"]), one.get("status_code")) for one in events]


def play(vendor: str, these: list[Cell]) -> list[dict[str, Any]]:
    """Make the calls, and return the problems of those that did not meet their criterion."""
    calls = [Call(cell=cell, scene=cell.scene()) for cell in these]
    with FaultServer() as server:
        server.scenes.update({call.cell.key: call.scene for call in calls})
        made = VENDORS[vendor](server)
        with ThreadPoolExecutor(1) as other:
            twins = other.submit(_loop, made, [call for call in calls if call.cell.way.startswith("a")])
            _threads(made, [call for call in calls if not call.cell.way.startswith("a")])
            twins.result()
        for call in calls:
            call.scene.free.wait(20)
    found = [(call, list(_wrong(call, vendor))) for call in calls]
    return [{"call": call.cell.key, "wrong": wrong, "error": repr(call.error)} for call, wrong in found if wrong]


def _wrong(call: Call, vendor: str) -> Iterator[str]:
    cell, wanted, scene = call.cell, want(call.cell), call.scene
    outcome = _outcome(call)
    if (asked := (scene.asked["first"], scene.asked["second"])) != wanted.asked:
        yield f"requests {asked}, not {wanted.asked}"
    if wanted.served is not None and (call.error is not None or not whole(outcome, cell)):
        yield f"not the answer: {call.pieces}"
    if wanted.served is None and call.error is None:
        yield f"an answer in place of an error: {call.pieces}"
    if wanted.served is None and cell.ending.delivered and not begun(outcome, cell):
        yield f"the pieces that came: {call.pieces}"
    if wanted.served is None and not cell.ending.delivered and call.pieces:
        yield f"pieces of what failed: {call.pieces}"
    if call.error is not None and type(call.error).__module__.partition(".")[0] not in {vendor, "httpx", "httpx2"}:
        yield "an error that is not the client's own"
    ends = ["error"] * wanted.failures + ["ok"] * (wanted.served == "first")
    if [end for end, _ in call.tried] != ends:
        yield f"attempts on the span {call.tried}, not {ends}"
    told = {status for end, status in call.tried if end == "error"}
    if cell.case.fault in {"429", "4xx", "5xx"} and not told <= cell.ending.statuses:
        yield f"statuses of the attempts {told}"
    if scene.hung or scene.gone != scene.held:
        yield f"{scene.held - scene.gone} connections still open, hung: {scene.hung}"
    asked_for, again = cell.ending.asked, int(cell.ending.again)
    if asked_for is not None and not (
        len(call.waits) == again and all(asked_for[0] <= wait <= asked_for[1] for wait in call.waits)
    ):
        yield f"waited {call.waits}, not {asked_for}"


def _outcome(call: Call) -> Outcome:
    calls: dict[Any, list[str]] = {}
    for number, name, text in call.pieces:
        one = calls.setdefault(number, ["", ""])
        one[0] += name
        one[1] += text
    text = "".join(calls.pop(None, ["", ""])[1])
    return Outcome(text=text, calls=tuple((name, arguments) for name, arguments in calls.values()))


if __name__ == "__main__":
    own = cells(sys.argv[1])
    print(json.dumps({"made": len(own), "wrong": play(sys.argv[1], own)}))
