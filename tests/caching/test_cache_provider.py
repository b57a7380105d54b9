"""The cache stage: which answers it serves and stores."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import replace

import pytest
from four_ways import WAYS, answer_of

from llmops_sdk.caching import CacheProvider
from llmops_sdk.caching.exact._codec import Entry, read_entry, read_response, write_entry, write_response
from llmops_sdk.config import CacheSettings
from llmops_sdk.errors import ServerError
from llmops_sdk.providers import Provider, Response, ToolCall
from llmops_sdk.testing import ManualClock


@pytest.fixture(params=WAYS)
def ask(request):
    """Each of the four ways, as a function that gives a response."""
    return lambda provider, asked: answer_of(provider, asked, request.param)


def test_it_is_a_provider(make, counting):
    assert isinstance(make(counting()), Provider)


@pytest.mark.parametrize("name", ["complete", "stream"])
def test_the_async_twin_has_the_same_parameters(name):
    sync, twin = inspect.signature(getattr(CacheProvider, name)), inspect.signature(getattr(CacheProvider, "a" + name))
    assert sync.parameters == twin.parameters


def test_the_second_answer_is_served(make, counting, ask, request_, good, clock, lookups):
    inner = counting()
    provider = make(inner)
    first, clock_moved = ask(provider, request_), clock.advance(30)
    second = ask(provider, request_)
    assert clock_moved is None
    assert inner.calls == 1
    assert (first.cache, first.cost, first.saved_cost) == (None, 0.002, None)
    assert second == replace(good, cache="exact", cost=0.0, saved_cost=0.002, raw=None)
    assert lookups() == [
        {"tier": "exact", "hit": False, "decision": "stored"},
        {"tier": "exact", "hit": True, "decision": "served", "age_s": 30.0, "saved_cost": 0.002},
    ]


def test_it_outlives_the_process_that_stored_it(make, counting, request_, tmp_path):
    make(counting()).complete(request_)
    inner = counting()
    assert make(inner, path=tmp_path).complete(request_).cache == "exact"
    assert inner.calls == 0


@pytest.mark.parametrize(
    ("settings", "asked", "calls"),
    [({"exact": False}, None, 2), ({"exact": False}, True, 1), ({}, None, 1), ({}, False, 2), ({}, True, 1)],
)
def test_the_request_overrides_the_settings(make, counting, ask, request_, settings, asked, calls, lookups):
    inner = counting()
    provider = make(inner, **settings)
    for _ in range(2):
        ask(provider, replace(request_, cache=asked))
    assert inner.calls == calls
    if asked is False:
        assert lookups() == [{"tier": "exact", "hit": False, "decision": "bypassed", "reason": "asked"}] * 2
    elif calls == 2:
        assert lookups() == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"params": {"logprobs": True}}, "logprobs"),
        ({"params": {"top_logprobs": 2}}, "logprobs"),
        ({"extra": {"logprobs": 5}}, "logprobs"),
        ({"extra": {"modalities": ["text", "audio"]}}, "audio"),
    ],
)
def test_an_answer_with_more_than_a_text_is_not_served(make, counting, ask, request_, changes, reason, lookups):
    inner = counting()
    provider = make(inner)
    for _ in range(2):
        assert ask(provider, replace(request_, **changes)).cache is None
    assert inner.calls == 2
    assert lookups() == [{"tier": "exact", "hit": False, "decision": "bypassed", "reason": reason}] * 2
    ask(provider, replace(request_, params={"logprobs": False}))
    assert ask(provider, replace(request_, params={"logprobs": False})).cache == "exact"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"finish_reason": "length"}, "length"),
        ({"finish_reason": "refusal"}, "refusal"),
        ({"finish_reason": "content_filter"}, "content_filter"),
        ({"finish_reason": None}, "incomplete"),
        ({"finish_reason": "tool_calls", "tool_calls": (ToolCall(id="1", name="f", arguments="{}"),)}, "tool_calls"),
        ({"tool_calls": (ToolCall(id="1", name="f", arguments="{}"),)}, "tool_calls"),
        ({"text": ""}, "empty"),
    ],
)
def test_only_a_whole_text_is_stored(make, counting, ask, request_, good, changes, reason, lookups):
    inner = counting(replace(good, **changes))
    provider = make(inner)
    for _ in range(2):
        assert ask(provider, request_).cache is None
    assert inner.calls == 2
    assert lookups() == [{"tier": "exact", "hit": False, "decision": "not_stored", "reason": reason}] * 2


@pytest.mark.parametrize(
    ("params", "settings", "calls", "reason"),
    [
        ({"temperature": 0.7}, {}, 2, "sampled"),
        ({"temperature": 0.7}, {"sampled": True}, 1, None),
        ({"temperature": 0}, {}, 1, None),
        ({"n": 2}, {"sampled": True}, 2, "many_choices"),
        ({"n": 1}, {}, 1, None),
        ({"logit_bias": {1.5, 2.5}}, {}, 2, "not_json"),
    ],
)
def test_which_requests_use_the_cache(make, counting, ask, request_, params, settings, calls, reason, lookups):
    inner = counting()
    provider = make(inner, **settings)
    for _ in range(2):
        ask(provider, replace(request_, params=params))
    assert inner.calls == calls
    assert [lookup.get("reason") for lookup in lookups()] == ([reason] * 2 if reason else [None, None])


def test_tenants_and_servers_share_nothing(make, counting, request_, tmp_path):
    inner = counting()
    for namespace, identity in (("a", ""), ("b", ""), ("", "a"), ("", "")):
        assert make(inner, path=tmp_path, namespace=namespace, identity=identity).complete(request_).cache is None
    assert inner.calls == 4


def test_an_answer_expires_and_a_hit_does_not_extend_it(make, counting, ask, request_, clock):
    inner = counting()
    provider = make(inner, ttl=100.0)
    ask(provider, request_)
    clock.advance(99)
    assert ask(provider, request_).cache == "exact"
    clock.advance(1)
    assert ask(provider, request_).cache is None
    assert inner.calls == 2
    assert ask(provider, request_).cache == "exact"


def test_a_shorter_ttl_applies_to_stored_answers(make, counting, request_, clock, tmp_path):
    make(counting(), ttl=1000.0).complete(request_)
    clock.advance(50)
    assert make(counting(), path=tmp_path, ttl=None).complete(request_).cache == "exact"
    assert make(counting(), path=tmp_path, ttl=10.0).complete(request_).cache is None


@pytest.mark.parametrize(("back", "calls"), [(200.0, 1), (400.0, 2), (10_000_000.0, 2)])
def test_an_answer_from_the_future_is_not_served(counting, request_, clock, tmp_path, back, calls):
    """The system's clock was set back: the answer would stay valid until that time has come again."""
    inner = counting()
    for now in (clock, ManualClock(start=clock.time() - back)):
        provider = CacheProvider(inner, CacheSettings(exact=True, ttl=100.0), path=tmp_path, clock=now)
        provider.complete(request_)
        provider.close()
    assert inner.calls == calls


