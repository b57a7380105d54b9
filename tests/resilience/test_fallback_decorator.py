"""`@fallback` on every kind of callable."""

from __future__ import annotations

import asyncio
import functools
import inspect
import traceback

import pytest

from llmops_sdk.caching import cache
from llmops_sdk.errors import AuthenticationError, BadRequestError, ContextWindowError, RateLimitError, ServerError
from llmops_sdk.guardrails import guard
from llmops_sdk.resilience import fallback, retry
from llmops_sdk.tracing import span


@pytest.fixture
def events():
    with span("test") as one:
        yield lambda kind: [dict(event[2]) for event in one._events or () if event[0] == kind]


class Made:
    """Three callables of one kind; each fails with its error, or gives its number and what it was called with."""

    def __init__(self, kind, *errors):
        self.calls = []
        self.functions = [self._make(kind, number, error) for number, error in enumerate(errors)]

    def _make(self, kind, number, error):
        def work(question, polite=True):
            self.calls.append((number, question, polite))
            if error is not None:
                raise error
            return number

        async def coroutine(question, polite=True):
            return work(question, polite)

        def generator(question, polite=True):
            yield work(question, polite)

        async def asyncgen(question, polite=True):
            yield work(question, polite)

        return {"function": work, "coroutine": coroutine, "generator": generator, "asyncgen": asyncgen}[kind]


def result(decorated, *args, **kwargs):
    """What any kind of callable gives, or the first item of it."""
    given = decorated(*args, **kwargs)
    if inspect.iscoroutine(given):

        async def wait():
            return await given

        return asyncio.run(wait())
    if inspect.isgenerator(given):
        (item,) = given
        return item
    if inspect.isasyncgen(given):

        async def collect():
            return [item async for item in given]

        (item,) = asyncio.run(collect())
        return item
    return given


KINDS = ("function", "coroutine", "generator", "asyncgen")


@pytest.mark.parametrize("kind", KINDS)
def test_the_others_are_called_in_order_with_the_same_arguments(kind, events):
    made = Made(kind, TimeoutError("slow"), RateLimitError("busy", status_code=429), None)
    first, *others = made.functions
    assert result(fallback(*others)(first), "Why?", polite=False) == 2
    assert made.calls == [(number, "Why?", False) for number in range(3)]
    names = [one.__qualname__ for one in made.functions]
    assert events("llmops.fallback") == [
        {"from": names[0], "to": names[1], "error_type": "TimeoutError"},
        {"from": names[1], "to": names[2], "error_type": "RateLimitError", "status_code": 429},
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_while_the_first_succeeds_no_other_is_called(kind, events):
    made = Made(kind, None, None)
    assert result(fallback(made.functions[1])(made.functions[0]), "Why?") == 0
    assert made.calls == [(0, "Why?", True)]
    assert events("llmops.fallback") == []


@pytest.mark.parametrize("kind", KINDS)
def test_when_all_fail_the_last_error_is_raised_and_tells_of_the_others(kind):
    last = ServerError("down too")
    made = Made(kind, ConnectionResetError("reset"), last)
    decorated = fallback(made.functions[1])(made.functions[0])
    for _ in range(2):
        with pytest.raises(ServerError) as caught:
            result(decorated, "Why?")
        assert caught.value is last
    text = "".join(traceback.format_exception(last))
    assert text.count("failed with ConnectionResetError: reset") == 1


class VendorError(Exception):
    def __init__(self, status):
        super().__init__(f"HTTP {status}")
        self.status_code = status


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("error", "goes_on"),
    [
        (ConnectionRefusedError("refused"), True),
        (AuthenticationError("no key"), True),
        (ContextWindowError("long"), True),
        *((VendorError(status), True) for status in (401, 402, 403, 404, 408, 429, 500, 529)),
        *((VendorError(status), False) for status in (400, 409, 422)),
        (BadRequestError("bad"), False),
        (ValueError("a bug"), False),
        (KeyboardInterrupt(), False),
    ],
    ids=str,
)
def test_which_errors_go_on(kind, error, goes_on):
    made = Made(kind, error, None)
    decorated = fallback(made.functions[1])(made.functions[0])
    if goes_on:
        assert result(decorated, "Why?") == 1
    else:
        with pytest.raises(type(error)) as caught:
            result(decorated, "Why?")
        assert caught.value is error
        assert len(made.calls) == 1


