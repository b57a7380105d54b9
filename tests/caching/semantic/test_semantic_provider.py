"""The semantic tier in calls: scope before similarity, what is served and learned, streams, shadow mode, audits."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest

from llmops_sdk.caching import CacheProvider, open_semantic
from llmops_sdk.config import CacheSettings
from llmops_sdk.providers import Request, ToolCall

ASKED, REWORDED = "How do I close my account?", "how do i close my acount"


@pytest.fixture
def make_stage(tmp_path, clock):
    made = []

    def make(inner, *, identity="", namespace="", exact=False, admit=None, embedder=None, judge=None, **semantic):
        settings = CacheSettings(exact=exact, namespace=namespace, semantic={"mode": "serve", "audit": 0.0, **semantic})
        stage = open_semantic(
            inner, settings, path=tmp_path, clock=clock, identity=identity, admit=admit, embedder=embedder, judge=judge
        )
        made.append(CacheProvider(stage, settings, path=tmp_path, clock=clock) if exact else stage)
        return made[-1]

    yield make
    for one in made:
        one.close()


def ask(text: str, **fields) -> Request:
    fields = {"model": "script/one", "messages": [{"role": "user", "content": text}], **fields}
    return Request(**fields)


def test_reworded_question_is_served_without_a_call(make_stage, counting, good, lookups) -> None:
    inner = counting()
    stage = make_stage(inner)
    assert stage.complete(ask(ASKED)).cache is None
    served = stage.complete(ask(REWORDED))
    assert inner.calls == 1
    assert (served.cache, served.cost, served.saved_cost) == ("semantic", 0.0, good.cost)
    assert (served.text, served.usage, served.raw) == (good.text, good.usage, None)
    first, second = lookups()
    assert first == {"tier": "semantic", "hit": False, "decision": "empty", "reason": "none"}
    assert (second["hit"], second["decision"], second["reason"]) == (True, "served", "wording")
    assert second["saved_cost"] == good.cost
    assert 0.7 < second["similarity"] <= 1.0


OTHERS = {
    "model": {"model": "script/two"},
    "system prompt": {"messages": [{"role": "system", "content": "Be rude."}, {"role": "user", "content": ASKED}]},
    "earlier message": {
        "messages": [
            {"role": "user", "content": "I am a member."},
            {"role": "assistant", "content": "Good."},
            {"role": "user", "content": ASKED},
        ]
    },
    "tools": {"tools": ({"type": "function", "function": {"name": "close", "parameters": {"type": "object"}}},)},
    "tool choice": {"params": {"tool_choice": "none"}},
    "response format": {"response_schema": {"type": "object"}, "response_schema_name": "Answer"},
    "sampling": {"params": {"max_tokens": 10}},
    "guards": {"policy_version": "guards-2"},
    "image": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": ASKED},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ],
            }
        ]
    },
}


@pytest.mark.parametrize("changed", OTHERS)
def test_same_words_in_another_scope_are_a_miss_before_any_similarity(
    make_stage, counting, lookups, changed: str
) -> None:
    inner = counting()
    stage = make_stage(inner)
    stage.complete(ask(ASKED))
    stage.complete(ask(ASKED, **OTHERS[changed]))
    assert inner.calls == 2
    assert [one["decision"] for one in lookups()] == ["empty", "empty"]


@pytest.mark.parametrize("what", ["identity", "namespace"])
def test_another_server_or_tenant_is_a_miss(make_stage, counting, what: str) -> None:
    inner = counting()
    for value in ("one", "other"):
        make_stage(inner, **{what: value}).complete(ask(ASKED))
    assert inner.calls == 2


def test_two_images_with_the_same_words_are_two_scopes(make_stage, counting) -> None:
    inner = counting()
    stage = make_stage(inner)
    for data in ("AAAA", "BBBB"):
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
        stage.complete(ask("", messages=[{"role": "user", "content": [{"type": "text", "text": ASKED}, image]}]))
    assert inner.calls == 2


def test_last_message_that_is_no_users_text_goes_around(make_stage, counting, lookups) -> None:
    inner = counting()
    stage = make_stage(inner)
    result = {"role": "tool", "tool_call_id": "1", "content": "done"}
    stage.complete(ask("", messages=[{"role": "user", "content": ASKED}, result]))
    assert lookups() == [{"tier": "semantic", "hit": False, "decision": "bypassed", "reason": "no_question"}]


def test_placeholder_of_the_scope_is_a_question_like_any_other(make_stage, counting) -> None:
    inner = counting()
    stage = make_stage(inner)
    stage.complete(ask("\x00question"))
    stage.complete(ask(ASKED))
    assert inner.calls == 2


@pytest.mark.parametrize(
    "change",
    [
        {"finish_reason": "length"},
        {"finish_reason": "content_filter"},
        {"text": ""},
        {"tool_calls": (ToolCall(id="1", name="f", arguments="{}"),)},
        {"unchecked": True},
    ],
)
def test_answers_that_the_exact_tier_refuses_are_not_stored(make_stage, counting, good, change) -> None:
    inner = counting(replace(good, **change))
    stage = make_stage(inner)
    stage.complete(ask(ASKED))
    stage.complete(ask(REWORDED))
    assert inner.calls == 2
    assert stage.stats().entries == 0


def test_exact_tier_stands_in_front_and_does_not_take_semantic_answers(make_stage, counting, all_lookups) -> None:
    inner = counting()
    stage = make_stage(inner, exact=True)
    assert [stage.complete(ask(text)).cache for text in (ASKED, ASKED, REWORDED, REWORDED)] == [
        None,
        "exact",
        "semantic",
        "semantic",
    ]
    assert inner.calls == 1
    kept = [one for one in all_lookups() if one["tier"] == "exact"]
    assert [one.get("reason") for one in kept] == [None, None, "semantic", "semantic"]


def test_shadow_serves_nothing_and_says_what_it_would_serve(make_stage, counting, good, lookups) -> None:
    inner = counting()
    stage = make_stage(inner, mode="shadow")
    assert [stage.complete(ask(text)).cache for text in (ASKED, REWORDED)] == [None, None]
    assert inner.calls == 2
    would = lookups()[1]
    assert (would["hit"], would["decision"], would["saved_cost"]) == (False, "would_serve", good.cost)
    assert lookups()[2]["decision"] == "judged"
    assert stage.stats().labels == 0, "what wording serves is no evidence about scores"
    for question in ("How long does a transfer abroad take?", "How long do transfers abroad take to arrive?"):
        assert stage.complete(ask(question)).cache is None
    assert stage.stats().labels == 1


def test_stream_is_stored_when_whole_and_served_as_a_stream(make_stage, counting, good) -> None:
    inner = counting()
    stage = make_stage(inner)
    stream = stage.stream(ask(ASKED))
    next(stream)
    stream.close()
    assert stage.stats().entries == 0
    assert "".join(chunk.text for chunk in stage.stream(ask(ASKED))) == good.text
    assert "".join(chunk.text for chunk in stage.stream(ask(REWORDED))) == good.text
    assert inner.calls == 2


def test_async_calls_and_streams(make_stage, counting, good) -> None:
    inner = counting()
    stage = make_stage(inner)

    async def main() -> None:
        assert (await stage.acomplete(ask(ASKED))).cache is None
        assert (await stage.acomplete(ask(REWORDED))).cache == "semantic"
        assert "".join([chunk.text async for chunk in stage.astream(ask("HOW do I close my account"))]) == good.text
        other = [chunk.text async for chunk in stage.astream(ask("Where is my card?"))]
        assert "".join(other) == good.text
        assert (await stage.acomplete(ask("where is my card"))).cache == "semantic"

    asyncio.run(main())
    assert inner.calls == 2


def test_embedder_that_fails_is_a_miss(make_stage, counting, application) -> None:
    def broken(texts: list[str]) -> list[list[float]]:
        raise ConnectionError("no embedder today")

    inner = counting()
    stage = make_stage(inner, embedder=broken)
    assert stage.complete(ask(ASKED)).cache is None
    assert asyncio.run(stage.acomplete(ask(ASKED))).cache is None
    assert inner.calls == 2


def test_audit_calls_the_model_in_the_background_and_labels_the_hit(make_stage, counting, good) -> None:
    called = threading.Event()

    def answer(request: Request):
        if request.messages[-1]["content"] == REWORDED:
            called.set()
        return good

    stage = make_stage(counting(answer), audit=1.0)
    stage.complete(ask(ASKED))
    assert stage.complete(ask(REWORDED)).cache == "semantic"
    assert called.wait(30)
    audits = [thread for thread in threading.enumerate() if thread.name == "llmops-audit"]
    for thread in audits:
        thread.join(30)
    assert stage.stats().audited == 1


def test_call_around_the_cache_goes_around_this_tier_too(make_stage, counting, lookups) -> None:
    inner = counting()
    stage = make_stage(inner)
    stage.complete(ask(ASKED))
    assert stage.complete(ask(ASKED, cache=False)).cache is None
    assert inner.calls == 2
    assert len(lookups()) == 1


def test_admission_in_code_decides(make_stage, counting) -> None:
    inner = counting()
    stage = make_stage(inner, admit=lambda _: False)
    stage.complete(ask(ASKED))
    assert stage.stats().entries == 0


TALK = [
    {"role": "user", "content": "I'm 6 months into an 18 month Nimbus broadband contract at £30 a month"},
    {"role": "assistant", "content": "Thanks. What would you like to know about it?"},
]
CHATTY = [
    {"role": "user", "content": "Hi! I'm 6 months into an 18 month Nimbus broadband contract at £30 a month"},
    {"role": "assistant", "content": "Thanks. What would you like to know about it?"},
]
OTHER = [
    {"role": "user", "content": "I'm 6 months into an 18 month Kestrel mobile contract at £12 a month"},
    {"role": "assistant", "content": "Thanks. What would you like to know about it?"},
]


@pytest.mark.parametrize(
    ("history", "before", "served"),
    [
        ("exact", TALK, True),
        ("exact", CHATTY, False),
        ("exact", OTHER, False),
        ("facts", TALK, True),
        ("facts", CHATTY, True),
        ("facts", OTHER, False),
        ("facts", [], False),
    ],
)
def test_what_was_said_before_must_agree(make_stage, counting, history, before, served) -> None:
    inner = counting()
    stage = make_stage(inner, history=history)
    last = {"role": "user", "content": "How much would it cost to leave now?"}
    stage.complete(ask("", messages=[*TALK, last]))
    again = {"role": "user", "content": "how much would it cost to leave now"}
    assert (stage.complete(ask("", messages=[*before, again])).cache == "semantic") is served


def test_history_with_tools_must_be_equal_in_any_case(make_stage, counting) -> None:
    inner = counting()
    stage = make_stage(inner, history="facts")
    for number in ("1", "2"):
        called = {"role": "assistant", "content": "", "tool_calls": [{"id": number}]}
        stage.complete(ask("", messages=[called, {"role": "user", "content": ASKED}]))
    assert inner.calls == 2


def test_judge_gets_the_texts_of_both_answers(make_stage, counting, good) -> None:
    given = []
    stage = make_stage(counting(), judge=lambda question, stored, new: given.append((question, stored, new)) or True)
    stage.complete(ask(ASKED))
    stage.complete(ask("How can I get rid of my account?"))
    assert given == [("How can I get rid of my account?", good.text, good.text)]
    assert stage.stats().labels == 1
