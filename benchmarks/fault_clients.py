"""How other libraries make the calls of tests/faults, each set up as its documentation says.

Each is told the same: two attempts at a model (one retry), the other model as the fallback where a call has one, and
the case's bound as its time-out. What they return and raise becomes an `Outcome`, their errors by the names of ours;
any error of theirs tells of an interruption where pieces were delivered.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from fault_cases import AMPLE, ATTEMPTS, BOUND, TOOLS, Cell
from fault_grades import Outcome
from fault_server import FaultServer

NAMES = {"openai": "gpt-x", "anthropic": "claude-sonnet-4-5"}
OTHER = {"openai": "anthropic", "anthropic": "openai"}
AT_ONCE = 8
PATIENCE = 90.0
"""Seconds for a call: some of them wait as long as a server asks."""
_STATUSES = {401: "AuthenticationError", 402: "PermissionDeniedError", 403: "PermissionDeniedError",
             404: "NotFoundError", 429: "RateLimitError"}  # fmt: skip
_ALIKE = ("RateLimit", "BadRequest", "Authentication", "PermissionDenied", "NotFound")
_SAME = {
    "APITimeoutError": "ProviderTimeoutError",
    "Timeout": "ProviderTimeoutError",
    "APIConnectionError": "ProviderConnectionError",
    "InternalServerError": "ServerError",
    "ServiceUnavailableError": "ServerError",
    "BadGatewayError": "ServerError",
    "OverloadedError": "ServerError",
    "APIError": "ServerError",
    "APIResponseValidationError": "ServerError",
    "ContextWindowExceededError": "ContextWindowError",
    "ContextOverflowError": "ContextWindowError",
    "ContentPolicyViolationError": "ContentFilterError",
    **{f"{each}Error": f"{each}Error" for each in _ALIKE},
    "UnprocessableEntityError": "BadRequestError",
    "MidStreamFallbackError": "StreamInterruptedError",
}


@dataclass
class Got:
    """What has come of an answer so far."""

    text: str = ""
    calls: dict[Any, list[str]] = field(default_factory=dict)
    tokens: list[tuple[int, int]] = field(default_factory=list)

    def call(self, key: Any, name: str | None, arguments: str | None) -> None:
        """Return a piece of a tool call."""
        one = self.calls.setdefault(key, ["", ""])
        one[0] += name or ""
        one[1] += arguments or ""


def bound(cell: Cell) -> float:
    """Seconds of the time-out."""
    return BOUND if min(cell.case.bounds(streaming=cell.streaming).values(), default=AMPLE) < AMPLE else AMPLE


class Client:
    """A library under test."""

    roots: tuple[str, ...] = ()
    """The packages whose errors are its own."""

    def __init__(self, server: FaultServer) -> None:
        self.server = server
        self.key = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._made: dict[Any, Any] = {}

    def takes(self, cell: Cell) -> bool:
        """Return whether the client supports such a call."""
        del cell
        return True

    def url(self, cell: Cell) -> str:
        """Return the URL of the first model."""
        return self.server.refusing if cell.case.play is None else f"{self.server.url}/first"

    def once(self, key: Any, make: Any) -> Any:
        """Return the object of a key, creating it on first use."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            return self._made[key]

    def run(self, cell: Cell, got: Got) -> None:
        """Make a call of the sync ways."""
        raise NotImplementedError

    async def arun(self, cell: Cell, got: Got) -> None:
        """Make a call of the async ways."""
        raise NotImplementedError

    def outcome(self, cell: Cell, got: Got, error: BaseException | None, seconds: float) -> Outcome:
        """Return what the caller received."""
        calls = tuple((name, arguments) for name, arguments in got.calls.values())
        if error is None:
            tokens = got.tokens[-1] if got.tokens else None
            return Outcome(text=got.text, calls=calls, seconds=seconds, tokens=tokens)
        typed = type(error).__module__.partition(".")[0] in self.roots
        status = getattr(error, "status_code", None)
        names = [each.__name__ for each in type(error).__mro__]
        name = next((known for each in names if (known := _SAME.get(each))), names[0])
        name = _STATUSES.get(status, name) if "APIStatusError" in names and isinstance(status, int) else name
        if typed and cell.ending.delivered and (got.text or got.calls):
            name, status = "StreamInterruptedError", None
        expected = cell.ending.statuses
        return Outcome(
            text=got.text, calls=calls, error=name, typed=typed, message=str(error)[:200], seconds=seconds,
            status=status if status in expected or None not in expected else None,
        )  # fmt: skip


