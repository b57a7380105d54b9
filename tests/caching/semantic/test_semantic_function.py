"""`@cache(semantic=...)`: results by what a text asks for."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar

import pytest

import llmops_sdk as llmops
from llmops_sdk.caching import cache, invalidate
from llmops_sdk.errors import ConfigError

ASKED, REWORDED = "How do I close my account?", "how do i close my acount"


def test_reworded_call_gets_the_result_and_the_exact_tier_does_not_keep_it(make_cache, tmp_path) -> None:
    calls = []

    @llmops.cache(semantic=make_cache(), path=tmp_path / "exact")
    def answer(question: str, language: str = "en") -> str:
        calls.append(question)
        return f"{language}: {question}"

    assert answer(ASKED) == answer(REWORDED) == answer(REWORDED) == f"en: {ASKED}"
    assert calls == [ASKED]
    assert answer(REWORDED, language="de") == f"de: {REWORDED}"
    assert answer("How do I open my account?") == "en: How do I open my account?"
    assert len(calls) == 3


def test_coroutine_function(make_cache, tmp_path) -> None:
    calls = []

    @llmops.cache(semantic=make_cache(), path=tmp_path / "exact")
    async def answer(question: str) -> dict[str, str]:
        calls.append(question)
        return {"to": question}

    async def main() -> None:
        assert await answer(ASKED) == await answer(REWORDED) == {"to": ASKED}

    asyncio.run(main())
    assert calls == [ASKED]


def test_configured_cache_and_another_argument_as_the_text(tmp_path) -> None:
    calls = []

    @llmops.cache(semantic="serve", text="question", path=tmp_path / "exact")
    def answer(tenant: int, question: str) -> str:
        calls.append(tenant)
        return question

    assert answer(1, ASKED) == answer(1, REWORDED) == ASKED
    assert answer(2, REWORDED) == REWORDED
    assert calls == [1, 2]


def test_results_that_are_not_json_and_texts_that_are_none_are_made_anew(make_cache, tmp_path) -> None:
    calls = []

    @llmops.cache(semantic=make_cache(), path=tmp_path / "exact")
    def answer(question: str | None) -> object:
        calls.append(question)
        return object()

    for question in (ASKED, REWORDED, None, " "):
        answer(question)
    assert calls == [ASKED, REWORDED, None, " "]


def test_two_functions_do_not_share(make_cache, tmp_path) -> None:
    cache = make_cache()

    @llmops.cache(semantic=cache, path=tmp_path / "exact")
    def one(question: str) -> str:
        return f"one {question}"

    @llmops.cache(semantic=cache, path=tmp_path / "exact")
    def two(question: str) -> str:
        return f"two {question}"

    assert (one(ASKED), two(REWORDED)) == (f"one {ASKED}", f"two {REWORDED}")


def test_wrong_arguments_are_refused(make_cache, tmp_path) -> None:
    with pytest.raises(ConfigError, match="serve"):
        llmops.cache(semantic="shadow")

    @llmops.cache(semantic=make_cache(), text="prompt", path=tmp_path / "exact")
    def answer(question: str) -> str:
        return question

    with pytest.raises(ConfigError, match="question"):
        answer(ASKED)


def test_tags_keep_their_promise_in_both_tiers(tmp_path) -> None:
    version = ["1"]

    @llmops.cache(semantic="serve", tags=["prices"], path=tmp_path / "c")
    def answer(question: str) -> str:
        return f"{version[0]} {question}"

    answer(ASKED)
    version[0] = "2"
    assert invalidate(tag="prices", path=tmp_path / "c") == 2
    assert answer(REWORDED) == f"2 {REWORDED}"


def test_invalidating_a_call_removes_its_semantic_entry(make_cache, tmp_path) -> None:
    version = ["1"]

    @llmops.cache(semantic=make_cache(), path=tmp_path / "c")
    def answer(question: str) -> str:
        return version[0]

    answer(ASKED)
    version[0] = "2"
    assert answer.cache_invalidate(ASKED)
    assert answer(REWORDED) == "2"


def test_time_to_live_of_the_decorator_is_that_of_the_configured_tier(tmp_path) -> None:
    version = ["1"]

    @llmops.cache(semantic="serve", ttl=0.001, path=tmp_path / "c")
    def answer(question: str) -> str:
        return version[0]

    answer(ASKED)
    version[0] = "2"
    until = time.monotonic() + 60
    while answer(REWORDED) == "1":
        assert time.monotonic() < until


def test_admission_holds_for_the_semantic_tier(make_cache, tmp_path) -> None:
    calls = []

    @llmops.cache(semantic=make_cache(), admit=lambda _: False, path=tmp_path / "c")
    def answer(question: str) -> str:
        calls.append(question)
        return question

    answer(ASKED), answer(REWORDED)
    assert len(calls) == 2


@pytest.mark.parametrize("given", [True, 1, "shadow", object()])
def test_what_is_no_semantic_cache_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match="SemanticCache"):
        llmops.cache(semantic=given)


TENANT: ContextVar[str] = ContextVar("tenant", default="A")


def test_key_of_the_cache_is_in_the_scope_of_the_semantic_tier(tmp_path):
    """What the key adds, such as a tenant that is no argument, parts the answers of the semantic tier too."""

    @cache(path=tmp_path / "c", key=lambda question: [question, TENANT.get()], semantic="serve")
    def answer(question: str) -> str:
        return f"{TENANT.get()}: {question}"

    assert answer(ASKED) == f"A: {ASKED}"
    assert answer(REWORDED) == f"A: {ASKED}"
    token = TENANT.set("B")
    try:
        assert answer(REWORDED) == f"B: {REWORDED}"
    finally:
        TENANT.reset(token)


def test_method_with_a_key_has_a_semantic_tier(tmp_path):
    class Bot:
        def __init__(self, name: str) -> None:
            self.name = name

        @cache(path=tmp_path / "c", key=lambda self, question: [self.name, question], semantic="serve", text="question")
        def answer(self, question: str) -> str:
            return f"{self.name}: {question}"

    ada, bob = Bot("Ada"), Bot("Bob")
    assert ada.answer(ASKED) == f"Ada: {ASKED}"
    assert ada.answer(REWORDED) == f"Ada: {ASKED}"
    assert bob.answer(REWORDED) == f"Bob: {REWORDED}"


@pytest.mark.usefixtures("application")
def test_key_that_fails_for_a_text_in_place_of_the_question_leaves_the_semantic_tier_out(tmp_path):
    @cache(path=tmp_path / "c", key=lambda question: question[question.index("close") :], semantic="serve")
    def answer(question: str) -> str:
        return question

    assert answer(ASKED) == ASKED
    assert answer(REWORDED) == REWORDED
