"""The sixteen faults of a provider: what the server does in each, and what the caller must get.

Standard library only: benchmarks play the same cases to other libraries.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from email.utils import formatdate

from fault_server import Exchange, Play, Scene
from loopback import Fault, sse

BOUND = 3.0
"""Seconds of the time-out that ends a wait in these cases.

A good answer takes far less: the attempt after the wait has the same limit.
"""
PATIENCE = 4
"""Factor on the time-outs of a second try.

A busy machine may give a good answer later than BOUND. Such a call is made again, alone, with longer time-outs.
"""
ATTEMPTS = 2
"""Number of attempts at each model."""
AMPLE = 60.0
"""Seconds of a time-out that must not expire."""
BREAKS = frozenset({"StreamInterruptedError", "IncompleteResponseError"})
SERVERS = frozenset({"ServerError"})


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The end of one attempt that meets the fault.

    Attributes:
        errors: The allowed errors; empty for an answer.
        again: Whether a retry of the same model follows.
        elsewhere: Whether a fallback to the next model follows.
        statuses: The allowed HTTP statuses on the error.
        delivered: Whether the consumer of a stream got some pieces before.
        asked: The shortest and longest wait in seconds that the server asks for.
    """

    errors: frozenset[str] = frozenset()
    again: bool = True
    elsewhere: bool = True
    statuses: frozenset[int | None] = frozenset({None})
    delivered: bool = False
    asked: tuple[float, float] | None = None


def _status(status: int, error: str, *, again: bool = True, elsewhere: bool = True) -> Ending:
    return Ending(errors=frozenset({error}), statuses=frozenset({status}), again=again, elsewhere=elsewhere)


GOOD = Ending(again=False, elsewhere=False)
BROKEN = Ending(errors=BREAKS, again=False, elsewhere=False, delivered=True)
LATE = Ending(errors=frozenset({"ProviderTimeoutError"}))
UNREADABLE = Ending(errors=SERVERS)
EMPTY = Ending(errors=SERVERS | {"IncompleteResponseError"})
LOST = Ending(errors=frozenset({"ProviderConnectionError"}))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One form of a fault.

    Attributes:
        fault: The name of the fault.
        name: The name of the form.
        play: The server's reaction to a request, or None without a server.
        whole: The end of an attempt at a whole answer.
        stream: The end of an attempt at a stream.
        criterion: What the caller must get, in words.
        timeouts: The time limits in seconds, if they end the call.
        uncounted: Whether the server does not send token counts.
        readable: Whether a library may also read the answer of a stream, by one request and without an error.
    """

    fault: str
    name: str
    play: Play | None
    whole: Ending
    stream: Ending
    criterion: str
    timeouts: dict[str, float] = field(default_factory=dict)
    uncounted: bool = False
    readable: bool = False

    @property
    def key(self) -> str:
        """Return a unique name."""
        return f"{self.fault}: {self.name}"

    def bounds(self, *, streaming: bool) -> dict[str, float]:
        """Return the time-outs of a call."""
        if streaming or not self.timeouts:
            return dict(self.timeouts)
        return {"attempt": self.timeouts["attempt"], "total": AMPLE}

    def ending(self, *, streaming: bool) -> Ending:
        """Return the end of an attempt."""
        return self.stream if streaming else self.whole


# --- What the server does ---------------------------------------------------------------------------------------------


def _error(status: int, *, message: str = "simulated", code: str | None = None, **headers: str) -> Play:
    def play(exchange: Exchange) -> None:
        body = exchange.vendor.error_body(Fault(status=status, error=message, code=code))
        if exchange.anthropic and code is not None:
            body["error"]["type"] = "invalid_request_error"
        exchange.answer(json.dumps(body).encode(), status, **headers)

    return play


def _rate(asks: Callable[[], str], header: str = "retry-after") -> Play:
    return lambda exchange: _error(429, **{header: asks()})(exchange)


def _by_vendor(openai: Play, anthropic: Play) -> Play:
    return lambda exchange: (anthropic if exchange.anthropic else openai)(exchange)


def _begun(exchange: Exchange) -> None:
    """Send the headers and the first pieces of a stream."""
    exchange.start_stream()
    for event in exchange.first_pieces():
        exchange.chunk(event)


def _opened(exchange: Exchange) -> None:
    """Send the headers, and the vendor's events before the first piece."""
    exchange.start_stream()
    for event in exchange.events()[: exchange.opening()]:
        exchange.chunk(event)


