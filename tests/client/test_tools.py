"""Tools: definitions from functions, the choice of a tool, and running the calls that a model makes."""

from __future__ import annotations

import asyncio
import functools
import pickle
import threading
import uuid
from typing import Annotated, Any

import pydantic
import pytest
from anthropic_server import AnthropicServer
from loopback import Reply
from openai_server import OpenAIServer
from typing_extensions import Doc

import llmops_sdk as llmops
from llmops_sdk.client._prompt import tool_definitions
from llmops_sdk.testing import ScriptedProvider, use_provider


class Account(pydantic.BaseModel):
    number: str
    balance: float = 0.0


def add(a: Annotated[int, "The first number."], b: int = 1) -> int:
    """Add two numbers.

    Whole ones only.

    Args:
        a: Not used, since the annotation says more.
        b (int): The second number,
            which may be left out.

    Returns:
        The sum.
    """
    return a + b


def transfer(account: Account, *, amount: Annotated[float, pydantic.Field(gt=0, description="In EUR.")]) -> Account:
    """Move money.

    :param account: Where it comes from.
    :param float amount: Overridden.
    :return: The account.
    """
    return Account(number=account.number, balance=account.balance - amount)


class Desk:
    """A desk with tools."""

    def greet(self, name: Annotated[str, Doc("Who.")]) -> str:
        """Greet."""
        return f"Hello {name}"

    def __call__(self, name: str) -> str:
        """Call the desk."""
        return name


def schema_of(tool: Any) -> dict[str, Any]:
    (definition,) = tool_definitions([tool])
    return definition["function"]


def descriptions(tool: Any) -> dict[str, str | None]:
    return {name: part.get("description") for name, part in schema_of(tool)["parameters"]["properties"].items()}


@pytest.mark.parametrize("wrap", [lambda tool: tool, llmops.trace, functools.partial, llmops.retry])
def test_descriptions_of_parameters_reach_the_schema(wrap):
    tool = wrap(add)
    assert schema_of(tool)["name"] == "add"
    assert descriptions(tool) == {"a": "The first number.", "b": "The second number, which may be left out."}
    assert schema_of(tool)["description"] == "Add two numbers.\n\nWhole ones only.\n\nReturns:\n    The sum."
    assert schema_of(tool)["parameters"]["properties"]["b"]["default"] == 1


def test_other_styles_of_descriptions_reach_the_schema():
    assert descriptions(transfer) == {"account": "Where it comes from.", "amount": "In EUR."}
    assert schema_of(transfer)["description"] == "Move money.\n\n:return: The account."
    assert descriptions(Desk().greet) == {"name": "Who."}
    assert (schema_of(Desk())["name"], schema_of(Desk())["description"]) == ("Desk", "A desk with tools.")


@pytest.mark.parametrize(
    "docstring", [None, "", "Args:", "Args:\n  a: x", "Args:\n\n    odd\n\n    a : x:y\nb: z", ":param a:"]
)
def test_odd_docstrings_do_no_harm(docstring):
    def tool(a: int) -> int:
        return a

    tool.__doc__ = docstring
    assert set(descriptions(tool)) == {"a"}


@pytest.mark.parametrize("tool", [lambda a: a, functools.partial(lambda a: a, a=1)], ids=["lambda", "partial"])
def test_a_lambda_is_refused_with_advice(tool):
    with pytest.raises(TypeError, match="a lambda has no name; define it with `def"):
        llmops.chat("Add", tools=[tool])


def test_names_that_no_model_can_call_are_refused():
    def size(a: int) -> int:
        return a

    size.__name__ = "gr\u00f6\u00dfe"
    with pytest.raises(TypeError, match="letters, digits"):
        llmops.chat("Add", tools=[size])
    with pytest.raises(TypeError, match="two tools are called 'add'"):
        llmops.chat("Add", tools=[add, {"type": "function", "function": {"name": "add"}}])


# --- The choice of a tool --------------------------------------------------------------------------------------------

