"""`@retry` on every style of callable."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from llmops_sdk.errors import ConfigError, RateLimitError, ServerError
from llmops_sdk.resilience import retry
from llmops_sdk.tracing import span


@pytest.fixture
def attempts():
    with span("test") as one:
        yield lambda: [dict(event[2]) for event in one._events or () if event[0] == "llmops.attempt"]


class Flaky:
    """Fails a number of times, then gives its name."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def kinds(flaky, clock, **options):
    """The same work as a function, coroutine, generator and async generator; each gives its first item or result."""
    decorator = retry(clock=clock, **options)

    @decorator
    def function():
        return flaky()

    @decorator
    async def coroutine():
        return flaky()

    @decorator
    def generator():
        yield flaky()

    @decorator
    async def asyncgen():
        yield flaky()

    def first():
        (item,) = generator()
        return item

    async def afirst():
        (item,) = [item async for item in asyncgen()]
        return item

    return {
        "function": function,
        "coroutine": lambda: asyncio.run(coroutine()),
        "generator": first,
        "asyncgen": lambda: asyncio.run(afirst()),
    }


KINDS = ("function", "coroutine", "generator", "asyncgen")


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_is_called_until_it_succeeds(kind, clock, attempts):
    flaky = Flaky(TimeoutError("slow"), RateLimitError("busy", status_code=429, retry_after=4.0))
    assert kinds(flaky, clock, attempts=3)[kind]() == "done"
    assert flaky.calls == 3
    assert clock.waits[1] == 4.0
    keys = ("attempt", "status", "error_type", "status_code", "retry_after", "reason")
    assert [tuple(one.get(key) for key in keys) for one in attempts()] == [
        (1, "error", "TimeoutError", None, None, "first"),
        (2, "error", "RateLimitError", 429, 4.0, "retry"),
        (3, "ok", None, None, None, "retry"),
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_number_of_attempts_is_the_given_one(kind, clock, count):
    errors = [ConnectionResetError(f"{n}") for n in range(9)]
    flaky = Flaky(*errors)
    with pytest.raises(ConnectionResetError) as caught:
        kinds(flaky, clock, attempts=count)[kind]()
    assert caught.value is errors[count - 1]
    assert flaky.calls == count


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [ValueError("bug"), OSError("disk full"), KeyboardInterrupt()])
def test_a_permanent_error_is_one_attempt(kind, clock, error, attempts):
    flaky = Flaky(error)
    with pytest.raises(type(error)) as caught:
        kinds(flaky, clock)[kind]()
    assert caught.value is error
    assert flaky.calls == 1
    assert [one["status"] for one in attempts()] == ["cancelled" if type(error) is KeyboardInterrupt else "error"]


@pytest.mark.parametrize(
    ("on", "again"),
    [(ValueError, True), ((KeyError, ValueError), True), (KeyError, False), (lambda error: "bug" in str(error), True)],
)
def test_on_decides_which_errors_are_retried(clock, on, again):
    flaky = Flaky(ValueError("bug"))
    call = kinds(flaky, clock, on=on)["function"]
    if again:
        assert call() == "done"
    else:
        with pytest.raises(ValueError, match="bug"):
            call()


