"""What every guard takes: a failure policy, a bound on its time, a share of the calls; and the order of guards."""

from __future__ import annotations

import asyncio
import pickle
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import llmops_sdk as llmops
from llmops_sdk.errors import GuardrailViolation
from llmops_sdk.guardrails import (
    DetectorGuard,
    GuardContext,
    GuardOptions,
    InputGuardProvider,
    Verdict,
    check,
    configure,
)
from llmops_sdk.guardrails.detectors import TopicsDetector
from llmops_sdk.guardrails.running import _pool, _runner
from llmops_sdk.providers import Request

ASKED = Request(model="m", messages=[{"role": "user", "content": "hello"}])


class Hanging:
    """Waits until the test lets it go."""

    name, version = "hanging", "1"

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def check(self, text, context):
        assert self.let_go.wait(60)
        return Verdict("block", reason="it went on")


class AsyncHanging(Hanging):
    async def acheck(self, text, context):
        await asyncio.Event().wait()


class Waiting:
    """Waits for others of its kind, so that it ends only if they run side by side."""

    version, keeps_text, slow = "1", True, True

    def __init__(self, name: str, barrier: threading.Barrier, verdict: str = "pass") -> None:
        self.name, self._barrier, self._verdict = name, barrier, verdict

    def check(self, text, context):
        self._barrier.wait(60)
        return Verdict(self._verdict, reason=self.name)


@pytest.mark.parametrize("kind", [Hanging, AsyncHanging])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_guard_that_hangs_blocks_or_passes_as_it_is_set(kind, asynchronous, model, verdicts):
    guard = kind()

    def run(on_error):
        provider = InputGuardProvider(model(), [configure(guard, timeout=0.005, on_error=on_error)])
        return asyncio.run(provider.acomplete(ASKED)) if asynchronous else provider.complete(ASKED)

    try:
        assert run("open").text == "fine"
        with pytest.raises(GuardrailViolation, match="took longer than its time") as caught:
            run("closed")
    finally:
        guard.let_go.set()
    assert caught.value.reason == "the guard took longer than its time"
    assert [one["action"] for one in verdicts()] == ["error", "block"]


def test_a_thousand_calls_at_once_end_although_their_guard_hangs(model):
    guard = Hanging()
    provider = InputGuardProvider(model(), [configure(guard, timeout=0.005, on_error="open")])

    async def main():
        return await asyncio.gather(*[provider.acomplete(ASKED) for _ in range(1000)])

    try:
        answers = asyncio.run(main())
        threads = _pool.CHECKS._threads  # pools of other tests may still have idle ones
    finally:
        guard.let_go.set()
    assert [answer.text for answer in answers] == ["fine"] * 1000
    assert 0 < threads <= _pool._MOST_THREADS


