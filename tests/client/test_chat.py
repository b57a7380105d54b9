"""Whole answers: the response, its one span, and the errors for bad input."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

import llmops_sdk as llmops

FLAKY = {"model": "offline/echo", "options": {"failures": {"sequence": ["server", "rate_limit", "ok"]}}}


def test_chat_answers_with_the_default_model():
    answer = llmops.chat("Say hello")
    assert answer.text == "Say hello"
    assert answer.message == {"role": "assistant", "content": "Say hello"}
    assert answer.simulated
    assert answer.provider == "offline"
    assert answer.finish_reason == "stop"
    assert [attempt.reason for attempt in answer.attempts] == ["first"]
    assert answer.usage.output_tokens > 0


def test_one_span_per_call_has_question_and_answer(rows):
    llmops.configure(prices={"offline/echo": {"input": 1_000_000.0, "output": 2_000_000.0}})
    answer = llmops.chat(
        [{"role": "user", "content": "Say hello"}],
        system="Be brief.",
        temperature=0.5,
        max_tokens=50,
        top_p=0.9,
        stop="STOP",
        seed=7,
        n=1,
    )
    (span,) = rows("SELECT * FROM llm_calls")
    assert span["name"] == "chat echo"
    assert (span["kind"], span["status"], span["simulated"]) == ("llm", "ok", True)
    assert (span["trace_id"], span["span_id"]) == (answer.trace_id, answer.span_id)
    assert (span["operation"], span["provider"], span["request_model"]) == ("chat", "offline", "echo")
    assert span["model"] == answer.model
    assert (span["input_tokens"], span["output_tokens"]) == (answer.usage.input_tokens, answer.usage.output_tokens)
    assert span["cost"] == answer.cost == answer.usage.input_tokens + 2 * answer.usage.output_tokens
    assert span["finish_reason"] == "stop"
    assert span["attempts"] == 1
    assert span["cache"] is None
    assert span["ttft_ms"] is None
    sent = json.loads(span["input_messages"])
    assert [message["role"] for message in sent] == ["system", "user"]
    assert "Say hello" in span["input_messages"]
    assert "Say hello" in span["output_messages"]
    attributes = json.loads(span["attributes"])
    assert attributes["gen_ai.request.temperature"] == 0.5
    assert attributes["gen_ai.request.max_tokens"] == 50
    assert attributes["gen_ai.request.top_p"] == 0.9
    assert attributes["gen_ai.request.stop_sequences"] == ["STOP"]
    assert attributes["gen_ai.request.seed"] == 7
    assert "gen_ai.request.choice.count" not in attributes
    assert "gen_ai.request.stream" not in attributes


def test_the_span_is_below_the_current_one(rows):
    with llmops.span("request") as above:
        answer = llmops.chat("Say hello")
        assert llmops.current_span().span_id == above.span_id
    (span,) = rows("SELECT parent_span_id, trace_id FROM llm_calls")
    assert span == {"parent_span_id": above.span_id, "trace_id": answer.trace_id}


def test_each_attempt_is_a_record_and_a_row(rows):
    llmops.configure(models={"flaky": FLAKY}, retry={"base": 0.001})
    answer = llmops.chat("Say hello", model="flaky")
    assert [(one.number, one.status, one.reason) for one in answer.attempts] == [
        (1, "error", "first"),
        (2, "error", "retry"),
        (3, "ok", "retry"),
    ]
    found = rows("SELECT attempt, status, status_code, reason FROM attempts ORDER BY attempt")
    assert [tuple(row.values()) for row in found] == [
        (1, "error", 503, "first"),
        (2, "error", 429, "retry"),
        (3, "ok", None, "retry"),
    ]
    assert rows("SELECT attempts FROM llm_calls") == [{"attempts": 3}]


def test_a_failed_call_raises_the_typed_error_with_its_attempts(rows):
    llmops.configure(models={"flaky": FLAKY}, retry={"base": 0.001})
    with pytest.raises(llmops.RateLimitError) as caught:
        llmops.chat("Say hello", model="flaky", retry=2)
    assert [one.number for one in caught.value.attempts] == [1, 2]
    assert pickle.loads(pickle.dumps(caught.value)).attempts == caught.value.attempts
    (span,) = rows("SELECT status, error_type, attempts, status_message FROM llm_calls")
    assert (span["status"], span["error_type"], span["attempts"]) == ("error", "RateLimitError", 2)
    assert "Say hello" not in span["status_message"]


@pytest.mark.parametrize("retry", [False, 1, {"attempts": 1}])
def test_retry_false_makes_one_attempt(retry):
    llmops.configure(models={"flaky": FLAKY})
    with pytest.raises(llmops.ServerError) as caught:
        llmops.chat("Say hello", model="flaky", retry=retry)
    assert len(caught.value.attempts) == 1


async def test_an_async_call_answers_and_is_recorded(rows):
    answer = await llmops.achat("Say hello")
    assert answer.text == "Say hello"
    assert rows("SELECT span_id, status FROM llm_calls") == [{"span_id": answer.span_id, "status": "ok"}]


async def test_the_sync_call_works_inside_a_running_loop():
    assert llmops.chat("Say hello").text == "Say hello"
    assert "".join(chunk.text for chunk in llmops.stream("Say hello")) == "Say hello"


async def test_a_cancelled_call_ends_its_span_as_cancelled(rows):
    llmops.configure(options={"latency": 3600.0})
    with llmops.span("request") as above:
        task = asyncio.create_task(llmops.achat("Say hello"))
        await asyncio.sleep(0)  # the task now waits for the provider
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert llmops.current_span().span_id == above.span_id
    assert rows("SELECT status FROM llm_calls") == [{"status": "cancelled"}]


def test_calls_from_many_threads_do_not_mix(rows):
    def ask(number: int) -> tuple[int, str, str | None]:
        with llmops.span(f"request {number}"):
            answer = llmops.chat(f"question {number}")
        return number, answer.text, answer.trace_id

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(64)))
    assert all(text == f"question {number}" for number, text, _ in answers)
    assert len({trace for _, _, trace in answers}) == 64
    joined = rows("""
        SELECT count(*) AS calls FROM llm_calls JOIN spans above ON above.span_id = llm_calls.parent_span_id
        WHERE 'request ' || regexp_extract(llm_calls.input_messages, 'question (\\d+)', 1) = above.name
    """)
    assert joined == [{"calls": 64}]


async def test_concurrent_async_calls_do_not_mix(rows):
    llmops.configure(options={"latency": 0.001})
    answers = await asyncio.gather(*(llmops.achat(f"question {number}") for number in range(64)))
    assert [answer.text for answer in answers] == [f"question {number}" for number in range(64)]
    assert rows("SELECT count(DISTINCT span_id) AS calls FROM llm_calls") == [{"calls": 64}]


def test_messages_are_not_changed_and_the_system_prompt_comes_first(rows):
    messages = [{"role": "user", "content": [{"type": "text", "text": "Say"}, {"type": "text", "text": "hello"}]}]
    before = copy.deepcopy(messages)
    llmops.chat(messages, system="Be brief.", guards=["cards"])
    assert messages == before


def test_an_answer_goes_back_into_the_conversation():
    first = llmops.chat("Say hello")
    again = llmops.chat([{"role": "user", "content": "Say hello"}, first.message, {"role": "user", "content": "Again"}])
    assert again.text == "Again"


@pytest.mark.parametrize(
    ("prompt", "error", "says"),
    [
        (None, TypeError, "string or a list"),
        (3, TypeError, "not int"),
        (b"bytes", TypeError, "not bytes"),
        ([], ValueError, "empty list"),
        (["hello"], TypeError, "message 0"),
        ([{"role": "boss", "content": "x"}], ValueError, "'boss'"),
        ([{"role": "user"}], ValueError, "neither"),
        ([{"role": "user", "content": 3}], TypeError, "content"),
        ([{"role": "tool", "content": "x"}], ValueError, "tool_call_id"),
    ],
)
def test_a_bad_prompt_says_what_is_wrong(prompt, error, says):
    with pytest.raises(error, match=says):
        llmops.chat(prompt)


def test_an_unknown_name_is_a_type_error_that_names_the_nearest():
    with pytest.raises(TypeError, match=r"chat\(\).*'temprature'.*'temperature'.*extra="):
        llmops.chat("Say hello", temprature=1)
    with pytest.raises(TypeError, match=r"LLM\(\).*'retries'.*'retry'"):
        llmops.LLM(retries=3)
    with pytest.raises(TypeError, match=r"astream\(\).*'modle'.*'model'"):
        llmops.astream("Say hello", modle="x")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"retry": {"atempts": 3}}, "attempts"),
        ({"retry": 0}, "retry"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": {"totl": 3}}, "total"),
        ({"cache": {"tll": 3}}, "ttl"),
        ({"model": "no-such-model"}, "no-such-model"),
        ({"model": "offline/nothing"}, "offline/echo"),
        ({"guards": ["no-such-guard"]}, "no-such-guard"),
    ],
)
def test_a_bad_policy_is_a_config_error(options, says):
    with pytest.raises(llmops.ConfigError, match=says):
        llmops.chat("Say hello", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"retry": "often"},
        {"timeout": "long"},
        {"timeout": True},
        {"cache": "yes"},
        {"guards": "cards"},
        {"guards": {"inputs": []}},
        {"tools": "search"},
        {"tools": [3]},
        {"model": 3},
    ],
)
def test_a_policy_of_the_wrong_type_is_a_type_error(options):
    with pytest.raises(TypeError):
        llmops.chat("Say hello", **options)


def test_the_total_time_is_seconds_or_a_timeout():
    llmops.configure(options={"latency": 3600.0})
    for timeout in (0.01, llmops.Timeout(total=0.01), {"total": 0.01}):
        with pytest.raises(llmops.ProviderTimeoutError) as caught:
            llmops.chat("Say hello", timeout=timeout, retry=False)
        assert isinstance(caught.value, TimeoutError)


def test_tools_are_made_from_functions_and_definitions():
    def weather(city: str, days: int = 1) -> str:
        """The weather of a city."""
        return f"{city} {days}"

    defined = {"type": "function", "function": {"name": "noop", "parameters": {"type": "object"}}}
    answer = llmops.chat(
        "Weather?", tools=[weather, defined], tool_choice={"type": "function", "function": {"name": "weather"}}
    )
    (call,) = answer.tool_calls
    assert call.name == "weather"
    assert isinstance(json.loads(call.arguments)["city"], str)
    assert answer.finish_reason == "tool_calls"


def test_a_tool_with_positional_only_parameters_raises():
    def adder(*numbers: int) -> int:
        return sum(numbers)

    with pytest.raises(TypeError, match="adder"):
        llmops.chat("Add", tools=[adder])


def test_call_options_override_those_of_the_llm():
    llmops.configure(models={"other": {"model": "offline/script", "options": {"answers": ["yes indeed it is"]}}})
    with llmops.LLM("other", max_tokens=1) as own:
        assert own.chat("Say hello").text == "yes"
        assert own.chat("Say hello there", model="offline/echo").finish_reason == "length"
        assert own.chat("Say hello", model="offline/echo", max_tokens=50).text == "Say hello"
    with pytest.raises(llmops.LLMOpsError, match="closed"):
        own.chat("Say hello")


async def test_an_llm_is_an_async_context_manager():
    async with llmops.LLM("offline/echo") as own:
        assert (await own.achat("Say hello")).text == "Say hello"
        assert (await own.aembed(["one"])).vectors
    with pytest.raises(llmops.LLMOpsError, match="closed"):
        await own.achat("Say hello")


def test_with_the_sdk_off_the_call_is_made_without_telemetry(own_surroundings):
    llmops.configure(enabled=False)
    answer = llmops.chat("Say hello")
    assert (answer.text, answer.trace_id, answer.span_id) == ("Say hello", None, None)
    assert len(answer.attempts) == 1
    assert [chunk.text for chunk in llmops.stream("Say hello")][:1] == ["Say"]
    llmops.flush()
    assert not list(own_surroundings.rglob("*.ndjson"))


def test_with_the_sdk_off_guards_retries_and_cache_still_work():
    card = "4111" + " 1111" * 3
    failing = {"model": "offline/echo", "options": {"failures": {"sequence": ["server", "ok"]}}}
    llmops.configure(
        enabled=False,
        models={"f": failing},
        guardrails={"input": ["cards"]},
        cache={"exact": True},
        retry={"base": 0.001},
    )
    first, second = (llmops.chat(f"Charge {card}", model="f") for _ in range(2))
    assert card not in first.text
    assert (len(first.attempts), second.cache) == (2, "exact")


def test_without_content_neither_prompt_nor_answer_is_recorded(rows, own_surroundings):
    llmops.configure(capture={"content": False})
    llmops.chat("Say periwinkle")
    list(llmops.stream("Say periwinkle"))
    llmops.embed(["periwinkle"])
    found = rows("SELECT input, output, input_messages, output_messages FROM llm_calls WHERE operation = 'chat'")
    assert [set(row.values()) for row in found] == [{None}, {None}]
    assert not [path for path in own_surroundings.rglob("*") if path.is_file() and b"periwinkle" in path.read_bytes()]


def test_prompt_and_answer_are_the_input_and_output_of_the_span(rows):
    llmops.chat("Say hello", system="Be kind.")
    (span,) = rows("SELECT input, output, input_messages, output_messages FROM llm_calls")
    assert (span["input"], span["output"]) == (span["input_messages"], span["output_messages"])
    assert "Be kind." in span["input"]
    assert "Say hello" in span["output"]


def test_a_wrong_value_is_not_reported_as_a_wrong_name():
    with pytest.raises(llmops.ConfigError) as caught:
        llmops.chat("Hi", timeout=-1)
    assert str(caught.value) == "timeout={'total': -1}: it must be a number above 0 or \"none\""
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "error", "allowed"),
    [
        ({"semantic": {"max_error": 0.5}}, llmops.ConfigError, "max_error': 0.5}: it must be a number above 0.0 and "),
        ({"semantic": {"max_error": float("nan")}}, llmops.ConfigError, "above 0.0 and below 0.5"),
        ({"semantic": {"confidence": 1}}, llmops.ConfigError, "a number from 0.5 to below 1.0"),
        ({"semantic": "on"}, llmops.ConfigError, '"off" or "shadow" or "serve"'),
        ({"semantic": {"mdoe": "serve"}}, llmops.ConfigError, "there is no such key; did you mean 'mode'?"),
        ({"tags": "prices"}, llmops.ConfigError, "tags': 'prices'}: it must be a list of strings"),
        ({"tags": ["a", 2]}, llmops.ConfigError, "tags': 2}: it must be a list of strings"),
        ({"tags": [""]}, llmops.ConfigError, "give at most 16 tags of 1 to 200 characters"),
        ({"ttl": "1h"}, llmops.ConfigError, 'a number above 0 or "none"'),
        ({"judge": "exact"}, llmops.ConfigError, "the keys are exact, path, ttl"),
        ({1: 2}, TypeError, "keys are names"),
    ],
)  # fmt: skip
def test_error_of_a_bad_cache_argument_says_what_is_allowed(given, error, allowed):
    with pytest.raises(error) as caught:
        llmops.chat("Hi", model="offline/echo", cache=given)
    assert allowed in str(caught.value)


def test_embed_returns_vectors_and_records_them(rows):
    made = llmops.embed(["one fish", "two fish"])
    assert len(made.vectors) == 2
    (span,) = rows("SELECT name, kind, operation, status, input_tokens, simulated FROM llm_calls")
    assert span == {
        "name": "embeddings echo",
        "kind": "embedding",
        "operation": "embeddings",
        "status": "ok",
        "input_tokens": made.usage.input_tokens,
        "simulated": True,
    }


@pytest.mark.parametrize(
    ("texts", "error"), [("one", TypeError), ([], ValueError), ([1], TypeError), (None, TypeError)]
)
def test_embed_rejects_texts_that_are_not_a_list_of_strings(texts, error):
    with pytest.raises(error):
        llmops.embed(texts)


@pytest.mark.parametrize("owner", [llmops, llmops.LLM])
@pytest.mark.parametrize(("sync", "twin"), [("chat", "achat"), ("stream", "astream"), ("embed", "aembed")])
def test_sync_and_async_take_the_same_parameters(owner, sync, twin):
    ours, theirs = inspect.signature(getattr(owner, sync)), inspect.signature(getattr(owner, twin))
    assert list(ours.parameters.values()) == list(theirs.parameters.values())


def test_the_signature_has_every_parameter_by_name():
    parameters = inspect.signature(llmops.chat).parameters
    for name in ("model", "system", "tools", "response_model", "temperature", "max_tokens", "timeout", "retry", "cache",
                 "guards", "extra", "top_p", "stop", "seed", "tool_choice", "frequency_penalty"):  # fmt: skip
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default is None
        assert f"{name}:" in (llmops.chat.__doc__ or "")
    assert list(parameters)[:2] == ["prompt", "model"]
