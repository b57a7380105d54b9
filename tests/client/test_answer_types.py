"""`response_model`: the schema is sent, the answer parsed, and an invalid one asked for again, within bounds."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import enum
import json
import re
import sys
import typing

import pydantic
import pytest

import llmops_sdk as llmops
from llmops_sdk.client.structured._answer import InvalidAnswerError, answer_type
from llmops_sdk.providers import Request
from llmops_sdk.testing import ScriptedProvider, use_provider

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


@pytest.mark.parametrize("wanted", [Order, dict[str, int]])
def test_the_answer_has_the_shape_of_the_type(wanted):
    answer = llmops.chat("Read this", response_model=wanted)
    assert answer.parsed == json.loads(answer.text)


class Node(pydantic.BaseModel):
    name: str
    children: list[Node] = []


class Answered(pydantic.BaseModel):
    answer: str


class Colour(enum.StrEnum):
    RED = "red"


NO_OBJECTS = [
    list[float], list[Invoice], int, float, bool, str, tuple[int, str], Invoice | Place, Invoice | None, Colour,
    typing.Literal["a", "b"], pydantic.RootModel[list[int]], set[int], typing.Annotated[int, pydantic.Field(ge=3)],
    list[Node], Answered | Invoice, datetime.date, typing.Annotated[list[int], pydantic.Field(min_length=1)],
]  # fmt: skip


@pytest.mark.parametrize("wanted", [*NO_OBJECTS, Node, Invoice, Place, Order], ids=str)
def test_every_schema_is_an_object_with_a_good_name(wanted):
    provider = ScriptedProvider([llmops.Response(refusal="No.")])
    with use_provider(provider), pytest.raises(llmops.ValidationFailedError):
        llmops.chat("Read this", response_model=wanted)
    asked = provider.requests[0]
    assert asked.response_schema["type"] == "object"
    assert not {"anyOf", "$ref", "oneOf"} & asked.response_schema.keys()
    assert re.fullmatch("[A-Za-z0-9_-]{1,64}", asked.response_schema_name)


@pytest.mark.parametrize("wanted", NO_OBJECTS, ids=str)
def test_a_type_that_is_no_object_is_wrapped_and_unwrapped(wanted):
    adapter = pydantic.TypeAdapter(wanted)
    answer = llmops.chat("Read this", response_model=wanted)
    assert list(json.loads(answer.text)) == ["answer"]
    assert adapter.validate_python(answer.parsed) == answer.parsed
    bare = json.dumps(json.loads(answer.text)["answer"])
    for text in (bare, f"```json\n{answer.text}\n```", f"```\n{bare}\n```"):
        script(text)
        assert llmops.chat("Again", response_model=wanted).parsed == answer.parsed


def test_a_function_returns_the_unwrapped_value():
    script('{"answer": 7}', '{"answer": [1, 2]}', "8")

    @llmops.llm(returns=int)
    def count(text: str) -> str:
        return text

    @llmops.llm(returns=list[int])
    def numbers(text: str) -> str:
        return text

    assert (count("a"), numbers("b"), count("c")) == (7, [1, 2], 8)


def test_a_field_of_the_wrappers_name_is_no_wrapper():
    script('{"answer": "x"}')
    assert llmops.chat("Read", response_model=Answered).parsed == Answered(answer="x")
    assert llmops.chat("Read", response_model=Answered | Invoice).parsed == Answered(answer="x")
    script('{"answer": {"answer": "x"}}')
    assert llmops.chat("Read", response_model=Answered | Invoice).parsed == Answered(answer="x")


@pytest.mark.parametrize("text", ['{"answer": ["x"]}', '["x"]'])
def test_an_error_in_a_wrapped_answer_names_the_place_in_the_type(text):
    script(text)
    with pytest.raises(llmops.ValidationFailedError) as caught:
        llmops.chat("Read", response_model=list[int])
    assert caught.value.errors[0].startswith("0: Input should be a valid integer")


def test_names_of_types_are_cut_and_stay_different():
    names = {answer_type(type(f"{'Long' * 30}{end}", (pydantic.BaseModel,), {})).name for end in "ab"}
    assert len(names) == 2
    assert all(len(name) == 64 for name in names)


def test_the_answer_is_a_list_of_instances():
    script(f"[{GOOD}]")
    assert llmops.chat("Read this", response_model=list[Invoice]).parsed == [Invoice(total=12.5, currency="EUR")]


def test_the_span_has_the_output_type(rows):
    llmops.chat("Read this", response_model=Invoice)
    assert rows("SELECT attributes->>'gen_ai.output.type' AS kind FROM llm_calls") == [{"kind": "json"}]


@pytest.mark.parametrize(
    "text",
    [
        GOOD, f"  {GOOD}\n", f"```json\n{GOOD}\n```", f"Here it is:\n```\n{GOOD}\n```\nThat is all.",
        f"```json{GOOD}```", f"```JSON\r\n{GOOD}\r\n```", f"```python\nx = 1\n```\nand\n```json\n{GOOD}\n```",
        f"```json\n{GOOD}\n```\nand\n```python\nx = 1\n```", f"```json\n{GOOD}", f"```json5\n\n  {GOOD}\n\n```\n",
    ],
)  # fmt: skip
def test_a_code_block_around_the_answer_is_removed(text):
    script(text)
    assert llmops.chat("Read this", response_model=Invoice, retry=False).parsed == Invoice(total=12.5, currency="EUR")


class Snippet(pydantic.BaseModel):
    code: str


@pytest.mark.parametrize("code", ["```python\nx = 1\n```", "``` and ```", "```json\n{}\n```", "```", "a\n```\n"])
@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "Here:\n```\n{}\n```\nDone, see ```x```."])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_fence_inside_a_string_of_the_answer_stays(code, around, indent):
    script(around.replace("{}", json.dumps({"code": code}, indent=indent)))
    assert llmops.chat("Write", response_model=Snippet, retry=False).parsed == Snippet(code=code)


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


def pay(amount: float) -> str:
    return str(amount)


CALL = llmops.ToolCall(id="c1", name="pay", arguments='{"amount": 3}')


def asked(reply: llmops.Response, style: str, **options: object) -> tuple[llmops.Response, list[Request]]:
    """Ask a scripted model once; return the answer, and the requests that the model saw."""
    provider = ScriptedProvider([reply, "never"])

    async def collect() -> llmops.Response:
        async with llmops.astream("Pay", response_model=Invoice, **options) as chunks:
            _ = [chunk async for chunk in chunks]
        return chunks.response

    with use_provider(provider):
        if style == "stream":
            chunks = llmops.stream("Pay", response_model=Invoice, **options)
            list(chunks)
            answer = chunks.response
        elif style == "astream":
            answer = asyncio.run(collect())
        elif style == "achat":
            answer = asyncio.run(llmops.achat("Pay", response_model=Invoice, **options))
        else:
            answer = llmops.chat("Pay", response_model=Invoice, **options)
    return answer, provider.requests


STYLES = pytest.mark.parametrize("style", ["chat", "achat", "stream", "astream"])


@STYLES
@pytest.mark.parametrize("text", ["I will pay now.", " ", BAD, f"```json\n{BAD}\n```"])
def test_text_beside_a_tool_call_is_not_asked_for_again(style, text):
    reply = llmops.Response(text=text, tool_calls=(CALL,), finish_reason="tool_calls")
    answer, requests = asked(reply, style, tools=[pay])
    assert len(requests) == 1
    assert (answer.tool_calls, answer.text, answer.parsed) == ((CALL,), text, None)


def test_a_valid_answer_beside_a_tool_call_is_parsed():
    answer, _ = asked(llmops.Response(text=GOOD, tool_calls=(CALL,), finish_reason="tool_calls"), "chat", tools=[pay])
    assert answer.parsed == Invoice(total=12.5, currency="EUR")
    assert answer.tool_calls == (CALL,)


ENDS = {
    "length": (llmops.Response(text=GOOD[:-3], finish_reason="length"), "max_tokens"),
    "refusal": (llmops.Response(refusal="I cannot help.", finish_reason="refusal"), "refused"),
    "content_filter": (llmops.Response(finish_reason="content_filter"), "withheld"),
}


@STYLES
@pytest.mark.parametrize("end", ENDS)
def test_an_answer_that_would_end_the_same_is_not_asked_for_again(style, end, rows):
    reply, says = ENDS[end]
    with pytest.raises(llmops.ValidationFailedError, match=says) as caught:
        asked(reply, style)
    assert caught.value.response.finish_reason == end
    assert caught.value.response.refusal == reply.refusal
    assert any(says in one for one in caught.value.errors)
    assert "I cannot help" not in str(caught.value)
    assert rows("SELECT attempts, finish_reason FROM llm_calls") == [{"attempts": 1, "finish_reason": end}]


@STYLES
def test_a_cut_answer_that_fits_is_an_answer(style):
    answer, _ = asked(llmops.Response(text=GOOD, finish_reason="length"), style)
    assert answer.parsed == Invoice(total=12.5, currency="EUR")


def test_a_refusal_is_the_answer_of_a_text_function_and_goes_back_into_the_conversation(rows):
    @llmops.llm
    def ask(question: str) -> str:
        return question

    reply = llmops.Response(refusal="I cannot help.", finish_reason="refusal")
    with use_provider(ScriptedProvider([reply, reply])):
        assert ask("How?") == "I cannot help."
        answer = llmops.chat("How?", cache=True)
    assert (answer.text, answer.refusal) == ("", "I cannot help.")
    assert answer.message == {"role": "assistant", "content": "I cannot help."}
    said = rows("SELECT output_messages AS said FROM llm_calls")
    assert [json.loads(one["said"])[0]["parts"] for one in said] == 2 * [
        [{"type": "refusal", "content": "I cannot help."}]
    ]


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
