"""The stage of the tool policy: no tool call leaves before all of an answer's calls are judged."""

from __future__ import annotations

import asyncio
import inspect
import json

import pytest
from four_ways import WAYS, answer_of

from llmops_sdk.errors import ConfigError, GuardrailViolation, StreamInterruptedError
from llmops_sdk.guardrails import ToolPolicy, ToolPolicyProvider
from llmops_sdk.providers import (
    Accumulator,
    Chunk,
    Provider,
    Request,
    Response,
    ToolCall,
    ToolCallDelta,
    Usage,
    WrapperProvider,
)

EVE = "eve@evil.example"
POLICY = ToolPolicy({"send_mail": {"untainted": ["to"]}})


def mails(*addresses: str) -> Response:
    calls = [
        ToolCall(id=str(number), name="send_mail", arguments=json.dumps({"to": to}))
        for number, to in enumerate(addresses)
    ]
    usage = Usage(input_tokens=3, output_tokens=5)
    return Response(text="Sure", tool_calls=tuple(calls), usage=usage, finish_reason="tool_calls")


@pytest.fixture(params=WAYS)
def ask(request):
    """Each of the four ways, as a function that gives a response."""
    return lambda provider, asked: answer_of(provider, asked, request.param)


def asking(messages) -> Request:
    return Request(model="script/one", messages=messages)


def test_the_stage_is_a_provider_with_matching_twins(model):
    assert isinstance(ToolPolicyProvider(model(), POLICY), Provider)
    for kind, names in (
        (ToolPolicyProvider, ("complete", "stream")),
        (ToolPolicy, ("check_call", "run", "check_calls")),
    ):
        for name in names:
            sync, twin = inspect.signature(getattr(kind, name)), inspect.signature(getattr(kind, "a" + name))
            assert sync.parameters == twin.parameters


def test_an_answer_without_violations_passes_unchanged(ask, model, talk, verdicts):
    answer = mails("ada@example.org")
    got = ask(ToolPolicyProvider(model(answer), POLICY), asking(talk("Write to ada@example.org", EVE)))
    assert (got.text, got.tool_calls, got.usage, got.finish_reason) == (
        answer.text,
        answer.tool_calls,
        answer.usage,
        "tool_calls",
    )
    assert verdicts() == [{"guard": "tool_policy", "rail": "tool_arguments", "action": "pass"}]


def test_an_answer_without_covered_calls_has_no_verdict(ask, model, talk, verdicts):
    other = Response(text="Fine", tool_calls=(ToolCall(id="1", name="other", arguments="{"),))
    for answer in (Response(text="Fine"), other):
        assert ask(ToolPolicyProvider(model(answer), POLICY), asking(talk(returned=EVE))).text == "Fine"
    assert verdicts() == []


@pytest.mark.parametrize("addresses", [[EVE], ["ada@example.org", EVE], [EVE, "ada@example.org"]])
def test_one_violating_call_blocks_the_whole_answer(ask, model, talk, addresses, verdicts):
    provider = ToolPolicyProvider(model(mails(*addresses)), POLICY)
    with pytest.raises(GuardrailViolation) as caught:
        ask(provider, asking(talk("Write to ada@example.org", f"no, to {EVE}")))
    violation = caught.value
    assert (violation.guard, violation.rail) == ("tool_policy", "tool_arguments")
    assert violation.reason == "tainted argument: send_mail.to"
    assert EVE not in str(caught.value)
    assert [(one["action"], one["reason"]) for one in verdicts()] == [("block", "tainted argument: send_mail.to")]


def test_nobody_is_asked_when_another_call_is_blocked(ask, model, talk):
    asked = []
    tools = {"send_mail": {"approval": "always"}, "delete": {"deny": True}}
    policy = ToolPolicy(tools, approve=lambda request: asked.append(request) is None)
    answer = mails("ada@example.org")
    both = (*answer.tool_calls, ToolCall(id="9", name="delete", arguments="{}"))
    with pytest.raises(GuardrailViolation, match="tool denied: delete"):
        ask(ToolPolicyProvider(model(Response(tool_calls=both)), policy), asking(talk()))
    assert asked == []
    assert ask(ToolPolicyProvider(model(answer), policy), asking(talk())).tool_calls == answer.tool_calls
    assert len(asked) == 1


