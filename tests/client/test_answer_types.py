"""`response_model`: the schema is sent, the answer parsed, and an invalid one asked for again, within bounds."""

from __future__ import annotations

import dataclasses
import json
import sys
import typing

import pydantic
import pytest

import llmops_sdk as llmops
from llmops_sdk.client.structured._answer import InvalidAnswerError, answer_type

GOOD = '{"total": 12.5, "currency": "EUR"}'
BAD = '{"total": "much"}'


class Invoice(pydantic.BaseModel):
    total: float
    currency: str


@dataclasses.dataclass
class Place:
    name: str
    country: str | None = None


class Line(typing.TypedDict):
    item: str
    count: typing.NotRequired[int]


class Order(typing.TypedDict):
    lines: list[Line]


def script(*answers: str, **options: object) -> None:
    llmops.configure(model="offline/script", options={"answers": list(answers), **options})


@pytest.mark.parametrize("wanted", [Invoice, Place])
def test_the_answer_is_an_instance_of_the_class(wanted):
    assert isinstance(llmops.chat("Read this", response_model=wanted).parsed, wanted)


@pytest.mark.parametrize("wanted", [Order, dict[str, int], list[float]])
def test_the_answer_has_the_shape_of_the_type(wanted):
    answer = llmops.chat("Read this", response_model=wanted)
    assert answer.parsed == json.loads(answer.text)


def test_the_answer_is_a_list_of_instances():
    script(f"[{GOOD}]")
    assert llmops.chat("Read this", response_model=list[Invoice]).parsed == [Invoice(total=12.5, currency="EUR")]


def test_the_span_has_the_output_type(rows):
    llmops.chat("Read this", response_model=Invoice)
    assert rows("SELECT attributes->>'gen_ai.output.type' AS kind FROM llm_calls") == [{"kind": "json"}]


@pytest.mark.parametrize(
    "text", [GOOD, f"  {GOOD}\n", f"```json\n{GOOD}\n```", f"Here it is:\n```\n{GOOD}\n```\nThat is all."]
)
def test_a_code_block_around_the_answer_is_removed(text):
    script(text)
    assert llmops.chat("Read this", response_model=Invoice, retry=False).parsed == Invoice(total=12.5, currency="EUR")


def test_an_invalid_answer_is_asked_for_again(rows):
    script(BAD, "no JSON at all", GOOD)
    answer = llmops.chat("Read this", response_model=Invoice)
    assert answer.parsed == Invoice(total=12.5, currency="EUR")
    assert [(one.number, one.status, one.reason) for one in answer.attempts] == [
        (1, "ok", "first"),
        (2, "ok", "reask"),
        (3, "ok", "reask"),
    ]
    assert [row["reason"] for row in rows("SELECT reason FROM attempts ORDER BY attempt")] == [
        "first",
        "reask",
        "reask",
    ]
    (span,) = rows("SELECT status, attempts, input_tokens, input_messages, output_messages FROM llm_calls")
    assert (span["status"], span["attempts"]) == ("ok", 3)
    assert span["input_tokens"] == answer.usage.input_tokens > 10
    assert "EUR" in span["output_messages"]


async def test_an_async_call_asks_again():
    script(BAD, GOOD)
    answer = await llmops.achat("Read this", response_model=Invoice)
    assert answer.parsed == Invoice(total=12.5, currency="EUR")
    assert [one.reason for one in answer.attempts] == ["first", "reask"]


def test_the_cost_sums_all_answers():
    llmops.configure(
        model="offline/script",
        options={"answers": [BAD, GOOD]},
        prices={"offline/script": {"input": 0.0, "output": 1_000_000.0}},
    )
    answer = llmops.chat("Read this", response_model=Invoice)
    assert answer.cost == answer.usage.output_tokens
    assert answer.usage.output_tokens > llmops.chat("Read this", retry=False).usage.output_tokens


def test_retries_and_reasks_are_numbered_through(rows):
    llmops.configure(
        model="offline/script",
        options={"answers": [BAD, GOOD], "failures": {"sequence": ["ok", "server", "ok"]}},
        retry={"base": 0.001},
    )
    answer = llmops.chat("Read this", response_model=Invoice)
    assert [(one.number, one.status, one.reason) for one in answer.attempts] == [
        (1, "ok", "first"),
        (2, "error", "reask"),
        (3, "ok", "retry"),
    ]
    assert rows("SELECT attempts FROM llm_calls") == [{"attempts": 3}]


