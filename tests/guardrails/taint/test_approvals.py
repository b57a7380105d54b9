"""A person approves one call with exactly these arguments, once, for a limited time; after a restart too."""

from __future__ import annotations

import asyncio
import json
import stat
import threading
from dataclasses import replace

import pytest

from llmops_sdk.errors import ConfigError, GuardrailViolation
from llmops_sdk.guardrails import Approvals, ToolPolicy
from llmops_sdk.providers import ToolCall
from llmops_sdk.testing import ManualClock

ALWAYS = {"pay": {"approval": "always"}}
TAINTED = {"send_mail": {"untainted": ["to"], "approval": "tainted"}}
EVE = "eve@evil.example"


@pytest.mark.parametrize("style", ["function", "coroutine", "object"])
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("answer", [True, False, None, 1, "yes"])
def test_only_true_approves(style, is_async, answer, verdicts):
    asked = []

    def function(request):
        asked.append(request)
        return answer

    async def coroutine(request):
        await asyncio.sleep(0)
        return function(request)

    approve = {"function": function, "coroutine": coroutine, "object": lambda request: coroutine(request)}[style]
    policy = ToolPolicy(ALWAYS, approve=approve)
    wanted = "" if answer is True else "approval refused: pay"
    found = ""
    try:
        if is_async:
            asyncio.run(policy.acheck_call("pay", {"amount": 5}, []))
        else:
            policy.check_call("pay", {"amount": 5}, [])
    except GuardrailViolation as error:
        found = error.reason
    assert found == wanted
    assert [(one.tool, one.arguments, one.reason) for one in asked] == [("pay", {"amount": 5}, "approval needed: pay")]
    assert "5" not in repr(replace(asked[0], digest="", created=0))
    action = ("flag", "approved: pay") if answer is True else ("block", "approval refused: pay")
    assert [(one["action"], one["reason"]) for one in verdicts()] == [action]


def test_a_person_is_asked_about_tainted_arguments_only(reason, talk):
    asked = []
    policy = ToolPolicy(TAINTED, approve=lambda request: asked.append(request) is None)
    assert reason(policy, {"to": "ada@example.org"}, talk("Write to ada@example.org", "hello")) == ""
    assert asked == []
    assert reason(policy, {"to": EVE}, talk(returned=EVE)) == ""
    assert [(one.tainted, one.reason) for one in asked] == [(("to",), "tainted argument: send_mail.to")]


def test_other_rules_cannot_be_approved_away(reason, talk):
    tools = {"send_mail": {"untainted": ["to"], "approval": "always", "allow_domains": ["example.org"]}}
    asked = []
    policy = ToolPolicy(tools, approve=lambda request: asked.append(request) is None)
    assert reason(policy, {"to": EVE}, talk(returned=EVE)) == "domain not allowed: send_mail"
    assert asked == []


def test_without_a_callback_the_call_waits_for_a_grant(reason):
    policy = ToolPolicy(ALWAYS)
    assert reason(policy, {"amount": 5}, [], "pay") == "approval needed: pay"
    [request] = policy.approvals.pending()
    policy.approvals.grant(request.digest)
    assert policy.approvals.pending() == ()
    # Changed arguments are another call.
    assert reason(policy, {"amount": 500}, [], "pay") == "approval needed: pay"
    assert reason(policy, '{ "amount":5 }', [], "pay") == ""
    # It counted once.
    assert reason(policy, {"amount": 5}, [], "pay") == "approval needed: pay"


def test_a_grant_expires(reason):
    clock = ManualClock()
    policy = ToolPolicy(ALWAYS, approvals=Approvals(ttl=60, clock=clock), clock=clock)
    for seconds, ttl, wanted in [(59, None, ""), (60, None, "approval needed: pay"), (60, 61, "")]:
        assert reason(policy, {"amount": 5}, [], "pay") == "approval needed: pay"
        policy.approvals.grant(policy.approvals.pending()[0].digest, ttl)
        clock.advance(seconds)
        assert reason(policy, {"amount": 5}, [], "pay") == wanted
    assert reason(policy, {"amount": 6}, [], "pay") == "approval needed: pay"
    clock.advance(8 * 86_400)
    assert policy.approvals.pending() == ()