@pytest.mark.parametrize(
    ("on", "goes_on"),
    [(ValueError, True), ((KeyError, ValueError), True), (KeyError, False), (lambda error: "bug" in str(error), True)],
)
def test_on_says_what_goes_on(on, goes_on):
    made = Made("function", ValueError("bug"), None)
    decorated = fallback(made.functions[1], on=on)(made.functions[0])
    if goes_on:
        assert decorated("Why?") == 1
    else:
        with pytest.raises(ValueError, match="bug"):
            decorated("Why?")


def test_on_never_catches_an_interrupt():
    made = Made("function", KeyboardInterrupt(), None)
    with pytest.raises(KeyboardInterrupt):
        fallback(made.functions[1], on=BaseException)(made.functions[0])("Why?")


# --- Others of another kind ------------------------------------------------------------------------------------------


def test_plain_functions_stand_in_for_every_kind():
    coroutine, generator, asyncgen = (Made(kind, TimeoutError()).functions[0] for kind in KINDS[1:])
    assert result(fallback(lambda question: f"{question}!")(coroutine), "Why") == "Why!"
    assert result(fallback(lambda question: [f"{question}!"])(generator), "Why") == "Why!"
    assert result(fallback(lambda question: [f"{question}!"])(asyncgen), "Why") == "Why!"


def test_plain_functions_may_give_what_is_awaited_or_iterated():
    good = [Made(kind, None).functions[0] for kind in KINDS]
    bad = [Made(kind, TimeoutError()).functions[0] for kind in KINDS]
    assert result(fallback(lambda question: good[1](question))(bad[1]), "Why?") == 0
    assert result(fallback(lambda question: good[3](question))(bad[3]), "Why?") == 0


@pytest.mark.parametrize(
    ("first", "other"),
    [("function", "coroutine"), ("function", "generator"), ("generator", "asyncgen"), ("coroutine", "asyncgen")],
)
def test_another_kind_is_refused_when_decorating(first, other):
    with pytest.raises(TypeError, match="of the same style"):
        fallback(Made(other, None).functions[0])(Made(first, None).functions[0])


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="at least one"):
        fallback()
    with pytest.raises(TypeError, match="functions"):
        fallback("openai/gpt-4.1")(lambda: None)
    with pytest.raises(TypeError):
        fallback(lambda: None)("ask")


# --- Its face --------------------------------------------------------------------------------------------------------


def module_level(question: str, *, polite: bool = True) -> str:
    """Doc."""
    return f"{question} {polite}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_and_the_signature_are_kept(kind):
    made = Made(kind, None, None)
    first, other = made.functions
    decorated = fallback(other)(first)
    assert inspect.signature(decorated) == inspect.signature(first)
    assert (decorated.__name__, decorated.__qualname__) == (first.__name__, first.__qualname__)
    checks = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    assert [check(decorated) for check in checks] == [check(first) for check in checks]


def test_names_and_documentation_are_kept():
    decorated = fallback(module_level)(module_level)
    assert decorated("Why?", polite=False) == "Why? False"
    assert (decorated.__name__, decorated.__doc__) == ("module_level", "Doc.")


def test_methods_of_every_kind():
    class Client:
        answer = "spare"

        def spare(self, question):
            return self.answer, question

        @fallback(spare)
        def ask(self, question):
            raise TimeoutError

        @classmethod
        def other(cls, question) -> tuple:
            return cls.__name__, question

        @fallback(other)
        @classmethod
        def build(cls, question) -> tuple:
            raise TimeoutError(question)

        @staticmethod
        @fallback(module_level)
        def static(question) -> str:
            raise TimeoutError(question)

    client = Client()
    assert client.ask("Why?") == ("spare", "Why?")
    assert (Client.build("Why?"), client.build("Why?")) == (("Client", "Why?"),) * 2
    assert (Client.static("Why?"), client.static("Why?")) == ("Why? True",) * 2