def make_calls(client: Client, cells: list[Cell]) -> list[Outcome]:
    """Return the outcomes of all cells, in order."""

    def sync(cell: Cell) -> Outcome:
        got, began = Got(), time.monotonic()
        raised: list[BaseException | None] = [TimeoutError(f"still at it after {PATIENCE:g} s")]

        def run() -> None:
            error: BaseException | None = None
            try:
                client.run(cell, got)
            except BaseException as caught:  # noqa: BLE001 - what it raises is what is graded
                error = caught
            raised[0] = error

        # One that waits for an hour cannot be ended; nobody waits for it.
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        return client.outcome(cell, got, raised[0], time.monotonic() - began)

    async def a_sync(cell: Cell, room: asyncio.Semaphore) -> Outcome:
        async with room:
            got, began = Got(), time.monotonic()
            try:
                await asyncio.wait_for(client.arun(cell, got), PATIENCE)
            except BaseException as error:  # noqa: BLE001 - what it raises is what is graded
                return client.outcome(cell, got, error, time.monotonic() - began)
            return client.outcome(cell, got, None, time.monotonic() - began)

    async def a_syncs(those: list[Cell]) -> list[Outcome]:
        room = asyncio.Semaphore(AT_ONCE)
        return await asyncio.gather(*(a_sync(cell, room) for cell in those))

    threaded = [cell for cell in cells if not cell.way.startswith("a")]
    looped = [cell for cell in cells if cell.way.startswith("a")]
    with ThreadPoolExecutor(AT_ONCE) as pool, ThreadPoolExecutor(1) as loop:
        twins = loop.submit(lambda: asyncio.run(a_syncs(looped)))
        done = dict(zip([cell.key for cell in threaded], pool.map(sync, threaded), strict=True))
        done.update(zip([cell.key for cell in looped], twins.result(), strict=True))
    return [done[cell.key] for cell in cells]


# --- The openai client, and what has its shape ------------------------------------------------------------------------


def _whole(answer: Any, got: Got) -> None:
    message = answer.choices[0].message
    got.text = message.content or ""
    for number, call in enumerate(message.tool_calls or ()):
        got.call(number, call.function.name, call.function.arguments)
    if answer.usage is not None:
        got.tokens.append((answer.usage.prompt_tokens, answer.usage.completion_tokens))


def _piece(chunk: Any, got: Got) -> None:
    for choice in chunk.choices[:1]:
        got.text += choice.delta.content or ""
        for call in choice.delta.tool_calls or ():
            got.call(call.index, call.function.name, call.function.arguments)
    if getattr(chunk, "usage", None) is not None:
        got.tokens.append((chunk.usage.prompt_tokens, chunk.usage.completion_tokens))


def _asked(cell: Cell) -> dict[str, Any]:
    streamed = {"stream": True, "stream_options": {"include_usage": True}} if cell.streaming else {}
    return {
        "messages": [{"role": "user", "content": cell.key}],
        **({"tools": TOOLS} if cell.tools else {}),
        **streamed,
    }


class OpenAIClient(Client):
    """The openai client alone: it tries again, and knows no other model."""

    roots = ("openai",)

    def takes(self, cell: Cell) -> bool:
        """Of its own API, without a fallback."""
        return cell.route == "openai" and cell.setup != "fallback"

    def _client(self, cell: Cell, kind: str) -> Any:
        import openai

        url = f"{self.url(cell)}/v1"
        more = {"base_url": url, "api_key": self.key, "max_retries": ATTEMPTS - 1}
        return self.once((kind, url), lambda: getattr(openai, kind)(**more))

    def run(self, cell: Cell, got: Got) -> None:
        """By `OpenAI`."""
        completions = self._client(cell, "OpenAI").chat.completions
        answer = completions.create(model=NAMES["openai"], timeout=bound(cell), **_asked(cell))
        if not cell.streaming:
            _whole(answer, got)
            return
        for chunk in answer:
            _piece(chunk, got)

    async def arun(self, cell: Cell, got: Got) -> None:
        """By `AsyncOpenAI`."""
        completions = self._client(cell, "AsyncOpenAI").chat.completions
        answer = await completions.create(model=NAMES["openai"], timeout=bound(cell), **_asked(cell))
        if not cell.streaming:
            _whole(answer, got)
            return
        async for chunk in answer:
            _piece(chunk, got)


