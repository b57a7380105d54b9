"""The offline models: determinism, token counts, speed, failures, tool calls and schemas."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from llmops_sdk import errors
from llmops_sdk.config import PriceSettings, Settings, Timeout, resolve_model
from llmops_sdk.providers import (
    Accumulator,
    Provider,
    Request,
    Response,
    ToolCall,
    ToolCallDelta,
    Usage,
    chunks_of,
    cost_of,
    count_messages,
    count_tokens,
    open_provider,
)
from llmops_sdk.providers._genai import input_messages_json, output_messages_json
from llmops_sdk.providers._tokens import load_counter
from llmops_sdk.providers._types import Chunk

TOOL = {
    "type": "function",
    "function": {
        "name": "balance",
        "parameters": {"type": "object", "properties": {"account": {"type": "integer"}}, "required": ["account"]},
    },
}


class RecordedWaits:
    """A clock that records its waits instead of waiting."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def time(self) -> float:
        return sum(self.waits)

    monotonic = time

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def asleep(self, seconds: float) -> None:
        self.waits.append(seconds)


def opened(model: str = "offline/echo", clock: RecordedWaits | None = None, **options: Any) -> Provider:
    settings = Settings(model=model, options=options, prices={"offline/echo": PriceSettings(input=1, output=2)})
    return open_provider(resolve_model(settings), clock=clock or RecordedWaits())


def ask(text: str = "Where is my card?", **fields: Any) -> Request:
    return Request(model="offline/echo", messages=[{"role": "user", "content": text}], **fields)


def joined(chunks: list[Chunk]) -> Response:
    whole = Accumulator()
    for chunk in chunks:
        whole.add(chunk)
    return whole.response()


async def test_all_call_styles_give_the_same_answer():
    provider, request = opened(), ask()
    answers = [
        provider.complete(request),
        await provider.acomplete(request),
        joined(list(provider.stream(request))),
        joined([chunk async for chunk in provider.astream(request)]),
    ]
    for answer in answers:
        assert (answer.text, answer.finish_reason, answer.simulated) == ("Where is my card?", "stop", True)
        assert (answer.model, answer.provider) == ("echo", "offline")
        assert answer.usage == Usage(input_tokens=8, output_tokens=5)
        assert answer.cost == pytest.approx(18e-6)


def test_token_counts_match_the_encoding_and_add_up():
    # Known counts of cl100k_base: https://platform.openai.com/tokenizer
    assert [count_tokens(text) for text in ("", "tiktoken is great!", "antidisestablishmentarianism", "2 + 2 = 4")] == [
        0,
        6,
        6,
        7,
    ]
    one, two = {"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "Good day"}
    assert count_messages([one, two]) == count_messages([one]) + count_messages([two])
    assert count_tokens("\ud800") > 0


def test_missing_vocabulary_gives_rough_counts_and_a_warning(caplog):
    assert load_counter(None)("Where is my card?") == 6
    assert "rough" in caplog.text


def test_latency_first_token_and_speed_delay_the_answer():
    clock = RecordedWaits()
    provider = opened(clock=clock, latency=2, first_token=0.5, tokens_per_second=4)
    provider.complete(ask("one two three four"))
    assert clock.waits == [2]
    clock.waits.clear()
    list(provider.stream(ask("one two three four")))
    assert clock.waits == [0.5, 0.25, 0.25, 0.25, 0.25]


@pytest.mark.parametrize(
    ("bounds", "options"),
    [
        (Timeout(total=1), {"latency": 2}),
        (Timeout(total=1), {"tokens_per_second": 1}),
        (Timeout(first_token=1), {"latency": 2}),
        (Timeout(between_chunks=1), {"tokens_per_second": 0.1}),
    ],
)
def test_stream_times_out_at_every_bound(bounds, options):
    clock = RecordedWaits()
    with pytest.raises(errors.ProviderTimeoutError):
        list(opened(clock=clock, **options).stream(ask("one two three four", timeout=bounds)))
    assert clock.time() <= 1


def test_failure_count_does_not_depend_on_concurrency():
    def fails(provider: Provider) -> str:
        try:
            provider.complete(ask())
        except errors.ProviderError as error:
            return type(error).__name__
        return "ok"

    failures = {"rate": 0.3, "errors": ["server", "rate_limit"], "retry_after": 2}
    one, other = opened(seed=5, failures=failures), opened(seed=5, failures=failures)
    in_turn = [fails(one) for _ in range(200)]
    with ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(fails, [other] * 200))
    assert sorted(in_turn) == sorted(at_once)
    assert 30 < 200 - in_turn.count("ok") < 90
    assert set(in_turn) == {"ok", "ServerError", "RateLimitError"}