def test_a_callable_object_and_a_partial(events):
    class Ask:
        def __call__(self, question):
            raise TimeoutError

    assert fallback(functools.partial(module_level, polite=False))(Ask())("Why?") == "Why? False"
    assert events("llmops.fallback")[0]["to"] == "partial"


# --- Generators ------------------------------------------------------------------------------------------------------


def test_after_the_first_item_there_is_no_other():
    called, closed = [], []

    def other():
        called.append(1)
        yield "Twice"

    @fallback(other)
    def words():
        try:
            yield "Once"
            raise TimeoutError("cut")
        finally:
            closed.append(1)

    got = words()
    assert next(got) == "Once"
    with pytest.raises(TimeoutError):
        next(got)
    assert (called, closed) == ([], [1])


async def test_after_the_first_item_there_is_no_other_async():
    called = []

    async def other():
        called.append(1)
        yield "Twice"

    @fallback(other)
    async def words():
        yield "Once"
        raise TimeoutError("cut")

    got = words()
    assert await anext(got) == "Once"
    with pytest.raises(TimeoutError):
        await anext(got)
    assert called == []


def test_send_close_and_return_reach_the_generator_that_serves():
    log = []

    def other():
        try:
            log.append((yield 1))
        finally:
            log.append("closed")
        return "end"

    @fallback(other)
    def talk():
        yield from ()
        raise ConnectionError

    def outer():
        log.append((yield from talk()))

    got = outer()
    assert next(got) == 1
    with pytest.raises(StopIteration):
        got.send("sent")
    assert log == ["sent", "closed", "end"]
    left = talk()
    next(left)
    left.close()
    assert log[-1] == "closed"


# --- Cancellation, and other policies --------------------------------------------------------------------------------


async def test_a_cancelled_call_calls_no_other():
    began, called = asyncio.Event(), []

    async def other():
        called.append(1)

    @fallback(other)
    async def ask():
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(ask())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert called == []


@pytest.mark.parametrize("outside", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_it_stacks_with_retry_in_any_order(kind, outside, clock, events):
    made = Made(kind, TimeoutError(), TimeoutError())
    first, other = made.functions
    again = retry(attempts=2, clock=clock)
    decorated = fallback(again(other))(again(first)) if outside else again(fallback(other)(first))
    with pytest.raises(TimeoutError):
        result(decorated, "Why?")
    assert [number for number, *_ in made.calls] == ([0, 0, 1, 1] if outside else [0, 1, 0, 1])
    assert len(events("llmops.attempt")) == (4 if outside else 2)
    assert len(events("llmops.fallback")) == (1 if outside else 2)


def test_it_stacks_with_the_cache_and_the_guards(tmp_path):
    asked = []

    def other(question: str) -> str:
        asked.append(question)
        return question

    card = "4111" + " 1111" * 3

    @guard(input=["cards"])
    @cache(path=tmp_path)
    @fallback(other)
    def ask(question: str) -> str:
        raise TimeoutError

    assert ask(f"My card {card}") == ask(f"My card {card}")
    assert len(asked) == 1
    assert card not in asked[0]


# --- The clients of vendors ------------------------------------------------------------------------------------------


async def test_a_vendors_client_that_cannot_connect():
    import socket

    import openai

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"

    def apologize(question: str) -> str:
        return f"Sorry: {question}"

    @fallback(apologize)
    def ask(question: str) -> str:
        with openai.OpenAI(api_key="-", base_url=url, max_retries=0) as client:
            client.responses.create(model="m", input=question)
        return "answered"

    @fallback(apologize)
    async def aask(question: str) -> str:
        async with openai.AsyncOpenAI(api_key="-", base_url=url, max_retries=0) as client:
            await client.responses.create(model="m", input=question)
        return "answered"

    assert ask("Why?") == await aask("Why?") == "Sorry: Why?"