class Router(Client):
    """The Router of litellm: `num_retries`, `fallbacks`, `timeout`.

    Without cooldowns: the fault of one call would put one on the deployment of the next.
    """

    roots = ("litellm", "openai")

    def _router(self, cell: Cell) -> Any:
        import litellm

        litellm.suppress_debug_info = True
        kept, seconds, url = cell.setup == "fallback", bound(cell), self.url(cell)

        def deployment(name: str, route: str, base: str) -> dict[str, Any]:
            where = f"{base}/v1" if route == "openai" else base
            params = {"model": f"{route}/{NAMES[route]}", "api_base": where, "api_key": self.key}
            return {"model_name": name, "litellm_params": params}

        def make() -> Any:
            second = OTHER[cell.route]
            return litellm.Router(
                model_list=[
                    deployment("first", cell.route, url),
                    deployment("second", second, f"{self.server.url}/second"),
                ],
                num_retries=ATTEMPTS - 1,
                fallbacks=[{"first": ["second"]}] if kept else [],
                timeout=seconds,
                stream_timeout=seconds,
                disable_cooldowns=True,
            )

        return self.once((cell.route, kept, seconds, url, cell.way.startswith("a")), make)

    def run(self, cell: Cell, got: Got) -> None:
        """By `completion`."""
        answer = self._router(cell).completion(model="first", **_asked(cell))
        if not cell.streaming:
            _whole(answer, got)
            return
        for chunk in answer:
            _piece(chunk, got)

    async def arun(self, cell: Cell, got: Got) -> None:
        """By `acompletion`."""
        answer = await self._router(cell).acompletion(model="first", **_asked(cell))
        if not cell.streaming:
            _whole(answer, got)
            return
        async for chunk in answer:
            _piece(chunk, got)


class LangChain(Client):
    """LangChain's chat models with `with_fallbacks`; the attempts are those of the vendors' clients in them."""

    roots = ("langchain_core", "langchain_openai", "langchain_anthropic", "openai", "anthropic")

    def _model(self, route: str, base: str, seconds: float, *, tools: bool) -> Any:
        from langchain_anthropic import ChatAnthropic
        from langchain_openai import ChatOpenAI

        more: dict[str, Any] = {"max_retries": ATTEMPTS - 1, "timeout": seconds, "api_key": self.key}
        if route == "openai":
            model: Any = ChatOpenAI(model=NAMES[route], base_url=f"{base}/v1", stream_usage=True, **more)
        else:
            model = ChatAnthropic(model=NAMES[route], base_url=base, max_tokens=1024, **more)
        return model.bind_tools(TOOLS) if tools else model

    def _chain(self, cell: Cell) -> Any:
        url, seconds = self.url(cell), bound(cell)

        def make() -> Any:
            first = self._model(cell.route, url, seconds, tools=cell.tools)
            if cell.setup != "fallback":
                return first
            second = self._model(OTHER[cell.route], f"{self.server.url}/second", seconds, tools=cell.tools)
            return first.with_fallbacks([second])

        key = (cell.route, url, seconds, cell.tools, cell.setup == "fallback", cell.way.startswith("a"))
        return self.once(key, make)

    def run(self, cell: Cell, got: Got) -> None:
        """By `invoke` and `stream`."""
        if not cell.streaming:
            self._read(self._chain(cell).invoke(cell.key), got)
            return
        self._gather(cell, self._chain(cell).stream(cell.key), got)

    async def arun(self, cell: Cell, got: Got) -> None:
        """By `ainvoke` and `astream`."""
        if not cell.streaming:
            self._read(await self._chain(cell).ainvoke(cell.key), got)
            return
        await self._agather(self._chain(cell).astream(cell.key), got)

    def _gather(self, cell: Cell, chunks: Iterator[Any], got: Got) -> None:
        del cell
        whole: Any = None
        for chunk in chunks:
            whole = chunk if whole is None else whole + chunk
            self._read(whole, got)

    async def _agather(self, chunks: AsyncIterator[Any], got: Got) -> None:
        whole: Any = None
        async for chunk in chunks:
            whole = chunk if whole is None else whole + chunk
            self._read(whole, got)

    def _read(self, message: Any, got: Got) -> None:
        import json

        got.text = str(message.text)
        got.calls = {}
        pieces = getattr(message, "tool_call_chunks", None)
        for number, call in enumerate(message.tool_calls if pieces is None else pieces):
            arguments = call["args"]
            got.call(number, call["name"], arguments if isinstance(arguments, str) else json.dumps(arguments))
        usage = message.usage_metadata
        if usage and usage["input_tokens"]:  # of Anthropic's streams it reads one of the two events that tell
            got.tokens = [(usage["input_tokens"], usage["output_tokens"])]


CLIENTS: dict[str, type[Client]] = {"litellm-router": Router, "langchain": LangChain, "openai": OpenAIClient}