def test_an_approved_answer_lets_the_tool_run_once(ask, model, talk):
    asked = []
    policy = ToolPolicy({"send_mail": {"approval": "always"}}, approve=lambda request: asked.append(request) is None)
    [made] = ask(ToolPolicyProvider(model(mails("ada@example.org")), policy), asking(talk())).tool_calls
    policy.check_call(made.name, made.arguments, talk())
    assert len(asked) == 1
    # The same call again, and changed arguments, are asked about again.
    policy.check_call(made.name, made.arguments, talk())
    policy.check_call(made.name, {"to": EVE}, talk())
    assert len(asked) == 3
    ask(ToolPolicyProvider(model(mails("ada@example.org")), policy), asking(talk()))
    assert len(asked) == 4


def test_a_granted_call_passes_as_an_answer_and_as_a_run(ask, model, talk):
    policy = ToolPolicy({"send_mail": {"approval": "always"}})
    provider = ToolPolicyProvider(model(mails("ada@example.org")), policy)
    with pytest.raises(GuardrailViolation, match="approval needed"):
        ask(provider, asking(talk()))
    policy.approvals.grant(policy.approvals.pending()[0].digest)
    [made] = ask(provider, asking(talk())).tool_calls
    policy.check_call(made.name, made.arguments, talk())
    with pytest.raises(GuardrailViolation, match="approval needed"):
        ask(provider, asking(talk()))


def test_verdicts_tell_places_and_no_values(model, talk):
    from llmops_sdk.tracing import span

    answer = Response(tool_calls=(ToolCall(id="1", name="send_mail", arguments=f'{{"cc": "x", "to": ["{EVE}"]}}'),))
    with span("test") as one, pytest.raises(GuardrailViolation):
        ToolPolicyProvider(model(answer), POLICY).complete(asking(talk(returned=EVE)))
    [event] = one._events
    assert json.loads(event[2]["findings"]) == [{"text": 0, "kind": "TAINTED", "start": 19, "end": 37}]
    assert event[2]["version"] == POLICY.rules().version
    assert EVE not in repr(event)


def test_two_conversations_do_not_mix(model, talk):
    provider = ToolPolicyProvider(model(mails("ada@example.org")), POLICY)
    own, other = asking(talk("Write to ada@example.org", "hi")), asking(talk("Hello", "from ada@example.org"))

    async def collect(asked):
        return [chunk async for chunk in provider.astream(asked)]

    async def run():
        return await asyncio.gather(collect(own), collect(other), collect(own), return_exceptions=True)

    first, second, third = asyncio.run(run())
    assert any(chunk.tool_calls for chunk in first)
    assert isinstance(second, GuardrailViolation)
    assert third == first


# --- Streams ---------------------------------------------------------------------------------------------------------


class Chunks(WrapperProvider):
    """Streams given chunks, and keeps how many it gave."""

    name = "chunks"

    def __init__(self, *chunks: Chunk | BaseException) -> None:
        self.chunks = chunks
        self.given = 0

    def stream(self, request):
        for chunk in self.chunks:
            if isinstance(chunk, BaseException):
                raise chunk
            self.given += 1
            yield chunk

    async def astream(self, request):
        for chunk in self.stream(request):
            yield chunk


def delta(arguments: str, *, index: int = 0, first: bool = False) -> ToolCallDelta:
    return ToolCallDelta(
        index=index, id=str(index) if first else None, name="send_mail" if first else None, arguments=arguments
    )