def test_failure_sequence_raises_its_errors_in_order():
    provider = opened(failures={"sequence": ["rate_limit", "ok", "interrupted", "incomplete"], "retry_after": 1.5})
    with pytest.raises(errors.RateLimitError) as limited:
        provider.complete(ask())
    assert (limited.value.status_code, limited.value.retry_after) == (429, 1.5)
    assert provider.complete(ask()).text
    for kind in (errors.StreamInterruptedError, errors.IncompleteResponseError):
        with pytest.raises(kind) as broken:
            list(provider.stream(ask()))
        assert type(broken.value) is kind
        assert broken.value.partial.finish_reason is None
        assert "Where is my card?".startswith(broken.value.partial.text)


def test_script_answers_by_rules_then_in_turn():
    rules = [
        {"match": "refund", "text": "In five days."},
        {"match": r"card\b.*\?", "text": "By post."},
        "First.",
        "Second.",
    ]
    provider = opened("offline/script", answers=rules)
    texts = [provider.complete(ask(text)).text for text in ("A REFUND?", "my card?", "x", "y", "z")]
    assert texts == ["In five days.", "By post.", "First.", "Second.", "First."]


def test_script_without_answers_is_deterministic_by_seed():
    one, same, other = (opened("offline/script", seed=seed) for seed in (1, 1, 2))
    assert one.complete(ask()).text == same.complete(ask()).text != other.complete(ask()).text
    assert one.complete(ask("other")).text != one.complete(ask()).text


def test_scripted_tool_call_then_text_after_its_result():
    provider = opened("offline/script", answers=[{"match": "balance", "tool_calls": [{"name": "balance"}]}, "Fine."])
    request = ask("My balance?", tools=[TOOL])
    answer = provider.complete(request)
    assert answer.finish_reason == "tool_calls"
    assert isinstance(json.loads(answer.tool_calls[0].arguments)["account"], int)
    assert joined(list(provider.stream(request))).tool_calls == answer.tool_calls
    result = {"role": "tool", "tool_call_id": answer.tool_calls[0].id, "content": "12"}
    after = Request(model="offline/script", messages=[*request.messages, answer.message, result], tools=[TOOL])
    assert provider.complete(after).text == "Fine."
    assert provider.complete(ask("My balance?")).text == "Fine."


def test_tool_choice_forces_a_call_or_rejects_an_unknown_tool():
    provider = opened()
    named = {"type": "function", "function": {"name": "balance"}}
    for choice in ("required", named):
        assert provider.complete(ask(tools=[TOOL], params={"tool_choice": choice})).tool_calls[0].name == "balance"
    assert not provider.complete(ask(tools=[TOOL], params={"tool_choice": "none"})).tool_calls
    with pytest.raises(errors.BadRequestError, match="refund"):
        provider.complete(ask(tools=[TOOL], params={"tool_choice": {"function": {"name": "refund"}}}))


def test_schema_is_satisfied_or_rejected_with_a_reason():
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 3}}}
    assert json.loads(opened().complete(ask(response_schema=schema)).text) == {"n": 3}
    with pytest.raises(errors.BadRequestError, match="not"):
        opened().complete(ask(response_schema={"not": {}}))


def test_max_tokens_and_stop_cut_the_answer():
    cut = opened().complete(ask("one two three four five", params={"max_tokens": 2}))
    assert (cut.text, cut.finish_reason, cut.usage.output_tokens) == ("one two", "length", 2)
    assert opened().complete(ask("one. two.", params={"stop": "."})).text == "one"


