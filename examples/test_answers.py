"""Test an application that uses llmops-sdk: no network, no key, no waiting.

    pytest test_answers.py

The package includes the fixtures `llmops_traces` and `block_real_calls`.
"""

import pytest

import llmops_sdk as llmops
from llmops_sdk.testing import FailingProvider, ManualClock, ScriptedProvider, use_clock, use_provider

# --- the application; usually in its own module -----------------------------------------------------------------------


@llmops.trace(kind="retriever")
def search(question):
    return [f"Article about {question.split()[-1]}"]


@llmops.llm(model="openai/gpt-4.1-mini", system="You answer customers of a bank.")
def ask_model(question, articles):
    return f"{question}\n{articles}"


@llmops.trace(kind="agent")
def answer(question):
    try:
        return ask_model(question, search(question))
    except llmops.ProviderError:
        return "We are sorry: please call us."


# --- its tests --------------------------------------------------------------------------------------------------------

# No test of this file can call a real model, even if it forgets to set a provider.
# For a whole project, set in pyproject.toml: [tool.pytest.ini_options] usefixtures = ["block_real_calls"]
pytestmark = pytest.mark.usefixtures("block_real_calls")


def test_answer_returns_the_models_text():
    with use_provider(ScriptedProvider(["In three days."])) as model:
        assert answer("Where is my card") == "In three days."
    sent = model.requests[0].messages
    assert sent[0] == {"role": "system", "content": "You answer customers of a bank."}
    assert "Article about card" in sent[1]["content"]


def test_search_and_call_are_traced(llmops_traces):
    with use_provider(ScriptedProvider(["In three days."])):
        answer("Where is my card")
    searched = llmops_traces.one("search")
    assert searched.output == ["Article about card"]
    assert searched.parent.name == "answer"
    calls = llmops_traces.sql("SELECT request_model, output_tokens > 0, prompt_name FROM llm_calls")
    assert calls.rows() == [("gpt-4.1-mini", True, "ask_model")]


def test_rate_limited_call_is_retried(llmops_traces):
    busy = llmops.RateLimitError("slow down", status_code=429, retry_after=20)
    with use_clock(ManualClock()) as clock, use_provider(FailingProvider(busy, times=2, then="In three days.")):
        assert answer("Where is my card") == "In three days."
    assert clock.waits == [20, 20]
    tried = llmops_traces.sql("SELECT status, status_code FROM attempts ORDER BY attempt")
    assert tried.rows() == [("error", 429), ("error", 429), ("ok", None)]


@pytest.mark.parametrize("error", [llmops.AuthenticationError, llmops.ServerError])
def test_outage_returns_an_apology(error, llmops_traces):
    with use_clock(ManualClock()), use_provider(FailingProvider(error)):
        assert answer("Where is my card") == "We are sorry: please call us."
    failed = llmops_traces.sql("SELECT name, error_type FROM spans WHERE status = 'error' ORDER BY start_ns").rows()
    assert failed
    assert {error_type for _, error_type in failed} == {error.__name__}


def test_call_without_a_provider_is_blocked():
    with pytest.raises(llmops.LLMOpsError, match=r'a call to the real model "openai/gpt-4.1-mini" was blocked'):
        answer("Where is my card")