SHAPE = {"type": "function", "function": {"name": "add"}}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("add", SHAPE), (add, SHAPE), (SHAPE, SHAPE), ({"function": {"name": "add"}}, SHAPE), ("auto", "auto"),
        ("none", "none"), ("required", "required"), ({"type": "web_search"}, {"type": "web_search"}),
    ],
)  # fmt: skip
def test_a_tools_name_becomes_the_shape_that_every_provider_knows(choice, sent):
    provider = ScriptedProvider(["fine"])
    with use_provider(provider):
        llmops.chat("Add", tools=[add], tool_choice=choice)
    assert provider.requests[0].params["tool_choice"] == sent


@pytest.mark.parametrize("choice", ["ad", transfer, {"type": "function", "function": {"name": "ad"}}, "Auto", "any"])
def test_an_unknown_tool_is_an_error_before_the_call(choice):
    provider = ScriptedProvider(["never"])
    with use_provider(provider), pytest.raises(llmops.ConfigError, match="the tools of this call are add") as caught:
        llmops.chat("Add", tools=[add], tool_choice=choice)
    assert caught.value.key == "tool_choice"
    assert provider.requests == ()


def test_a_choice_without_tools_or_of_another_type_is_an_error():
    with pytest.raises(llmops.ConfigError, match="this call has no tools"):
        llmops.chat("Add", tool_choice="add")
    with pytest.raises(TypeError, match="tool_choice must be"):
        llmops.chat("Add", tools=[add], tool_choice=5)


def test_vendors_get_the_choice_in_their_own_form(monkeypatch):
    reply = Reply(tool_calls=(("add", {"a": 1}),))
    with OpenAIServer(reply) as one, AnthropicServer(reply) as other:
        for name, server in (("OPENAI", one.base_url), ("ANTHROPIC", other.url)):
            monkeypatch.setenv(f"{name}_API_KEY", uuid.uuid4().hex)
            monkeypatch.setenv(f"{name}_BASE_URL", server)
        for model in ("openai/gpt-4.1-mini", "anthropic/claude-sonnet-4-5"):
            answer = llmops.chat("Add", model=model, tools=[add], tool_choice="add")
            assert answer.tool_calls[0].run([add]) == 2
    assert one.requests[0].body["tool_choice"] == SHAPE
    assert {key: other.requests[0].body["tool_choice"][key] for key in ("type", "name")} == {
        "type": "tool",
        "name": "add",
    }
    assert other.requests[0].body["tools"][0]["input_schema"]["properties"]["a"]["description"] == "The first number."


# --- Running calls ---------------------------------------------------------------------------------------------------


def call(name: str, arguments: str) -> llmops.ToolCall:
    return llmops.ToolCall(id="call_7", name=name, arguments=arguments)