def test_an_error_while_asking_again_has_every_attempt():
    llmops.configure(
        model="offline/script",
        options={"answers": [BAD], "failures": {"sequence": ["ok", "authentication"]}},
    )
    with pytest.raises(llmops.AuthenticationError) as caught:
        llmops.chat("Read this", response_model=Invoice)
    assert [(one.number, one.status) for one in caught.value.attempts] == [(1, "ok"), (2, "error")]


def test_a_third_invalid_answer_raises_with_the_answer_and_the_reasons(rows):
    script(BAD)
    with pytest.raises(llmops.ValidationFailedError) as caught:
        llmops.chat("Read this", response_model=Invoice)
    error = caught.value
    assert error.response.text == BAD
    assert len(error.response.attempts) == 3
    assert any(reason.startswith("total:") for reason in error.errors)
    assert any(reason.startswith("currency:") for reason in error.errors)
    assert "much" not in str(error)
    (span,) = rows("SELECT status, error_type, attempts, span_id, output_tokens FROM llm_calls")
    assert (span["status"], span["error_type"], span["attempts"]) == ("error", "ValidationFailedError", 3)
    assert error.response.span_id == span["span_id"]
    assert span["output_tokens"] > 0


def test_the_total_time_includes_asking_again():
    script(BAD, latency=0.2)
    with pytest.raises(llmops.ProviderTimeoutError) as caught:
        llmops.chat("Read this", response_model=Invoice, timeout=0.3, retry=False)
    assert caught.value.attempts[0].status == "ok"


def test_an_invalid_answer_is_not_cached():
    script(BAD, BAD, BAD, GOOD)
    with pytest.raises(llmops.ValidationFailedError):
        llmops.chat("Read this", response_model=Invoice, cache=True)
    first = llmops.chat("Read this", response_model=Invoice, cache=True)
    second = llmops.chat("Read this", response_model=Invoice, cache=True)
    assert (first.cache, second.cache) == (None, "exact")
    assert first.parsed == second.parsed == Invoice(total=12.5, currency="EUR")


def test_a_tool_call_is_not_validated():
    llmops.configure(
        model="offline/script",
        options={"answers": [{"match": "weather", "tool_calls": [{"name": "weather", "arguments": {"city": "Ulm"}}]}]},
    )

    def weather(city: str) -> str:
        return city

    answer = llmops.chat("The weather?", tools=[weather], response_model=Invoice)
    assert answer.parsed is None
    assert answer.tool_calls[0].name == "weather"


def test_a_stream_is_parsed_at_its_end():
    script(GOOD)
    stream = llmops.stream("Read this", response_model=Invoice)
    assert "".join(chunk.text for chunk in stream) == GOOD
    assert stream.response.parsed == Invoice(total=12.5, currency="EUR")


async def test_an_invalid_stream_ends_with_the_error(rows):
    script(BAD)
    stream = llmops.stream("Read this", response_model=Invoice)
    with pytest.raises(llmops.ValidationFailedError):
        list(stream)
    assert stream.response.text == BAD
    twin = llmops.astream("Read this", response_model=Invoice)
    with pytest.raises(llmops.ValidationFailedError):
        _ = [chunk async for chunk in twin]
    assert rows("SELECT status, error_type FROM llm_calls") == 2 * [
        {"status": "error", "error_type": "ValidationFailedError"}
    ]


def test_a_type_without_a_schema_is_a_type_error():
    class Opaque:
        pass

    with pytest.raises(TypeError, match="Opaque"):
        llmops.chat("Read this", response_model=Opaque)


def test_a_typeddict_of_typing_works_on_every_python():
    order = answer_type(Order)
    assert order.name == "Order"
    assert order.parse('{"lines": [{"item": "tea"}, {"item": "cake", "count": 2}]}') == {
        "lines": [{"item": "tea"}, {"item": "cake", "count": 2}]
    }
    with pytest.raises(InvalidAnswerError, match=r"lines\.0\.item"):
        order.parse('{"lines": [{"count": 2}]}')
    assert answer_type(Order) is order


def test_a_recursive_typeddict_says_what_to_use():
    if sys.version_info >= (3, 12):  # from here on the standard library's can be asked for its own types
        assert answer_type(Node).parse('{"children": [{"children": []}]}') == {"children": [{"children": []}]}
    else:
        with pytest.raises(TypeError, match="typing_extensions"):
            answer_type(Node)


class Node(typing.TypedDict):
    children: list[Node]