def test_on_never_catches_an_interrupt(clock):
    flaky = Flaky(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        kinds(flaky, clock, on=BaseException)["function"]()
    assert flaky.calls == 1


def test_the_deadline_bounds_attempts_and_waits(clock):
    flaky = Flaky(*(RateLimitError("busy", retry_after=4.0) for _ in range(9)))
    with pytest.raises(RateLimitError):
        kinds(flaky, clock, attempts=9, deadline=10.0)["function"]()
    assert flaky.calls == 3
    assert clock.waits == [4.0, 4.0]


@pytest.mark.parametrize("bad", [{"attempts": 0}, {"attempts": 2.5}, {"base": 0}, {"max_wait": -1}, {"deadline": 0}])
def test_a_bad_bound_raises_a_config_error(bad):
    with pytest.raises(ConfigError) as caught:
        retry(**bad)
    assert caught.value.key.removeprefix("retry.") == next(iter(bad))


def module_level(x: int = 1) -> int:
    """Doc."""
    return x


decorated = retry(module_level)


def test_the_bare_decorator_keeps_name_and_signature():
    assert decorated(2) == 2
    assert inspect.signature(decorated) == inspect.signature(module_level)
    assert (decorated.__name__, decorated.__doc__) == ("module_level", "Doc.")
    assert not inspect.iscoroutinefunction(decorated)


def test_the_style_of_the_callable_is_kept():
    async def coroutine():
        pass

    def generator():
        yield

    async def asyncgen():
        yield

    assert inspect.iscoroutinefunction(retry(coroutine))
    assert inspect.isgeneratorfunction(retry(generator))
    assert inspect.isasyncgenfunction(retry(asyncgen))


def test_methods_of_every_style_are_retried(clock):
    again = retry(clock=clock)

    class Client:
        def __init__(self):
            self.flaky = Flaky(TimeoutError())

        @again
        def ask(self, x):
            return self.flaky(), x

        @classmethod
        @again
        def build(cls, x) -> tuple:
            return cls.__name__, x

        @again
        @classmethod
        def other(cls, x) -> tuple:
            return cls.__name__, x

        @again
        @staticmethod
        def static(x) -> int:
            return x

        @again
        async def aask(self):
            return self.flaky()

    client = Client()
    assert client.ask(1) == ("done", 1)
    assert (Client.build(2), client.other(3), Client.static(4), client.static(5)) == (
        ("Client", 2),
        ("Client", 3),
        4,
        5,
    )
    assert asyncio.run(Client().aask()) == "done"


def test_callable_objects_and_partials_are_retried(clock):
    import functools

    flaky = Flaky(TimeoutError())
    assert retry(clock=clock)(flaky)() == "done"
    assert retry(clock=clock)(functools.partial(module_level, x=7))() == 7
    with pytest.raises(TypeError):
        retry(clock=clock)(7)


# --- Generators ------------------------------------------------------------------------------------------------------


def test_after_the_first_item_nothing_is_replayed(clock):
    begun = []

    @retry(clock=clock)
    def words():
        begun.append(1)
        yield "Once"
        raise TimeoutError("cut")

    got = words()
    assert next(got) == "Once"
    with pytest.raises(TimeoutError):
        next(got)
    assert begun == [1]


def test_send_throw_close_and_return_reach_the_generator(clock):
    log = []

    @retry(clock=clock)
    def talk():
        try:
            log.append((yield 1))
            try:
                yield 2
            except KeyError:
                log.append("thrown")
            yield 3
        finally:
            log.append("closed")
        return "end"

    def outer():
        log.append((yield from talk()))

    got = outer()
    assert (next(got), got.send("sent"), got.throw(KeyError())) == (1, 2, 3)
    assert list(got) == []
    assert log == ["sent", "thrown", "closed", "end"]
    left = talk()
    next(left)
    left.close()
    assert log[-1] == "closed"


async def test_asend_athrow_and_aclose_reach_the_async_generator(clock):
    log = []

    @retry(clock=clock)
    async def talk():
        try:
            log.append((yield 1))
            try:
                yield 2
            except KeyError:
                log.append("thrown")
            yield 3
        finally:
            log.append("closed")

    got = talk()
    assert (await anext(got), await got.asend("sent"), await got.athrow(KeyError())) == (1, 2, 3)
    assert [item async for item in got] == []
    left = talk()
    await anext(left)
    await left.aclose()
    assert log == ["sent", "thrown", "closed", "closed"]


async def test_a_retried_generator_works_as_an_async_context_manager(clock):
    @contextlib.asynccontextmanager
    @retry(clock=clock)
    async def open_it():
        try:
            yield "open"
        except KeyError as error:
            raise ServerError("mapped") from error

    with pytest.raises(ServerError):
        async with open_it():
            raise KeyError


def test_an_empty_generator_stays_empty(clock):
    @retry(clock=clock)
    def nothing():
        return "end"
        yield

    def outer():
        return (yield from nothing())

    got = outer()
    with pytest.raises(StopIteration) as caught:
        next(got)
    assert caught.value.value == "end"


async def test_an_empty_async_generator_stays_empty(clock):
    @retry(clock=clock)
    async def nothing():
        return
        yield

    assert [item async for item in nothing()] == []


# --- Against a real server, with a client that knows nothing of us ---------------------------------------------------


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers = served.answers.pop(0)
            served.calls += 1
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args):
            pass

    served = HTTPServer(("127.0.0.1", 0), Handler)
    served.calls = 0
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


class VendorError(Exception):
    def __init__(self, response):
        super().__init__(f"HTTP {response.code}")
        self.status_code = response.code
        self.response = response


def get(server):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=30) as response:
            return response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            raise VendorError(error) from error


@pytest.mark.parametrize(
    ("answers", "calls", "waits"),
    [
        ([(503, {}), (529, {}), (200, {})], 3, None),
        ([(429, {"Retry-After": "7"}), (200, {})], 2, [7.0]),
        ([(429, {"retry-after-ms": "1500"}), (200, {})], 2, [1.5]),
        ([(408, {}), (200, {})], 2, None),
    ],
)
def test_a_vendors_transient_errors_are_retried(server, clock, answers, calls, waits):
    server.answers = answers
    assert retry(base=0.001, clock=clock)(get)(server) == "ok"
    assert server.calls == calls
    assert waits in (None, clock.waits)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422])
def test_a_vendors_permanent_errors_are_not_retried(server, clock, status, attempts):
    server.answers = [(status, {})]
    with pytest.raises(VendorError):
        retry(clock=clock)(get)(server)
    assert server.calls == 1
    assert attempts()[0]["status_code"] == status


def test_a_refused_connection_is_retried(clock):
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        address = closed.server_address
    calls = []

    @retry(attempts=2, clock=clock)
    def connect():
        import socket

        calls.append(1)
        with socket.create_connection(address, timeout=30):
            pass

    with pytest.raises(ConnectionRefusedError):
        connect()
    assert len(calls) == 2