def _promised(exchange: Exchange, share: float) -> None:
    """Send the headers of a whole answer, and a share of its body."""
    body = exchange.body()
    exchange.head(content_type="application/json", content_length=str(len(body)))
    exchange.raw(body[: int(len(body) * share)])


def _silence(exchange: Exchange) -> None:
    if exchange.streaming:
        exchange.start_stream()
    else:
        _promised(exchange, 0)
    exchange.hold()


def _slow(exchange: Exchange) -> None:
    if not exchange.streaming:
        exchange.pause(BOUND / 3)
        exchange.well()
        return
    _opened(exchange)
    exchange.pause(BOUND / 3)
    for event in exchange.events()[exchange.opening() :]:
        exchange.chunk(event)
    exchange.end_stream()


def _chunked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    return (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def _too_slow(exchange: Exchange) -> None:
    if exchange.streaming:
        _opened(exchange)
        exchange.drip(_chunked(itertools.repeat(exchange.ping())))
    else:
        exchange.start_stream("application/json")
        exchange.drip(_chunked(itertools.repeat(b" ")))


def _stall(exchange: Exchange) -> None:
    if exchange.streaming:
        _begun(exchange)
    else:
        _promised(exchange, 0.5)
    exchange.hold()


def _drip(exchange: Exchange) -> None:
    if exchange.streaming:
        _begun(exchange)
        exchange.drip(_chunked(itertools.repeat(exchange.first_pieces()[-1])))
    else:
        exchange.head(content_type="application/json", content_length="1000000")
        exchange.drip(itertools.repeat(b" "))


def _drip_of_nothing(exchange: Exchange) -> None:
    if exchange.streaming:
        _begun(exchange)
        exchange.drip(_chunked(itertools.repeat(exchange.ping())))
    else:
        exchange.drip(itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"X-Wait: 1\r\n")))


