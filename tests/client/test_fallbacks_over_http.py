"""Fallback from one model to another, with real servers on loopback that count their requests."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import Callable, Iterator

import pytest
from anthropic_server import AnthropicServer
from loopback import Fault, Reply
from openai_server import OpenAIServer

import llmops_sdk as llmops

LONG = Fault(status=400, error="This model's maximum context length is 8 tokens.", code="context_length_exceeded")
FILTERED = Fault(
    status=400, error="Your request was rejected as a result of the safety system.", code="content_policy_violation"
)
Way = Callable[..., llmops.Response]


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """The server of the model that is asked first, `openai/gpt-x`, by its name "smart"."""
    monkeypatch.setenv("OPENAI_API_KEY", uuid.uuid4().hex)
    with OpenAIServer(Reply(text="From the first.")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnthropicServer]:
    """The server of its fallback, `anthropic/claude-sonnet-4-5`."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", uuid.uuid4().hex)
    with AnthropicServer(Reply(text="From the second.")) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        yield server


@pytest.fixture(params=["chat", "achat", "stream", "astream"])
def ask(request: pytest.FixtureRequest) -> Way:
    """Each of the four ways to a whole answer of the model "smart"; the async ones in a loop of their own."""

    def chat(**options: object) -> llmops.Response:
        return llmops.chat("Hi", **options)

    def stream(**options: object) -> llmops.Response:
        chunks = llmops.stream("Hi", **options)
        assert "".join([chunk.text for chunk in chunks]) == chunks.response.text
        return chunks.response

    async def achat(**options: object) -> llmops.Response:
        async with llmops.LLM() as model:
            return await model.achat("Hi", **options)

    async def astream(**options: object) -> llmops.Response:
        async with llmops.LLM() as model:
            chunks = model.astream("Hi", **options)
            assert "".join([chunk.text async for chunk in chunks]) == chunks.response.text
            return chunks.response

    sync = {"chat": chat, "stream": stream}.get(request.param)
    if sync is not None:
        return lambda **options: sync(model="smart", **options)
    twin = {"achat": achat, "astream": astream}[request.param]
    return lambda **options: asyncio.run(twin(model="smart", **options))


def configure(**options: object) -> None:
    smart = {"model": "openai/gpt-x", "fallbacks": ["anthropic/claude-sonnet-4-5"]} | options.pop("smart", {})
    llmops.configure(models={"smart": smart}, **{"retry": {"attempts": 2, "base": 0.001}, **options})


@pytest.mark.parametrize(
    ("fault", "tries"),
    [
        (Fault(status=503), 2),
        (Fault(drop=True), 2),
        (Fault(status=429, headers={"retry-after": "3600"}), 1),
        (Fault(status=401), 1),
        (Fault(status=403), 1),
        (Fault(status=404), 1),
        (LONG, 1),
    ],
    ids=["503", "reset", "429", "401", "403", "404", "too-long"],
)
def test_the_second_model_answers_after_a_failure_of_the_first(ask, first, second, rows, fault, tries):
    first.faults.extend([fault] * tries)
    configure()
    response = ask()
    assert (response.text, response.provider) == ("From the second.", "anthropic")
    assert response.model.endswith("claude-sonnet-4-5-served")
    assert (len(first.requests), len(second.requests)) == (tries, 1)
    assert [one.number for one in response.attempts] == list(range(1, tries + 2))
    (call,) = rows("SELECT provider, request_model, model, attempts, status, simulated, input_tokens FROM llm_calls")
    assert (call["provider"], call["request_model"]) == ("anthropic", "gpt-x")
    assert (call["model"], call["attempts"], call["status"]) == (response.model, tries + 1, "ok")
    assert (bool(call["simulated"]), call["input_tokens"]) == (False, 11)
    found = rows("SELECT attempt, provider, model, status, status_code, reason FROM attempts ORDER BY attempt")
    one = {"provider": "openai", "model": "gpt-x", "status": "error", "status_code": fault.status}
    assert found == [
        *({"attempt": n, **one, "reason": "retry" if n > 1 else "first"} for n in range(1, tries + 1)),
        {
            "attempt": tries + 1,
            "provider": "anthropic",
            "model": "claude-sonnet-4-5",
            "status": "ok",
            "status_code": None,
            "reason": "fallback",
        },
    ]


