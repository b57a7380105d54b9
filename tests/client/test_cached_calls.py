"""Calls that the cache answers: what they open, what calls share, and the calls behind stale answers."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid

import pytest
from loopback import Reply
from openai_server import OpenAIServer

import llmops_sdk as llmops
from llmops_sdk.testing import ManualClock, ScriptedProvider, use_clock, use_provider

ASK = """
import sys
import llmops_sdk as llmops
llmops.configure(models={"there": {"model": "openai/gpt-x", "base_url": sys.argv[1]}}, cache={"exact": True})
answer = llmops.chat("Hi", model="there")
assert "".join(chunk.text for chunk in llmops.stream("Hi", model="there")) == answer.text
opened = sys.modules.keys() & {"litellm", "llmops_sdk.providers.litellm._provider"}
print(answer.text, answer.cache, answer.provider, len(opened))
"""


def test_a_stored_answer_opens_neither_the_provider_nor_its_library(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", uuid.uuid4().hex)
    with OpenAIServer(Reply(text="From there.")) as server:
        url = server.base_url
        said = [
            subprocess.run([sys.executable, "-c", ASK, url], capture_output=True, text=True, timeout=100, check=True)
            for _ in range(2)
        ]
        assert len(server.requests) == 1
    assert [one.stdout.split(".")[1].split() for one in said] == [["None", "openai", "2"], ["exact", "openai", "0"]]


def test_models_of_one_name_on_two_servers_share_no_answer(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", uuid.uuid4().hex)
    answers = []
    for text in ("one", "other"):
        with OpenAIServer(Reply(text=text)) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
            llmops.configure(model="openai/gpt-x", cache={"exact": True})
            answers.append(llmops.chat("Hi").text)
    assert answers == ["one", "other"]


def test_the_call_behind_a_stale_answer_is_a_call_of_its_own(rows):
    done = threading.Event()

    def second(_):
        done.set()
        return "two"

    with use_clock(ManualClock()) as clock, use_provider(ScriptedProvider(["one", second, "three"])):

        def ask():
            return llmops.chat("Hi", cache={"ttl": 60, "stale_while_revalidate": 60})

        with llmops.context(user_id="ann"), llmops.span("request"):
            assert ask().text == "one"
            clock.advance(90)
            assert (ask().text, ask().cache) == ("one", "exact")
            assert done.wait(60)
            for thread in threading.enumerate():
                if thread.name == "llmops-refresh":
                    thread.join(60)
            assert ask().text == "two"
    calls = rows("SELECT trace_id, user_id, cache FROM llm_calls WHERE attempts > 0")
    assert [row["cache"] for row in calls] == [None, None], "the first call, and the one in the background"
    assert {row["user_id"] for row in calls} == {"ann"}
    assert len({row["trace_id"] for row in calls}) == 1
    assert rows("SELECT decision, reason FROM cache_lookups WHERE decision <> 'served' ORDER BY ALL")[0] == {
        "decision": "stale",
        "reason": None,
    }


def test_options_that_are_equal_in_python_keep_their_meaning():
    """`1 == True`, but one attempt is not the default number of them: a plan is found again by the type, too."""
    llmops.configure(
        models={"down": {"model": "offline/echo", "options": {"failures": {"rate": 1.0}}}}, retry={"base": 0.001}
    )

    def attempts(retry):
        with pytest.raises(llmops.ProviderError) as caught:
            llmops.chat("Hi", model="down", retry=retry)
        return len(caught.value.attempts)

    assert [attempts(retry) for retry in (1, True, 1, 2, True, False)] == [1, 3, 1, 2, 3, 1]
    with pytest.raises(TypeError):
        llmops.chat("Hi", model="down", retry=1.0)


def test_a_lookup_records_its_key_and_what_it_saved(rows):
    for _ in range(2):
        llmops.chat("Hi", cache=True)
    stored, served = rows("SELECT decision, key, saved_ms FROM cache_lookups ORDER BY time")
    assert (stored["decision"], stored["saved_ms"], served["decision"]) == ("stored", None, "served")
    assert stored["key"] == served["key"]
    assert len(served["key"]) == 16
    assert served["saved_ms"] > 0


def test_admit_in_code_says_what_is_stored():
    for admit, cached in ((lambda answer: False, None), (lambda answer: answer.text == "Hi", "exact")):
        for _ in range(2):
            answer = llmops.chat("Hi", cache={"admit": admit})
        assert answer.cache == cached
    with pytest.raises(TypeError, match="admit"):
        llmops.chat("Hi", cache={"admit": "all"})


def test_an_error_that_is_stored_costs_no_second_call():
    error = llmops.ContextWindowError("too long", status_code=400)
    provider = ScriptedProvider([error, error])
    with use_provider(provider):
        for _ in range(2):
            with pytest.raises(llmops.ContextWindowError, match="too long"):
                llmops.chat("Hi", cache={"negative_ttl": 60})
    assert len(provider.requests) == 1


def test_semantic_tier_with_functions_for_its_embedder_and_judge() -> None:
    judged = []

    def vectors(texts: list[str]) -> list[list[float]]:
        return [[1.0, float(len(text))] for text in texts]

    def judge(question: str, stored: str, new: str) -> bool:
        judged.append(question)
        return stored == new

    # Without audits, which ask the judge about some of the hits by chance.
    chosen = {"exact": False, "semantic": {"mode": "serve", "embedder": vectors, "judge": judge, "audit": 0.0}}
    answers = [
        llmops.chat(text, model="offline/echo", cache=chosen)
        for text in ("What is a span?", "what is a span", "What is a very long span?")
    ]
    assert [one.cache for one in answers] == [None, "semantic", None]
    assert judged == ["What is a very long span?"]


def test_unknown_mode_of_the_semantic_tier_is_an_error() -> None:
    with pytest.raises(llmops.ConfigError, match=r"cache\.semantic"):
        llmops.chat("Hi", model="offline/echo", cache={"semantic": "served"})