def _cut(exchange: Exchange) -> None:
    if exchange.streaming:
        _begun(exchange)
        event = exchange.events()[exchange.opening() + 3]
        exchange.raw(b"%x\r\n%b" % (len(event), event[: len(event) // 2]))
    else:
        _promised(exchange, 0.5)
    exchange.reset()


def _cut_early(exchange: Exchange) -> None:
    if exchange.streaming:
        _opened(exchange)
        exchange.raw(b"ff\r\ndata: {")
    else:
        _promised(exchange, 0)
    exchange.reset()


def _eof(exchange: Exchange) -> None:
    if exchange.streaming:
        _begun(exchange)
        exchange.end_stream()
        return
    body = exchange.body()
    exchange.head(content_type="application/json", connection="close")
    exchange.raw(body[: len(body) // 2])
    exchange.reset()  # without a promised length, this ends the answer


def _eof_early(exchange: Exchange) -> None:
    if exchange.streaming:
        _opened(exchange)
        exchange.end_stream()
    else:
        exchange.answer(b"")


def _put_in(event: Callable[[Exchange], bytes], body: Callable[[Exchange], bytes], *, early: bool) -> Play:
    def play(exchange: Exchange) -> None:
        if not exchange.streaming:
            exchange.answer(body(exchange))
            return
        (_opened if early else _begun)(exchange)
        exchange.chunk(event(exchange))
        exchange.end_stream()

    return play


def _no_json(exchange: Exchange) -> bytes:
    return sse('{"broken": ', "content_block_delta" if exchange.anthropic else None)


def _garbage_inside(exchange: Exchange) -> None:
    """Send an unreadable event, then the rest of the answer."""
    if not exchange.streaming:
        exchange.answer(exchange.body()[1:])
        return
    _begun(exchange)
    exchange.chunk(_no_json(exchange))
    for event in exchange.events()[exchange.opening() + 4 :]:
        exchange.chunk(event)
    exchange.end_stream()


def _no_event(exchange: Exchange) -> bytes:
    """Return an event whose JSON is not a delta."""
    return sse({"type": "content_block_delta"}, "content_block_delta") if exchange.anthropic else sse({"choices": 3})


def _error_event(exchange: Exchange) -> bytes:
    return exchange.vendor.error_event()


def _error_object(exchange: Exchange) -> bytes:
    return json.dumps(exchange.vendor.error_body(Fault(error="overloaded"))).encode()


_PAGE = b"<!doctype html><title>Sign in</title><p>Sign in to use this network."


def _page(exchange: Exchange) -> None:
    exchange.answer(_PAGE, kind="text/html")


def _other_kind(exchange: Exchange) -> None:
    if exchange.streaming:
        exchange.answer(exchange.body())
        return
    exchange.start_stream()
    for event in exchange.events():
        exchange.chunk(event)
    exchange.end_stream()


def _usage_doubled(exchange: Exchange) -> None:
    if not exchange.streaming:
        exchange.well()
        return
    exchange.start_stream()
    for event in exchange.events():
        exchange.chunk(event)
        if (b"message_delta" if exchange.anthropic else b'"usage"') in event:
            exchange.chunk(event)
    exchange.end_stream()


def _usage_late(exchange: Exchange) -> None:
    """Send the counts after the event that ends a stream, or omit them from a whole answer."""
    if not exchange.streaming:
        body = exchange.vendor.whole(exchange.request)
        if not exchange.anthropic:  # which requires it in every answer
            body.pop("usage")
        exchange.answer(json.dumps(body).encode())
        return
    events = exchange.events()
    exchange.start_stream()
    for event in [*events[:-2], events[-1], events[-2]]:
        exchange.chunk(event)
    exchange.end_stream()


# --- The cases --------------------------------------------------------------------------------------------------------

_AGAIN = "One retry at the same model, then the next model. Without a next model: that error, after 2 requests."
_ONCE = "One request, then the next model. Without a next model: that error, after 1 request."
_NEVER = "One request and that error. No fallback."
_PARTIAL = "Streamed: StreamInterruptedError or its child, with the pieces as `.partial`; one request; no piece twice."
_WAITS = {"first_token": BOUND, "between_chunks": AMPLE, "attempt": BOUND, "total": AMPLE}


def _same(fault: str, name: str, play: Play | None, ending: Ending, criterion: str) -> Case:
    return Case(fault=fault, name=name, play=play, whole=ending, stream=ending, criterion=criterion)


def _connections() -> Iterator[Case]:
    criterion = f"ProviderConnectionError. {_AGAIN}"
    yield _same("refuse", "a closed port", None, LOST, criterion)
    yield _same("reset before headers", "closed", Exchange.reset, LOST, criterion)


def _rates() -> Iterator[Case]:
    forms: list[tuple[str, Play, tuple[float, float]]] = [
        ("Retry-After: 2", _rate(lambda: "2"), (2, 2.1)),
        ("Retry-After: 1.5", _rate(lambda: "1.5"), (1.5, 1.6)),
        # A date has whole seconds, and some pass before the client reads it.
        ("Retry-After: a date", _rate(lambda: formatdate(time.time() + 30, usegmt=True)), (10, 30.1)),
        ("Retry-After: a past date", _rate(lambda: formatdate(time.time() - 60, usegmt=True)), (0, 0.1)),
        ("retry-after-ms: 1200", _rate(lambda: "1200", "retry-after-ms"), (1.2, 1.3)),
    ]
    limited = _status(429, "RateLimitError")
    for name, play, asked in forms:
        criterion = f"RateLimitError; the wait is the requested time. {_AGAIN}"
        yield _same("429", name, play, replace(limited, asked=asked), criterion)
    never = replace(limited, again=False, asked=(3600, 3600))
    yield _same("429", "Retry-After: 3600", _rate(lambda: "3600"), never, f"RateLimitError without a wait. {_ONCE}")


def _statuses() -> Iterator[Case]:
    for status in (500, 502, 503, 529):
        yield _same("5xx", str(status), _error(status), _status(status, "ServerError"), f"ServerError. {_AGAIN}")
    kinds = {
        400: "BadRequestError",
        401: "AuthenticationError",
        402: "PermissionDeniedError",
        403: "PermissionDeniedError",
        404: "NotFoundError",
        422: "BadRequestError",
    }
    for status, kind in kinds.items():
        elsewhere = status not in {400, 422}
        ending = _status(status, kind, again=False, elsewhere=elsewhere)
        yield _same("4xx", str(status), _error(status), ending, f"{kind}. {_ONCE if elsewhere else _NEVER}")
    long = _by_vendor(
        _error(400, message="This model's maximum context length is 8 tokens.", code="context_length_exceeded"),
        _error(400, message="prompt is too long: 210000 tokens > 200000 maximum", code="too_long"),
    )
    criterion = f"ContextWindowError; the next model may be larger. {_ONCE}"
    yield _same("4xx", "context window", long, _status(400, "ContextWindowError", again=False), criterion)
    filtered = _by_vendor(
        _error(400, message="Rejected as a result of the safety system.", code="content_policy_violation"),
        _error(400, message="Output blocked by content filtering policy", code="filtered"),
    )
    ending = _status(400, "ContentFilterError", again=False, elsewhere=False)
    yield _same("4xx", "content filter", filtered, ending, f"ContentFilterError. {_NEVER}")


def _waits() -> Iterator[Case]:
    late = f"ProviderTimeoutError after the bound; the connection is closed. {_AGAIN}"

    def silent(fault: str, name: str, play: Play) -> Case:
        return Case(fault=fault, name=name, play=play, whole=LATE, stream=LATE, criterion=late, timeouts=_WAITS)

    def broken(fault: str, name: str, play: Play, timeouts: dict[str, float]) -> Case:
        criterion = f"{_PARTIAL} Whole: {late}"
        return Case(
            fault=fault, name=name, play=play, whole=LATE, stream=BROKEN, criterion=criterion, timeouts=timeouts
        )

    yield silent("hang before headers", "nothing is sent", Exchange.hold)
    yield silent("headers then silence", "headers alone", _silence)
    ample = {"first_token": AMPLE, "between_chunks": AMPLE, "attempt": AMPLE, "total": AMPLE}
    within = _same("slow first token", "within its bound", _slow, GOOD, "The answer, by one request.")
    yield replace(within, timeouts=ample)
    yield silent("slow first token", "keep-alives and no token", _too_slow)
    gap = {**ample, "between_chunks": BOUND, "attempt": BOUND}
    # The limit between two chunks does not end these: the total does.
    total = {**ample, "attempt": BOUND, "total": BOUND}
    yield broken("stall", "silence between two chunks", _stall, gap)
    yield broken("stall", "silence beyond the total deadline", _stall, total)
    yield broken("drip", "pieces without end", _drip, total)
    yield broken("drip", "keep-alives, or header lines, without end", _drip_of_nothing, total)


def _breaks() -> Iterator[Case]:
    partial = f"{_PARTIAL} Whole: the answer is unreadable. {_AGAIN}"
    early = f"Nothing was delivered yet: an ordinary failure. {_AGAIN}"

    def case(fault: str, name: str, play: Play, whole: Ending = UNREADABLE, stream: Ending = BROKEN) -> Case:
        criterion = partial if stream.delivered else early
        return Case(fault=fault, name=name, play=play, whole=whole, stream=stream, criterion=criterion)

    yield case("cut mid-chunk", "after some pieces", _cut, LOST)
    yield case("cut mid-chunk", "before the first piece", _cut_early, LOST, LOST)
    yield case("clean EOF without finish reason", "after some pieces", _eof)
    yield case("clean EOF without finish reason", "before the first piece", _eof_early, stream=EMPTY)
    malformed = "malformed JSON or event"
    yield case(malformed, "no JSON, after some pieces", _put_in(_no_json, lambda _: b'{"broken": ', early=False))
    yield case(malformed, "no JSON in place of a piece", _garbage_inside)
    play = _put_in(_no_json, lambda _: b"[1, 2", early=True)
    yield case(malformed, "no JSON, before the first piece", play, stream=EMPTY)
    play = _put_in(_no_event, lambda _: b"[]", early=True)
    yield case(malformed, "JSON of another type", play, stream=UNREADABLE)
    said: frozenset[int | None] = frozenset({None, 500, 529})  # a status may stand in the event
    play = _put_in(_error_event, _error_object, early=False)
    yield case("in-band error event", "after some pieces", play, stream=replace(BROKEN, statuses=said))
    play = _put_in(_error_event, _error_object, early=True)
    yield case("in-band error event", "before the first piece", play, stream=replace(UNREADABLE, statuses=said))
    yield case("wrong content type", "a web page", _page, stream=EMPTY)
    name = "a stream instead of a whole answer, or the reverse"
    reverse = case("wrong content type", name, _other_kind, stream=EMPTY)
    yield replace(reverse, readable=True)  # some servers ignore `stream` and send the whole answer


def _counts() -> Iterator[Case]:
    criterion = "The answer, by one request; no token counts twice."
    yield _same("doubled or late usage", "doubled", _usage_doubled, GOOD, criterion)
    late = _same("doubled or late usage", "after the end, or missing", _usage_late, GOOD, criterion)
    yield replace(late, criterion=f"{criterion} Unknown counts give no cost.", uncounted=True)


CASES = (*_connections(), *_rates(), *_statuses(), *_waits(), *_breaks(), *_counts())
FAULTS = tuple(dict.fromkeys(case.fault for case in CASES))

# --- A call that meets a case -----------------------------------------------------------------------------------------

SETUPS = ("retry", "fallback", "alone")
"""retry: the fault passes after one request. fallback: it stays, with another model. alone: it stays, without one."""
WAYS = ("chat", "achat", "stream", "astream")
ROUTES = ("openai", "anthropic")
TOOLS = [
    {"type": "function", "function": {"name": name, "description": name, "parameters": {"type": "object"}}}
    for name in ("find", "pay")
]
"""The tools of a call with tools."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One call: a case under one set-up, in one way of calling."""

    case: Case
    setup: str
    way: str
    route: str
    tools: bool = False
    patience: int = 1

    @property
    def key(self) -> str:
        """Return the name, which is also the prompt."""
        tools = "tools" if self.tools else "text"
        return f"{self.case.key} / {self.setup} / {self.way} / {self.route} / {tools} / {self.patience}"

    @property
    def bounds(self) -> dict[str, float]:
        """Return the time-outs of the call in seconds."""
        bounds = self.case.bounds(streaming=self.streaming)
        return {name: seconds * self.patience for name, seconds in bounds.items()}

    @property
    def streaming(self) -> bool:
        """Tell whether the answer comes in pieces."""
        return "stream" in self.way

    @property
    def ending(self) -> Ending:
        """Return the end of an attempt at the first model while the fault stays."""
        return self.case.ending(streaming=self.streaming)

    def scene(self) -> Scene:
        """Return a new scene for the server."""
        plays = () if self.case.play is None else (self.case.play,)
        return Scene(plays=plays, persistent=self.setup != "retry")


@dataclass(frozen=True, kw_only=True)
class Want:
    """The required result of a cell.

    Attributes:
        served: Who answers, "first" or "second", or None for an error.
        errors: The allowed errors.
        asked: Number of requests that each provider gets.
        failures: Number of failed attempts at the first.
    """

    served: str | None
    errors: frozenset[str]
    asked: tuple[int, int]
    failures: int


def want(cell: Cell) -> Want:
    """Return the required result of a cell."""
    ending = cell.ending
    if not ending.errors:
        return Want(served="first", errors=frozenset(), asked=(1, 0), failures=0)
    reached = cell.case.play is not None
    if cell.setup == "retry" and ending.again:
        return Want(served="first", errors=frozenset(), asked=(2, 0), failures=1)
    tries = ATTEMPTS if ending.again else 1
    if cell.setup == "fallback" and ending.elsewhere:
        return Want(served="second", errors=frozenset(), asked=(tries * reached, 1), failures=tries)
    return Want(served=None, errors=ending.errors, asked=(tries * reached, 0), failures=tries)


def every_cell() -> list[Cell]:
    """Return the whole cross product, without retries of a closed port, which stays closed."""
    return [
        Cell(case=case, setup=setup, way=way, route=route, tools=tools)
        for case in CASES
        for setup in SETUPS
        for way in WAYS
        for route in ROUTES
        for tools in (False, True)
        if not (setup == "retry" and case.play is None)
    ]


def some_cells() -> list[Cell]:
    """Return every case under every set-up in every way; routes and tools alternate."""
    return [
        Cell(
            case=case,
            setup=setup,
            way=way,
            route=ROUTES[(number + turn // 2 + at) % 2],
            tools=bool((number + turn + at) % 2),
        )
        for number, case in enumerate(CASES)
        for turn, way in enumerate(WAYS)
        for at, setup in enumerate(SETUPS)
        if not (setup == "retry" and case.play is None)
    ]