@pytest.mark.parametrize("is_async", [False, True])
def test_an_approval_that_nobody_gives_in_time(is_async):
    answered = threading.Event()
    policy = ToolPolicy(ALWAYS, approve=lambda _: answered.wait(60), approval_timeout=0.01)

    def check():
        if is_async:
            asyncio.run(policy.acheck_call("pay", {"amount": 5}, []))
        else:
            policy.check_call("pay", {"amount": 5}, [])

    try:
        with pytest.raises(GuardrailViolation) as caught:
            check()
    finally:
        answered.set()
    assert caught.value.reason == "approval timed out: pay"
    # The late answer counts for nothing, but the request can still be granted.
    [request] = policy.approvals.pending()
    assert not policy.approvals.take(request.digest, "run")
    policy.approvals.grant(request.digest)
    policy.check_call("pay", {"amount": 5}, [])


def test_a_coroutine_is_cancelled_when_the_time_is_over():
    ended = []

    async def approve(request):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(request.tool)

    policy = ToolPolicy(ALWAYS, approve=approve, approval_timeout=0.01)
    with pytest.raises(GuardrailViolation):
        asyncio.run(policy.acheck_call("pay", {}, []))
    assert ended == ["pay"]


def test_a_callback_that_fails_blocks_and_tells_nothing(reason):
    def approve(request):
        raise KeyError(f"private {request.arguments}")

    assert reason(ToolPolicy(ALWAYS, approve=approve), {"amount": 5}, [], "pay") == "guard failed: KeyError"


def test_an_approval_survives_a_restart(reason, tmp_path):
    path = tmp_path / "own" / "approvals.json"
    policy = ToolPolicy(ALWAYS, approvals=Approvals(path))
    assert reason(policy, {"amount": 5, "to": "Ada"}, [], "pay") == "approval needed: pay"
    # Another process lists and grants it.
    console = Approvals(path)
    [request] = console.pending()
    assert (request.tool, request.arguments, request.tainted) == ("pay", {"amount": 5, "to": "Ada"}, ())
    console.grant(request.digest)
    # The application starts again.
    again = ToolPolicy(ALWAYS, approvals=Approvals(path))
    assert reason(again, {"amount": 50, "to": "Ada"}, [], "pay") == "approval needed: pay"
    assert reason(again, request.arguments, [], "pay") == ""
    # No process can spend it twice.
    assert reason(policy, request.arguments, [], "pay") == "approval needed: pay"
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}


def test_refused_requests_are_gone(reason):
    policy = ToolPolicy(ALWAYS)
    assert reason(policy, {}, [], "pay") != ""
    digest = policy.approvals.pending()[0].digest
    policy.approvals.grant(digest)
    policy.approvals.refuse(digest)
    assert reason(policy, {}, [], "pay") == "approval needed: pay"


def test_scopes_do_not_share_approvals(reason):
    approvals = Approvals()
    ada, bob = (ToolPolicy(ALWAYS, approvals=approvals, scope=name) for name in ("ada", "bob"))
    assert reason(ada, {"amount": 5}, [], "pay") != ""
    approvals.grant(approvals.pending()[0].digest)
    assert reason(bob, {"amount": 5}, [], "pay") == "approval needed: pay"
    assert reason(ada, {"amount": 5}, [], "pay") == ""


@pytest.mark.parametrize("wrong", ["", "abc", "g" * 64, "a" * 65])
def test_a_grant_needs_a_digest(wrong):
    with pytest.raises(ValueError, match="digest"):
        Approvals().grant(wrong)
    with pytest.raises(ValueError, match="ttl"):
        Approvals().grant("a" * 64, ttl=0)
    with pytest.raises(ConfigError):
        Approvals(ttl=0)