async def slow_add(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


def many(*, first: int, **rest: int) -> list[int]:
    return [first, *rest.values()]


def nothing() -> str:
    return "done"


def thread_name() -> str:
    return threading.current_thread().name


TOOLS = [add, transfer, slow_add, many, nothing, Desk(), Desk().greet, {"type": "function", "function": {"name": "x"}}]
RUNS: list[tuple[str, str, Any]] = [
    ("add", '{"a": 2, "b": 3}', 5),
    ("add", ' {"a": "2"} ', 3),
    ("transfer", '{"account": {"number": "1", "balance": 5}, "amount": 2}', Account(number="1", balance=3)),
    ("many", '{"first": 1, "second": 2}', [1, 2]),
    ("nothing", "", "done"),
    ("nothing", "{}", "done"),
    ("Desk", '{"name": "Ada"}', "Ada"),
    ("greet", '{"name": "Ada"}', "Hello Ada"),
]


@pytest.mark.parametrize(("name", "arguments", "result"), RUNS)
async def test_a_call_runs_with_checked_arguments(name, arguments, result, rows):
    assert call(name, arguments).run(TOOLS) == result
    assert await call(name, arguments).arun(TOOLS) == result
    assert await call("slow_add", '{"a": 1, "b": 2}').arun(TOOLS) == 3
    found = rows("SELECT name, kind, status FROM spans ORDER BY start_ns")
    assert [tuple(row.values()) for row in found[:2]] == 2 * [(name, "tool", "ok")]


BAD_CALLS = [
    ("subtract", "{}", "there is no function for it; the functions are: add, transfer"),
    ("x", "{}", "there is no function for it"),
    ("add", "{}", "a: "),
    ("add", '{"a": "secret"}', "a: Input should be a valid integer"),
    ("add", '{"a": 1, "c": 2}', "c: Unexpected keyword argument"),
    ("add", '{"a": 1', "Invalid JSON"),
    ("add", "[1, 2]", "not a JSON object"),
    ("add", "null", "not a JSON object"),
    ("transfer", '{"account": {"number": "1"}, "amount": -2}', "amount: Input should be greater than 0"),
    ("transfer", '{"account": {}, "amount": 2}', "account.number: Field required"),
]


@pytest.mark.parametrize(("name", "arguments", "says"), BAD_CALLS)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_call_that_cannot_run_is_a_typed_error(name, arguments, says, asynchronous, rows):
    bad = call(name, arguments)
    with pytest.raises(llmops.ToolCallError, match=name) as caught:
        _ = asyncio.run(bad.arun(TOOLS)) if asynchronous else bad.run(TOOLS)
    error = caught.value
    assert says in str(error)
    assert says in "; ".join(error.errors)
    assert (error.tool, error.call_id) == (name, "call_7")
    assert "secret" not in str(error)
    assert pickle.loads(pickle.dumps(error)).errors == error.errors
    assert rows("SELECT name, kind, error_type FROM spans") == [
        {"name": name, "kind": "tool", "error_type": "ToolCallError"}
    ]


class AsyncDesk:
    async def __call__(self, a: int, b: int) -> int:
        return a + b


@pytest.mark.parametrize(
    "tool", [slow_add, llmops.trace(slow_add), functools.partial(slow_add, b=2), AsyncDesk(), AsyncDesk().__call__]
)
async def test_an_async_tool_needs_arun(tool):
    (definition,) = tool_definitions([tool])
    made = call(definition["function"]["name"], '{"a": 1, "b": 2}')
    with pytest.raises(llmops.ToolCallError, match="arun"):
        made.run([tool])
    assert await made.arun([tool]) == 3


async def test_a_sync_tool_does_not_block_the_event_loop():
    assert await call("thread_name", "").arun([thread_name]) != threading.current_thread().name


def test_an_error_of_the_tool_itself_passes_unchanged(rows):
    def fail(a: int) -> int:
        return Account.model_validate({"balance": a}).balance

    with pytest.raises(pydantic.ValidationError):
        call("fail", '{"a": 1}').run([fail])
    assert rows("SELECT error_type FROM spans") == [{"error_type": "ValidationError"}]


def test_the_span_has_the_call_and_its_result(rows):
    with llmops.span("agent"):
        call("add", '{"a": 2}').run([add])
    (found,) = rows(
        "SELECT input::VARCHAR AS input, output::VARCHAR AS output, parent_span_id IS NOT NULL AS below,"
        " attributes->>'gen_ai.tool.call.id' AS id, attributes->>'gen_ai.tool.name' AS tool"
        " FROM spans WHERE kind = 'tool'"
    )
    assert found == {"input": '{"a":2}', "output": "3", "below": True, "id": "call_7", "tool": "add"}


def test_a_loop_with_tools_ends_with_the_answer():
    provider = ScriptedProvider([llmops.Response(tool_calls=(call("add", '{"a": 2, "b": 2}'),)), "Four."])
    messages: list[dict[str, Any]] = [{"role": "user", "content": "2 + 2?"}]
    with use_provider(provider):
        answer = llmops.chat(messages, tools=[add])
        while answer.tool_calls:
            messages.append(answer.message)
            messages += [
                {"role": "tool", "tool_call_id": one.id, "content": str(one.run([add]))} for one in answer.tool_calls
            ]
            answer = llmops.chat(messages, tools=[add])
    assert answer.text == "Four."
    assert provider.requests[1].messages[-1]["content"] == "4"