async def test_vectors_have_unit_length_and_reflect_shared_words():
    provider = opened()
    texts = ["where is my card", "where is my new card", "interest rates of a mortgage", ""]
    found = provider.embed(texts, ask())
    assert (await provider.aembed(texts, ask())).vectors == found.vectors

    def dot(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    first, near, far, _ = found.vectors
    assert all(dot(vector, vector) == pytest.approx(1) for vector in found.vectors)
    assert dot(first, near) > 0.5 > dot(first, far)
    assert len(provider.embed(["a"], ask(params={"dimensions": 8})).vectors[0]) == 8


@pytest.mark.parametrize(
    ("model", "options", "nearest"),
    [
        ("offline/echo", {"latncy": 1}, "latency"),
        ("offline/echo", {"failures": {"rat": 1}}, "rate"),
        ("offline/ecko", {}, "offline/echo"),
    ],
)
def test_unknown_option_or_model_suggests_the_nearest(model, options, nearest):
    with pytest.raises(errors.ConfigError) as caught:
        opened(model, **options)
    assert caught.value.nearest == nearest
    assert nearest in str(caught.value)


async def test_cancelled_call_ends_at_once():
    settings = Settings(options={"latency": 600})
    task = asyncio.create_task(open_provider(resolve_model(settings)).acomplete(ask(timeout=Timeout(total=None))))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_splitting_and_joining_a_response_is_lossless():
    calls = (ToolCall(id="a", name="f", arguments='{"x": [1, 2]}'), ToolCall(id="b", name="g", arguments=""))
    whole = Response(
        text="  Good\nday, to  you ", tool_calls=calls, reasoning="Well …", usage=Usage(input_tokens=1), cost=0.5,
        saved_cost=0.1, model="m", provider="p", finish_reason="stop", cache="exact", response_id="r",
    )  # fmt: skip
    assert joined(list(chunks_of(whole))) == whole


def test_interleaved_and_same_index_tool_calls_stay_separate():
    def piece(index: int, **fields: Any) -> Chunk:
        return Chunk(tool_calls=(ToolCallDelta(index=index, **fields),))

    pieces = [piece(0, id="a", name="f"), piece(1, id="b", name="g"), piece(0, arguments="1"), piece(1, arguments="2")]
    assert [(c.id, c.arguments) for c in joined(pieces).tool_calls] == [("a", "1"), ("b", "2")]
    whole = [piece(0, id="a", name="f", arguments="1"), piece(0, id="b", name="g", arguments="2")]
    assert [(c.id, c.arguments) for c in joined(whole).tool_calls] == [("a", "1"), ("b", "2")]


def test_cached_input_tokens_use_their_own_price():
    usage = Usage(input_tokens=1_000_000, cache_read_tokens=400_000, output_tokens=1_000_000)
    assert cost_of(usage, PriceSettings(input=10, output=1, cache_read=1)) == pytest.approx(6 + 0.4 + 1)
    assert cost_of(usage, PriceSettings(input=10, output=1)) == pytest.approx(11)


@pytest.mark.parametrize(
    "odd",
    [object(), {1: {2}}, "\ud800", 2**70, b"\xff", [float("nan")], 10**5000, None, {"type": 3}],
    ids=lambda odd: type(odd).__name__,
)
def test_message_json_is_strict_for_any_value(odd):
    shapes: list[Callable[[], dict[str, Any]]] = [
        lambda: {"role": "user", "content": odd},
        lambda: {"role": odd, "content": [odd]},
        lambda: {"role": "tool", "content": odd, "tool_call_id": odd},
        lambda: {"role": "assistant", "tool_calls": [odd, {"function": {"arguments": odd}}]},
    ]
    for shape in shapes:
        assert isinstance(json.loads(input_messages_json(Request(model="m", messages=[shape()]))), list)


def test_output_messages_always_have_a_finish_reason():
    call = ToolCall(id="1", name="f", arguments='{"a": 1}')
    for answer in (
        Response(text="x", finish_reason="stop"),
        Response(tool_calls=(call,), finish_reason="tool_calls"),
        Response(),
    ):
        (message,) = json.loads(output_messages_json(answer))
        assert message["finish_reason"]
        assert message["parts"]
    assert json.loads(output_messages_json(Response(tool_calls=(call,))))[0]["parts"][0]["arguments"] == {"a": 1}


def test_offline_provider_imports_nothing_heavy():
    program = (
        "import sys; from llmops_sdk.config import Settings, resolve_model; from llmops_sdk.providers import *;"
        "open_provider(resolve_model(Settings())).complete("
        "Request(model='offline/echo', messages=[{'role': 'user', 'content': 'Hi'}]));"
        "sys.exit(' '.join({'litellm', 'openai', 'httpx', 'numpy', 'duckdb', 'requests'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