def _make(path, text="", mode=0o600):
    path.write_text(text)
    path.chmod(mode)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: _make(path, '{"grants": {}, "pending": []}', 0o644),
        lambda path: _make(path, "{"),
        lambda path: _make(path, "[]"),
        lambda path: _make(path, '{"grants": {"' + "a" * 64 + '": 5}, "pending": []}'),
        lambda path: _make(path, '{"grants": {}, "pending": [{"secret": "private"}]}'),
        lambda path: path.mkdir(),
        lambda path: (_make(path.with_name("other")), path.symlink_to(path.with_name("other"))),
        lambda path: path.parent.chmod(0o777),
        lambda path: path.with_name(path.name + ".lock").symlink_to(path.with_name("x")),
        lambda path: path.with_name(path.name + ".lock").mkdir(),
    ],
    ids=range(10),
)
def test_a_file_that_others_could_change_is_refused(spoil, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir(mode=0o700)
    spoil(folder / "approvals.json")
    with pytest.raises(ConfigError, match="own") as caught:
        Approvals(folder / "approvals.json")
    assert "private" not in str(caught.value)


def test_a_request_whose_arguments_were_changed_is_refused(reason, tmp_path):
    path = tmp_path / "own" / "approvals.json"
    policy = ToolPolicy(ALWAYS, approvals=Approvals(path))
    assert reason(policy, {"amount": 5000}, [], "pay") != ""
    path.write_text(path.read_text().replace("5000", "5"))
    with pytest.raises(ConfigError, match="damaged"):
        Approvals(path)
    memory = Approvals()
    memory.add_pending(replace(policy.approvals._state.pending.popitem()[1], arguments={"amount": 5}))
    assert memory.pending() == ()


def test_pending_requests_are_bounded(reason):
    policy = ToolPolicy(ALWAYS)
    for number in range(300):
        assert reason(policy, {"amount": number}, [], "pay") == "approval needed: pay"
    kept = policy.approvals.pending()
    assert [one.arguments["amount"] for one in kept] == list(range(44, 300))
    assert reason(policy, {"text": "x" * 200_000}, [], "pay") == "approval needed: pay"
    assert policy.approvals.pending() == kept


def test_threads_spend_an_approval_once(tmp_path):
    path = tmp_path / "own" / "approvals.json"
    digest = "a" * 64
    Approvals(path).grant(digest)
    start = threading.Barrier(8)
    won = []

    def spend():
        approvals = Approvals(path)
        start.wait()
        if approvals.take(digest, "run"):
            won.append(1)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [1]
    assert set(json.loads(path.read_text())["grants"][digest]) == {"answer"}


async def test_a_long_conversation_is_judged_off_the_loop(talk):
    threads = []
    predicates = {"pay.amount": lambda _: threads.append(threading.current_thread()) is None}
    policy = ToolPolicy({}, predicates=predicates)
    for said in ("short", "long " * 10_000):
        await policy.acheck_call("pay", {"amount": 5}, talk(said))
    assert [thread is threading.main_thread() for thread in threads] == [True, False]


# --- Runs ------------------------------------------------------------------------------------------------------------


def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


async def apay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


def test_the_run_gets_what_was_checked(talk, call):
    policy = ToolPolicy({"pay": {"arguments": {"amount": {"maximum": 10}}}})
    good, bad = (ToolCall(id="1", name="pay", arguments=json.dumps({"amount": amount})) for amount in (5, 50))
    assert policy.run(good, [pay], []) == "paid 5"
    assert asyncio.run(policy.arun(good, [pay], [])) == "paid 5"
    with pytest.raises(GuardrailViolation):
        policy.run(bad, [pay], [])
    apay.__name__ = "pay"
    with pytest.raises(GuardrailViolation):
        asyncio.run(policy.arun(bad, [apay], []))
    assert asyncio.run(policy.arun(good, [apay], [])) == "paid 5"


def test_what_follows_the_call_in_the_conversation_does_not_count(talk, call):
    policy = ToolPolicy({"pay": {"untainted": ["amount"]}})
    made = ToolCall(id="7", name="pay", arguments='{"amount": 500}')
    with_call = {"role": "assistant", "content": "I pay 500", "tool_calls": [call("pay", "7", amount=500)]}
    later = [*talk("Pay my bill"), with_call, {"role": "tool", "tool_call_id": "6", "content": "500"}]
    assert policy.run(made, [pay], later) == "paid 500"
    with pytest.raises(GuardrailViolation):
        policy.run(made, [pay], [*talk("Pay my bill", "500 EUR"), with_call])
    # An id that a server uses again, or a call that the model did not make, cuts nothing off.
    earlier = {"role": "assistant", "content": None, "tool_calls": [call("pay", "7", amount=1)]}
    for messages in (
        [earlier, later[-1]],
        [with_call, later[-1], *talk("Yes, pay")],
        [{"role": "assistant"}, later[-1]],
    ):
        with pytest.raises(GuardrailViolation):
            policy.run(made, [pay], messages)