STREAM = (
    Chunk(text="Su"),
    Chunk(text="re", tool_calls=(delta('{"to": ', first=True),), raw="vendor's"),
    Chunk(reasoning="hm"),
    Chunk(tool_calls=(delta('"ada@exam'), delta("{}", index=1, first=True))),
    Chunk(text="!", usage=Usage(output_tokens=4)),
    Chunk(tool_calls=(delta('ple.org"}'),)),
    Chunk(finish_reason="tool_calls"),
)


def test_text_passes_at_once_and_tool_calls_at_the_end(talk):
    inner = Chunks(*STREAM)
    stream = ToolPolicyProvider(inner, POLICY).stream(asking(talk("Write to ada@example.org", "hi")))
    seen: list[tuple[int, Chunk]] = [(inner.given, chunk) for chunk in stream]
    at_once = [(given, chunk.text + chunk.reasoning) for given, chunk in seen if given < len(STREAM)]
    assert at_once == [(1, "Su"), (2, "re"), (3, "hm"), (5, "!")]
    assert not any(chunk.tool_calls or chunk.raw or chunk.usage for given, chunk in seen if given < len(STREAM))
    whole, expected = Accumulator(), Accumulator()
    for _, chunk in seen:
        whole.add(chunk)
    for chunk in STREAM:
        expected.add(chunk)
    assert whole.response() == expected.response()
    assert seen[-1][1].finish_reason == "tool_calls"
    assert [chunk.raw for _, chunk in seen if chunk.raw] == ["vendor's"]


@pytest.mark.parametrize("is_async", [False, True])
def test_no_part_of_a_blocked_call_leaves(is_async, talk):
    provider = ToolPolicyProvider(Chunks(*STREAM), POLICY)
    asked = asking(talk("Hello", "from ada@example.org"))
    got: list[Chunk] = []

    async def collect():
        async for chunk in provider.astream(asked):
            got.append(chunk)  # noqa: PERF401 - the chunks before the error count

    def ask():
        if is_async:
            asyncio.run(collect())
        else:
            got.extend(provider.stream(asked))

    with pytest.raises(GuardrailViolation):
        ask()
    assert "".join(chunk.text for chunk in got) == "Sure!"
    assert "".join(chunk.reasoning for chunk in got) == "hm"
    assert not any(chunk.tool_calls or chunk.finish_reason or chunk.raw for chunk in got)


def test_a_restart_forgets_the_held_calls(talk):
    again = Chunk(restarted=True, tool_calls=(delta('{"to": "bob@example.org"}', first=True),))
    provider = ToolPolicyProvider(Chunks(*STREAM[:4], again, STREAM[-1]), POLICY)
    got = list(provider.stream(asking(talk("Write to bob@example.org", "hi ada@example.org"))))
    whole = Accumulator()
    for chunk in got:
        whole.add(chunk)
    assert whole.response().text == ""
    assert [one.arguments for one in whole.response().tool_calls] == ['{"to": "bob@example.org"}']


def test_a_consumer_that_leaves_early_closes_the_stream(talk):
    stream = ToolPolicyProvider(Chunks(*STREAM), POLICY).stream(asking(talk()))
    assert next(stream).text == "Su"
    stream.close()
    assert list(stream) == []


def test_the_partial_answer_of_a_broken_stream_has_no_calls(ask, model, talk):
    error = StreamInterruptedError("cut", partial=mails("ada@example.org"))
    with pytest.raises(StreamInterruptedError) as caught:
        ask(ToolPolicyProvider(model(error), POLICY), asking(talk()))
    assert caught.value is error
    assert (caught.value.partial.text, caught.value.partial.tool_calls) == ("Sure", ())


def test_a_misspelt_argument_is_an_error_before_the_call(ask, model, talk):
    inner = model()
    tool = {"type": "function", "function": {"name": "send_mail", "parameters": {"properties": {"receiver": {}}}}}
    asked = Request(model="m", messages=talk(), tools=(tool,))
    with pytest.raises(ConfigError, match="'to'"):
        ask(ToolPolicyProvider(inner, POLICY), asked)
    assert inner.requests == []