def test_without_ttl_it_does_not_expire(make, counting, request_, clock):
    provider = make(counting(), ttl=None)
    provider.complete(request_)
    clock.advance(10**9)
    assert provider.complete(request_).cache == "exact"


def test_an_error_is_raised_and_not_stored(make, counting, ask, request_, good, lookups):
    error = ServerError("down")
    answers = [error, good]

    def answer(_):
        one = answers.pop(0)
        if one is error:
            raise error
        return one

    provider = make(counting(answer))
    with pytest.raises(ServerError) as caught:
        ask(provider, request_)
    assert caught.value is error
    assert ask(provider, request_).text == good.text
    assert [(lookup["decision"], lookup.get("reason")) for lookup in lookups()] == [
        ("not_stored", "error"),
        ("stored", None),
    ]


def test_a_stream_that_is_left_early_is_not_stored(make, counting, request_, lookups):
    inner = counting()
    provider = make(inner)
    stream = provider.stream(request_)
    next(stream)
    stream.close()
    assert provider.complete(request_).cache is None
    assert lookups()[0] == {"tier": "exact", "hit": False, "decision": "not_stored", "reason": "closed"}


def test_clear_stats_and_use_after_close(make, counting, request_):
    provider = make(counting())
    for content in "aabbb":
        provider.complete(replace(request_, messages=[{"role": "user", "content": content}]))
    stats = provider.stats()
    assert (stats.hits, stats.misses, stats.stored, stats.shared, stats.entries) == (3, 2, 2, 0, 2)
    assert stats.bytes > 0
    provider.close()
    assert provider.clear() == 2
    assert provider.stats().entries == 0
    asyncio.run(provider.aclose())


