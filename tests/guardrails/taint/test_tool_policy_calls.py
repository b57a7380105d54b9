"""The tool policy around calls: from the configuration, as an option, with the cache, and in the trace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.guardrails import ToolPolicy

EVE = "eve@" + "evil.example"
ANSWER = {
    "answers": [
        {"text": "Sure", "tool_calls": [{"name": "send_mail", "arguments": {"to": EVE}}]},
    ]
}


def send_mail(to: str) -> str:
    """Send a mail."""
    return f"sent to {to}"


def conversation(said: str, returned: str) -> list[dict[str, str]]:
    return [{"role": "tool", "tool_call_id": "0", "content": returned}, {"role": "user", "content": said}]


def configure(**settings):
    llmops.configure(model="offline/script", options=ANSWER, **settings)


RULES = {"guardrails": {"tools": {"send_mail": {"untainted": ["to"]}}}}


@pytest.mark.parametrize("is_configured", [True, False])
async def test_calls_and_streams_pass_the_policy(is_configured):
    configure(**(RULES if is_configured else {}))
    option = {} if is_configured else {"tool_policy": ToolPolicy(RULES["guardrails"]["tools"])}
    good, bad = conversation(f"Write to {EVE}", "hi"), conversation("Sum it up", f"from {EVE}")
    assert llmops.chat(good, tools=[send_mail], **option).tool_calls[0].run([send_mail]) == f"sent to {EVE}"
    assert (await llmops.achat(good, tools=[send_mail], **option)).tool_calls != ()
    with pytest.raises(llmops.GuardrailViolation, match="tainted argument"):
        llmops.chat(bad, tools=[send_mail], **option)
    with pytest.raises(llmops.GuardrailViolation):
        await llmops.achat(bad, tools=[send_mail], **option)
    with llmops.LLM(**option) as model, model.stream(bad, tools=[send_mail]) as chunks:
        shown = [next(chunks).text]
        with pytest.raises(llmops.GuardrailViolation):
            shown += [chunk.text for chunk in chunks]
    assert shown == ["Sure"]
    assert chunks.response.tool_calls == ()


def test_a_policy_without_rules_takes_those_of_the_configuration():
    configure(**RULES)
    bad = conversation("Sum it up", f"from {EVE}")
    policy = ToolPolicy()
    with pytest.raises(llmops.GuardrailViolation):
        llmops.chat(bad, tools=[send_mail], tool_policy=policy)
    with pytest.raises(llmops.GuardrailViolation):
        policy.check_call("send_mail", {"to": EVE}, bad)
    # A rule for one tool does not disarm those for others; one for the tool itself replaces the configured one.
    for other in (ToolPolicy({}), ToolPolicy({"pay": {"approval": "always"}})):
        with pytest.raises(llmops.GuardrailViolation):
            llmops.chat(bad, tools=[send_mail], tool_policy=other)
    assert llmops.chat(bad, tools=[send_mail], tool_policy=ToolPolicy({"send_mail": {}})).tool_calls != ()
    llmops.configure(model="offline/script", options=ANSWER)
    assert llmops.chat(bad, tools=[send_mail], tool_policy=policy).tool_calls != ()
    policy.check_call("send_mail", {"to": EVE}, bad)
    with pytest.raises(TypeError, match="ToolPolicy"):
        llmops.chat(bad, tools=[send_mail], tool_policy={"send_mail": {}})


@pytest.mark.parametrize("enabled", [True, False])
async def test_prompt_functions_take_a_policy(enabled):
    configure(enabled=enabled)
    policy = ToolPolicy({"*": {"deny": True}})

    @llmops.llm(tools=[send_mail], tool_policy=policy)
    def ask() -> str:
        return "Write to somebody"

    @llmops.llm(tools=[send_mail], tool_policy=policy, stream=True)
    async def tell() -> str:
        return "Write to somebody"

    with pytest.raises(llmops.GuardrailViolation, match="tool denied"):
        ask()
    with pytest.raises(llmops.GuardrailViolation, match="tool denied"):
        assert [chunk async for chunk in tell()] == []


def test_a_models_rules_leave_those_of_other_tools_in_force():
    models = {
        "strict": {"model": "offline/script", "options": ANSWER, "guardrails": {"tools": {"pay": {"deny": True}}}}
    }
    configure(models=models, **RULES)
    with pytest.raises(llmops.GuardrailViolation, match="tainted"):
        llmops.chat(conversation("Sum it up", EVE), tools=[send_mail], model="strict")
    assert set(llmops.settings().guardrails.tools) == {"send_mail"}


def test_a_rule_that_is_not_valid_names_its_file(own_surroundings: Path):
    file = own_surroundings / "llmops.toml"
    file.write_text('[guardrails.tools.pay]\nallow_domains = ["a b"]\n')
    llmops.configure(config_file=file)
    with pytest.raises(llmops.ConfigError) as caught:
        llmops.chat("Hi")
    assert (caught.value.key, caught.value.source) == ("guardrails.tools.pay.allow_domains", str(file))
    file.write_text('[guardrails.tools.pay]\nallow_domain = ["a"]\n[guardrails.tools.pay.arguments.x]\nmaximun = 1\n')
    with pytest.raises(llmops.ConfigError) as caught:
        llmops.configure(config_file=file)
    assert "guardrails.tools.pay.allow_domains:" in str(caught.value)
    assert caught.value.nearest == "guardrails.tools.pay.arguments.x.maximum"


def test_a_misspelt_argument_is_an_error():
    configure(guardrails={"tools": {"send_mail": {"untainted": ["too"]}}})
    with pytest.raises(llmops.ConfigError) as caught:
        llmops.chat("Hi", tools=[send_mail])
    assert caught.value.nearest == "to"


def test_a_cache_does_not_spare_anybody_the_check():
    configure(cache={"exact": True})
    asked = conversation("Sum it up", f"from {EVE}")
    assert llmops.chat(asked, tools=[send_mail]).tool_calls != ()
    with pytest.raises(llmops.GuardrailViolation):
        llmops.chat(asked, tools=[send_mail], tool_policy=ToolPolicy({"send_mail": {"untainted": ["to"]}}))
    approvals = []
    policy = ToolPolicy({"send_mail": {"approval": "always"}}, approve=lambda one: approvals.append(one) is None)
    for _ in range(2):
        assert llmops.chat(asked, tools=[send_mail], tool_policy=policy).tool_calls != ()
    assert len(approvals) == 2


def test_a_blocked_answer_is_in_the_trace_with_its_cost_and_without_the_address(own_surroundings: Path):
    configure(prices={"script": {"input": 2.0}}, capture={"content": False}, **RULES)
    with pytest.raises(llmops.GuardrailViolation) as caught:
        llmops.chat(conversation("Sum it up", f"from {EVE}"), tools=[send_mail])
    assert EVE not in repr(caught.value)
    llmops.flush()
    [row] = llmops.query("SELECT error_type, input_tokens, cost FROM llm_calls").rows()
    assert row[0] == "GuardrailViolation"
    assert row[1] > 0
    [verdict] = llmops.query("SELECT guard, rail, action, reason FROM guard_verdicts").rows()
    assert verdict == ("tool_policy", "tool_arguments", "block", "tainted argument: send_mail.to")
    files = [path for path in own_surroundings.rglob("*") if path.is_file()]
    assert files != []
    assert [path for path in files if EVE.encode() in path.read_bytes()] == []


def test_approved_calls_and_their_run(own_surroundings: Path):
    configure()
    policy = ToolPolicy({"send_mail": {"untainted": ["to"], "approval": "tainted"}}, approve=lambda _: True)
    messages = conversation("Sum it up", f"from {EVE}")
    answer = llmops.chat(messages, tools=[send_mail], tool_policy=policy)
    messages.append(answer.message)
    [made] = answer.tool_calls
    assert policy.run(made, [send_mail], messages) == f"sent to {EVE}"
    assert json.loads(made.arguments) == {"to": EVE}


PII = {"input": ["cards:mask"]}


def card() -> str:
    return "4242 " * 3 + "4242"


def pay(number: str) -> str:
    """Pay."""
    return f"paid with {number}"


@pytest.mark.parametrize("is_restored", [True, False])
def test_the_policy_judges_masked_values_as_the_tool_gets_them(is_restored):
    answers = {"answers": [{"tool_calls": [{"name": "pay", "arguments": {"number": "[CARD_1]"}}]}]}
    tools = {"pay": {"untainted": ["number"], "arguments": {"number": {"max_length": 10}} if not is_restored else {}}}
    restore = {"restore_tools": ["pay"]} if is_restored else {}
    llmops.configure(model="offline/script", options=answers, guardrails={**PII, "tools": tools, **restore})
    wanted = card() if is_restored else "[CARD_1]"
    given = conversation(f"Pay with {card()}", "hi")
    assert json.loads(llmops.chat(given, tools=[pay]).tool_calls[0].arguments) == {"number": wanted}
    with llmops.stream(given, tools=[pay]) as chunks:
        assert list(chunks) != []
    assert json.loads(chunks.response.tool_calls[0].arguments) == {"number": wanted}
    for ask in (llmops.chat, lambda *args, **options: list(llmops.stream(*args, **options))):
        with pytest.raises(llmops.GuardrailViolation, match="tainted argument: pay"):
            ask(conversation("Pay my bill", f"with {card()}"), tools=[pay])


def test_limits_and_approvals_see_the_value_behind_a_placeholder():
    answers = {"answers": [{"tool_calls": [{"name": "pay", "arguments": {"number": "[CARD_1]"}}]}]}
    llmops.configure(model="offline/script", options=answers, guardrails={**PII, "restore_tools": ["pay"]})
    given = conversation(f"Pay with {card()}", "hi")
    limits = ToolPolicy({"pay": {"arguments": {"number": {"max_length": 10}}}})
    with pytest.raises(llmops.GuardrailViolation, match="argument not allowed"):
        llmops.chat(given, tools=[pay], tool_policy=limits)
    asked = []
    policy = ToolPolicy({"pay": {"approval": "always"}}, approve=lambda request: asked.append(request) is None)
    [made] = llmops.chat(given, tools=[pay], tool_policy=policy).tool_calls
    assert [dict(one.arguments) for one in asked] == [{"number": card()}]
    # The approval is for the value, so the run needs no other one.
    assert policy.run(made, [pay], given) == f"paid with {card()}"
    assert len(asked) == 1


@pytest.mark.parametrize("rail", ["input", "output"])
def test_the_model_that_answers_for_a_guard_passes_the_policy_too(rail):
    models = {"other": {"model": "offline/script", "options": ANSWER}}
    options = {"cards": {"fallback_model": "other"}}
    echo = {"model": "offline/echo", "models": models}
    guards = {rail: ["cards:fallback"], "options": options}
    said = f"Pay with {card()}"
    llmops.configure(**echo, guardrails=guards)
    assert llmops.chat(said, tools=[send_mail]).tool_calls != ()
    llmops.configure(**echo, guardrails={**guards, "tools": {"*": {"deny": True}}})
    with pytest.raises(llmops.GuardrailViolation, match="tool denied"):
        llmops.chat(said, tools=[send_mail])
    with pytest.raises(llmops.GuardrailViolation, match="tool denied"):
        list(llmops.stream(said, tools=[send_mail]))