def test_a_process_ends_although_a_guard_hangs():
    program = """
import threading
from llmops_sdk.guardrails import Verdict, check, configure
class Hanging:
    name, version = "hanging", "1"
    def check(self, text, context):
        threading.Event().wait()
print(check("hello", [configure(Hanging(), timeout=0.01)]).action)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "block\n"


def test_the_time_is_for_all_texts_of_a_rail():
    seen = []

    class Counting:
        name, version = "counting", "1"

        def check(self, text, context):
            seen.append(text)
            return Verdict("pass")

    run = _runner.GuardRun(configure(Counting(), timeout=60.0), GuardContext(rail="input"), "closed")
    assert run.check("one") == "one"
    run.seconds = 61.0
    with pytest.raises(GuardrailViolation, match="took longer than its time"):
        run.check("two")
    assert seen == ["one"]


def test_a_bounded_guard_that_is_in_time_decides(custom):
    guard = configure(custom(lambda text: Verdict("redact", text.upper())), timeout=60)
    assert check("hello", [guard]).text == "HELLO"
    failing = configure(custom(lambda _: 1 / 0), timeout=60)
    assert check("hello", [failing]).verdicts[0].reason == "guard failed: ZeroDivisionError"


def test_an_own_timeout_error_of_a_guard_is_no_missed_bound():
    class Own:
        name, version = "own", "1"

        def check(self, text, context):
            raise TimeoutError

        async def acheck(self, text, context):
            raise TimeoutError

    run = _runner.GuardRun(configure(Own(), timeout=60), GuardContext(rail="input"), "open")
    assert asyncio.run(run.acheck("a")) == run.check("a") == "a"
    assert list(run.reasons) == ["guard failed: TimeoutError"]


def test_a_guard_runs_in_its_share_of_the_calls(custom, monkeypatch):
    guard = custom(lambda _: Verdict("block", reason="found"))
    draws = iter([0.05, 0.5, 0.0999, 0.1])
    monkeypatch.setattr(_runner.random, "random", lambda: next(draws))
    actions = [check("hello", [configure(guard, sample=0.1)]).action for _ in range(4)]
    assert actions == ["block", "pass", "block", "pass"]


def test_a_sampled_out_guard_holds_no_stream_back(custom, monkeypatch):
    monkeypatch.setattr(_runner.random, "random", lambda: 0.9)
    guard = configure(custom(lambda _: Verdict("pass")), sample=0.5)
    with llmops.stream("one two three", model="offline/echo", guards={"output": [guard]}) as chunks:
        first = next(chunks)
    assert first.text == "one"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_slow_guards_that_keep_the_text_run_side_by_side_after_cheap_ones(asynchronous, custom, model, verdicts):
    barrier = threading.Barrier(3)
    slow = [Waiting(name, barrier) for name in "abc"]
    cheap = DetectorGuard(TopicsDetector(deny=["lottery"]), "flag")
    provider = InputGuardProvider(model(), [slow[0], cheap, *slow[1:]])
    if asynchronous:
        # Their checks run in threads, as they have no `acheck`: make each text long enough for that.
        asked = Request(model="m", messages=[{"role": "user", "content": "hello " * 5000}])
        asyncio.run(provider.acomplete(asked))
    else:
        provider.complete(ASKED)
    found = [one["guard"] for one in verdicts()]
    assert sorted(found) == ["a", "b", "c", "topics"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_one_of_several_at_once_blocks(asynchronous, model):
    barrier = threading.Barrier(2)
    inner = model()
    provider = InputGuardProvider(inner, [Waiting("a", barrier), Waiting("b", barrier, "block")])
    asked = Request(model="m", messages=[{"role": "user", "content": "hello " * 5000}])
    with pytest.raises(GuardrailViolation) as caught:
        asyncio.run(provider.acomplete(asked)) if asynchronous else provider.complete(asked)
    assert caught.value.guard == "b"
    assert not inner.requests


def test_guards_that_replace_the_text_keep_their_order(custom):
    upper = custom(lambda text: Verdict("redact", text.upper()), "upper")
    flag = custom(lambda _: Verdict("flag"), "flag")
    flag.keeps_text = True
    tail = custom(lambda text: Verdict("redact", text + "!"), "tail")
    assert check("a", [flag, upper, flag, tail]).text == "A!"
    assert flag.seen == ["a", "A"]


def test_options_stand_in_the_configuration_beside_those_of_the_kind():
    llmops.configure(
        model="offline/echo",
        guardrails={
            "input": ["topics"],
            "options": {"topics": {"deny": ["lottery"], "on_error": "open", "timeout": 5, "sample": 1.0}},
        },
    )
    with pytest.raises(GuardrailViolation):
        llmops.chat("the lottery")
    options = {"topics": {"deny": ["x"], "timout": 5}}
    with pytest.raises(llmops.ConfigError, match="no option 'timout' of the guard 'topics': did you mean 'timeout'"):
        llmops.configure(model="offline/echo", guardrails={"input": ["topics"], "options": options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 0}, "timeout is 0: give seconds above 0"),
        ({"timeout": float("inf")}, "timeout is inf"),
        ({"timeout": "5"}, "timeout is '5'"),
        ({"sample": 0}, "sample is 0: give a share"),
        ({"sample": 1.5}, "sample is 1.5"),
        ({"on_error": "opne"}, 'on_error is \'opne\': use "closed" or "open"'),
        ({"fallback_answer": 5}, "fallback_answer must be a string"),
        ({"fallback_answer": "a", "fallback_model": "b"}, "not both"),
        ({"timeot": 1}, "no option 'timeot'.*did you mean 'timeout'"),
    ],
)
def test_a_bad_option_says_what_to_do(options, message, custom):
    with pytest.raises(llmops.ConfigError, match=message):
        configure(custom(lambda _: Verdict("pass")), **options)


def test_options_that_change_verdicts_change_the_version(custom):
    guard = custom(lambda _: Verdict("pass"))
    assert configure(guard).version == "1"
    versions = {configure(guard, **one).version for one in ({"sample": 0.5}, {"on_error": "open"}, {"timeout": 1})}
    assert len(versions) == 3
    assert "1" not in versions


def test_options_pickle_with_their_guard():
    one = pickle.loads(pickle.dumps(configure(DetectorGuard(TopicsDetector(deny=["a"]), "block"), sample=0.5)))
    assert one.options == GuardOptions(sample=0.5)
    assert one.check("a", None).action == "block"


def test_a_pool_serves_more_tasks_than_it_has_threads():
    pool = _pool.DaemonPool()
    with ThreadPoolExecutor(200) as callers:
        results = list(callers.map(lambda number: pool.run(60, lambda: number + 1), range(500)))
    assert results == [number + 1 for number in range(500)]


def test_equal_values_have_equal_hashes_if_asked(monkeypatch):
    pytest.importorskip("re2")
    monkeypatch.setenv("MY_HASH_KEY", "k" * 32)
    llmops.configure(
        model="offline/echo",
        redaction={"hash_key_env": "MY_HASH_KEY"},
        guardrails={"input": ["pii"], "options": {"pii": {"hashed": True}}},
    )
    one, other = (llmops.chat(f"I am {mail}").text for mail in ("ada@example.org", "ADA@example.org"))
    assert one == other
    assert re.fullmatch(r"I am \[EMAIL:[a-p]{16}\]", one)
    assert check("I am bob@example.org", ["pii"]).text != one
    # Without a key there is no hash, and the value is replaced all the same.
    monkeypatch.delenv("MY_HASH_KEY")
    assert check("I am ada@example.org", ["pii"]).text == "I am [EMAIL]"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cards:keep_last4", {"cards": {"hashed": True}}, "has no hash"),
        ("cards", {"cards": {"hashed": "yes"}}, "hashed is 'yes': use true or false"),
        ("length:fix", {"length": {"max_chars": 3, "hashed": True}}, "no option 'hashed' of the guard 'length'"),
    ],
)
def test_a_hash_that_cannot_be_is_an_error(name, options, message):
    with pytest.raises(llmops.ConfigError, match=message):
        check("hello", [name], options=options)


def test_check_takes_the_options_of_the_configuration():
    llmops.configure(model="offline/echo", guardrails={"options": {"topics": {"deny": ["lottery"]}}})
    assert check("the lottery", ["topics"]).action == "block"
    assert check("the lottery", ["topics"], options={"topics": {"deny": ["stocks"]}}).action == "pass"