def test_the_least_recently_used_is_dropped(make, counting, request_, good, clock):
    inner = counting(replace(good, text="x" * 20_000))
    provider = make(inner, max_bytes=400_000)

    def ask(n):
        return provider.complete(replace(request_, messages=[{"role": "user", "content": f"{n}"}])).cache

    for n in range(60):
        ask(n)
        ask(0)
        clock.advance(61)  # what is in memory is read from the disk again, which notes its use there
    stats = provider.stats()
    assert stats.bytes < 800_000
    assert 0 < stats.entries < 60
    assert ask(0) == "exact"
    assert ask(1) is None


def test_an_answer_too_big_for_the_cache_is_served_and_not_stored(make, counting, request_, good, lookups):
    provider = make(counting(replace(good, text="x" * 100_000)), max_bytes=400_000)
    assert len(provider.complete(request_).text) == 100_000
    assert provider.stats().entries == 0
    assert lookups() == [{"tier": "exact", "hit": False, "decision": "not_stored", "reason": "disk"}]


def test_a_text_that_is_not_utf8_is_served_and_not_stored(make, counting, request_, good):
    provider = make(counting(replace(good, text="half \ud83d")))
    assert [provider.complete(request_).text for _ in range(2)] == ["half \ud83d"] * 2
    assert provider.stats().entries == 0


# --- The stored form -------------------------------------------------------------------------------------------------


def test_a_stored_response_reads_back_equal(good):
    whole = replace(good, tool_calls=(ToolCall(id="1", name="f", arguments='{"a": 1}'),), simulated=True)
    entry = read_entry(write_entry(Entry(write_response(whole), 1.0, None)))
    assert read_response(entry.payload) == replace(whole, raw=None, cache="exact", cost=0.0, saved_cost=whole.cost)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80\x04.", b"[]", b"null", b'{"v":1}', b'{"v":2,"at":1.0,"until":null,"payload":{}}', b"\xff\xfe"]
    + [b'{"v":1,"at":"1","until":null,"payload":{}}', b'{"v":1,"at":1.0,"until":"x","payload":{}}'],
)
def test_bytes_that_are_not_an_entry_are_a_miss(data):
    assert read_entry(data) is None


@pytest.mark.parametrize("field", ["text", "model", "usage", "tool_calls", "simulated", "cost", "finish_reason"])
def test_a_field_of_another_type_is_a_miss(good, field):
    assert read_response({**write_response(good), field: {"x": []}}) is None
    assert read_response([]) is None


def test_a_missing_field_is_a_miss(good):
    stored = write_response(good)
    for field in stored.keys() - {"cost", "finish_reason", "response_id"}:
        assert read_response({name: value for name, value in stored.items() if name != field}) is None
    assert isinstance(read_response(stored), Response)


def user(text):
    return {"role": "user", "content": text}


IMAGE = "data:image/png;base64,"
OTHERS = {
    "system": {"messages": [{"role": "system", "content": "Be rude."}, user("The capital of France?")]},
    "tools": {"tools": [{"type": "function", "function": {"name": "look"}}]},
    "tool choice": {"params": {"tool_choice": "required"}},
    "response format": {"extra": {"response_format": {"type": "json_object"}}},
    "schema": {"response_schema": {"type": "object"}},
    "model": {"model": "script/two"},
    "image": {"messages": [user([{"type": "image_url", "image_url": {"url": f"{IMAGE}AA"}}])]},
    "other image": {"messages": [user([{"type": "image_url", "image_url": {"url": f"{IMAGE}AB"}}])]},
    "guards": {"policy_version": "other"},
    "conversation": {
        "messages": [user("Cancel my order?"), {"role": "assistant", "content": "Sure?"}, user("Yes, cancel it.")]
    },
    "other conversation": {
        "messages": [user("Cancel my card?"), {"role": "assistant", "content": "Sure?"}, user("Yes, cancel it.")]
    },
}


def test_the_same_words_in_another_request_are_another_question(make, counting, ask, request_):
    inner = counting()
    provider = make(inner)
    requests = [request_, *(replace(request_, **changes) for changes in OTHERS.values())]
    assert [ask(provider, one).cache for one in requests] == [None] * len(requests)
    assert [ask(provider, one).cache for one in requests] == ["exact"] * len(requests)
    assert inner.calls == len(requests)