@pytest.mark.parametrize("ask", ["stream", "astream"], indirect=True)
@pytest.mark.parametrize("held", [0, 1], ids=["headers alone", "an event without text"])
def test_a_stream_that_hangs_before_its_first_chunk_falls_back(ask, first, second, held):
    first.faults.append(Fault(hold_after=held))
    configure(retry={"attempts": 1}, timeout={"first_token": 0.3})
    response = ask()
    assert (response.text, response.provider) == ("From the second.", "anthropic")
    assert [one.error_type for one in response.attempts] == ["ProviderTimeoutError", None]
    assert (len(first.requests), len(second.requests)) == (1, 1)


def test_a_refused_connection_falls_back(ask, first, second):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configure(smart={"base_url": f"http://127.0.0.1:{port}/v1"})
    response = ask()
    assert response.text == "From the second."
    assert [one.error_type for one in response.attempts] == ["ProviderConnectionError"] * 2 + [None]
    assert (len(first.requests), len(second.requests)) == (0, 1)


def test_a_missing_key_falls_back(ask, first, second, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    configure()
    response = ask()
    assert response.text == "From the second."
    assert [one.error_type for one in response.attempts] == ["AuthenticationError", None]
    assert (len(first.requests), len(second.requests)) == (0, 1)


@pytest.mark.parametrize(
    ("fault", "error", "policy"),
    [
        (Fault(status=400), llmops.BadRequestError, {}),
        (Fault(status=422), llmops.BadRequestError, {}),
        (FILTERED, llmops.ContentFilterError, {}),
        (LONG, llmops.ContextWindowError, {"context_window": False}),
    ],
    ids=["400", "422", "filtered", "too-long"],
)
def test_errors_of_the_request_itself_do_not_fall_back(ask, first, second, fault, error, policy):
    first.faults.append(fault)
    configure(fallback=policy)
    with pytest.raises(error) as caught:
        ask()
    assert len(caught.value.attempts) == 1
    assert (len(first.requests), len(second.requests)) == (1, 0)


def test_a_content_filter_falls_back_only_when_configured(ask, first, second):
    first.faults.append(FILTERED)
    configure(smart={"fallback": {"content_filter": True}})
    assert ask().text == "From the second."


def test_when_both_fail_the_error_has_every_attempt(ask, first, second, rows):
    first.faults.extend([Fault(status=503)] * 2)
    second.faults.append(Fault(status=401))
    configure()
    with pytest.raises(llmops.AuthenticationError) as caught:
        ask()
    error = caught.value
    assert [(one.number, one.provider, one.status_code) for one in error.attempts] == [
        (1, "openai", 503),
        (2, "openai", 503),
        (3, "anthropic", 401),
    ]
    assert error.provider == "anthropic"
    assert "openai/gpt-x failed with ServerError" in "".join(error.__notes__)
    assert (len(first.requests), len(second.requests)) == (2, 1)
    assert rows("SELECT status, attempts FROM llm_calls") == [{"status": "error", "attempts": 3}]


def test_the_retry_option_applies_to_each_model(ask, first, second):
    first.faults.extend([Fault(status=503)] * 9)
    second.faults.extend([Fault(status=503)] * 9)
    configure()
    with pytest.raises(llmops.ServerError):
        ask(retry=False)
    assert (len(first.requests), len(second.requests)) == (1, 1)
    with pytest.raises(llmops.ServerError):
        ask(retry={"attempts": 3})
    assert (len(first.requests), len(second.requests)) == (4, 4)


def test_a_vendors_parameters_stay_with_the_vendor(ask, first, second):
    first.faults.extend([Fault(status=503)] * 2)
    configure()
    assert ask(extra={"vendor_option": 1}, temperature=0.5, max_tokens=7).text == "From the second."
    assert first.requests[0].body["vendor_option"] == 1
    body = second.requests[0].body
    assert (body.get("vendor_option"), body["temperature"], body["max_tokens"]) == (None, 0.5, 7)


@pytest.mark.parametrize("sync", [True, False])
def test_a_stream_that_broke_after_its_first_piece_stays_broken(first, second, sync, rows):
    first.faults.append(Fault(cut_after=3))
    configure()

    got: list[str] = []

    def read() -> None:
        got.extend(chunk.text for chunk in llmops.stream("Hi", model="smart"))

    async def aread() -> None:
        async with llmops.LLM() as model:
            async for chunk in model.astream("Hi", model="smart"):
                got.append(chunk.text)  # noqa: PERF401 - what came before the error is what is tested

    with pytest.raises(llmops.StreamInterruptedError):
        read() if sync else asyncio.run(aread())
    assert "From the first.".startswith("".join(got))
    assert got
    assert second.requests == []
    assert [row["provider"] for row in rows("SELECT provider FROM attempts")] == ["openai"]


def test_an_answer_of_the_fallback_is_not_cached(ask, first, second, rows):
    configure(cache={"exact": True})
    first.faults.extend([Fault(status=401)] * 2)
    assert [ask().text for _ in range(2)] == ["From the second."] * 2
    assert [(one.text, one.cache) for one in (ask(), ask())] == [
        ("From the first.", None),
        ("From the first.", "exact"),
    ]
    first.faults.append(Fault(status=401))
    assert ask().cache == "exact"
    assert (len(first.requests), len(second.requests)) == (3, 2)
    decisions = rows("SELECT decision, reason FROM cache_lookups")
    assert [row["reason"] for row in decisions] == ["fallback", "fallback", None, None, None]


def test_guards_and_types_apply_to_the_fallback(first, second, rows):
    card = "4111" + " 1111" * 3
    first.faults.append(Fault(status=401))
    second.reply = Reply(text=f'{{"number": "{card}"}}')
    configure(guardrails={"input": ["cards"], "output": ["cards"]})
    answer = llmops.chat(f"Charge {card}", model="smart", response_model=dict[str, str])
    assert card not in str(second.requests[0].body)
    assert card not in answer.parsed["number"]
    assert len(rows("SELECT * FROM llm_calls")) == 1


def test_fallbacks_work_for_the_default_model_and_by_name(first, second):
    first.faults.extend([Fault(status=401)] * 2)
    llmops.configure(
        model="openai/gpt-x",
        fallbacks=["spare"],
        models={
            "spare": {"model": "openai/gpt-y", "fallbacks": ["last"]},
            "last": {"model": "anthropic/claude-sonnet-4-5"},
        },
    )
    answer = llmops.chat("Hi")
    assert answer.text == "From the second."
    assert [one.model for one in answer.attempts] == ["gpt-x", "gpt-y", "claude-sonnet-4-5"]
    assert [one.body["model"] for one in first.requests] == ["gpt-x", "gpt-y"]


def test_a_real_answer_after_a_simulated_one_is_not_simulated(ask, first, second, rows):
    outage = {"failures": {"rate": 1.0, "errors": ["server"]}}
    configure(smart={"model": "offline/echo", "options": outage})
    assert ask().simulated is False
    assert [bool(row["simulated"]) for row in rows("SELECT simulated FROM llm_calls")] == [False]
    configure(smart={"model": "openai/gpt-x", "fallbacks": ["offline/echo"]})
    first.faults.append(Fault(status=401))
    assert ask().simulated is True
    found = rows("SELECT provider, simulated FROM llm_calls ORDER BY start_ns")
    assert (found[1]["provider"], found[1]["simulated"]) == ("offline", True)


def test_vectors_come_from_the_model_asked_for(first, second):
    first.faults.append(Fault(status=401))
    configure()
    with pytest.raises(llmops.AuthenticationError):
        llmops.embed(["a"], model="smart")
    assert second.requests == []


async def test_leaving_a_fallback_stream_closes_its_connection(first, second):
    first.faults.extend([Fault(status=401)] * 2)
    second.faults.extend([Fault(hold_after=4), Fault(hold_after=4)])
    configure()
    with llmops.stream("Hi", model="smart") as stream:
        next(stream)
    assert second.left.wait(10)
    second.left.clear()
    async with llmops.LLM() as model, model.astream("Hi", model="smart") as twin:
        await anext(twin)
    assert second.left.wait(10)
