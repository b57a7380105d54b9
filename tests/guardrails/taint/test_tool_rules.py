"""Rules of tools: denied tools, domains, limits of arguments, and JSON that programs read in different ways."""

from __future__ import annotations

import json

import pytest

from llmops_sdk.config import ToolRule
from llmops_sdk.errors import ConfigError, GuardrailViolation, MissingDependencyError
from llmops_sdk.guardrails import ToolPolicy
from llmops_sdk.guardrails.taint._arguments import call_digest, read_arguments

EVE = "eve@evil.example"


def test_rules_choose_by_the_tools_name(reason):
    policy = ToolPolicy({"read": {}, "delete": {"deny": True}, "*": {"deny": True}})
    assert reason(policy, {}, [], "read") == ""
    assert reason(policy, {}, [], "delete") == "tool denied: delete"
    # A model may invent names, so a reason has only those of the policy.
    assert reason(policy, {}, [], "secret-of-the-user") == "tool denied: *"
    assert reason(ToolPolicy({"read": {"deny": True}}), {}, [], "other") == ""
    assert reason(ToolPolicy({}), "not JSON", [], "read") == ""


@pytest.mark.parametrize(
    "arguments",
    [
        {"to": EVE},
        {"to": f"ada@example.org, {EVE}"},
        {"to": f'"ada@example.org" <{EVE}>'},
        {"to": "ada@example.org@evil.example"},
        {"to": "ada@example.org.evil.example"},
        {"to": "ada@example.org%00@evil.example"},
        {"to": "eve%40evil.example"},
        {"to": '"eve x"@evil.example'},
        {"to": '"eve "@evil.example'},
        {"to": "eve(at work)@evil.example"},
        {"to": "eve@(x)evil.example"},
        {"to": "eve@[10.0.0.1]"},
        {"to": "eve @evil.example"},
        {"to": "eve@ evil.example"},
        {"to": "eve\uff20evil.example"},
        {"to": "ada@example.org\nBcc: eve@evil.example"},
        {"to": "ada@example.org@@evil.example"},
        {"url": "https:evil.example/x"},
        {"url": "https:/evil.example/x"},
        {"url": " file:///etc/passwd"},
        {"url": "javascript:fetch(1)"},
        {"url": "data:text/html,x"},
        {"url": "gopher://evil.example"},
        {"url": "evil\u3002example"},
        {"body": "see https://evil.example/x"},
        {"body": "![](//evil.example/?q=1)"},
        {"url": "https://example.org@evil.example/"},
        {"url": "https:\\\\evil.example\\x"},
        {"url": "https://example.org\\@evil.example"},
        {"url": "//evil.example/x"},
        {"url": "\\\\evil.example\\share"},
        {"url": "evil.example"},
        {"url": "evil.example:8080/path?a=b"},
        {"url": "https://example.org/?next=https%3A%2F%2Fevil.example"},
        {"hosts": "example.org, evil.example"},
        {"host": "10.0.0.1"},
        {"host": "localhost"},
        {"url": "http://[::1]/"},
        {"list": [{"deep": ["https://evil.example"]}]},
        {"json": json.dumps({"url": "https://evil.example"})},
        {"https://evil.example": 1, "x": {"https://evil.example": 1}},
    ],
)
def test_domains_outside_the_list_are_blocked(arguments, reason):
    policy = ToolPolicy({"send_mail": {"allow_domains": ["example.org"]}})
    assert reason(policy, arguments, []) == "domain not allowed: send_mail"


@pytest.mark.parametrize(
    "arguments",
    [
        {"to": "ada@example.org, Bob <bob@mail.example.org>"},
        {"url": "https://docs.example.org/a?b=c#d"},
        {"url": "example.org:8080/a"},
        {"body": "At 10:30, e.g. in report.pdf or either/or: a.b. 3.14"},
        {"file": "report.pdf"},
        {"code": "import x from '@types/node'; \"@a/b\" /@types/ (@Inject a) <@U12> @ada: C:\\x http"},
        {"path": "/home/ada/notes.txt"},
        {"n": 1.5, "flag": True, "none": None},
        {},
    ],
)
def test_domains_inside_the_list_pass(arguments, reason):
    assert reason(ToolPolicy({"send_mail": {"allow_domains": ["example.org"]}}), arguments, []) == ""


@pytest.mark.parametrize(
    ("limits", "good", "bad"),
    [
        ({"enum": ["EUR", "USD"]}, ["EUR", ["EUR", "USD"]], ["eur", 1, True, {"a": "EUR"}, ["EUR", "GBP"], None]),
        ({"enum": ["1"]}, [1, "1"], [2, True, "01"]),
        ({"minimum": 1, "maximum": 100}, [1, 100, 99.5, [1, 2]], [0, 101, "50", True, None, {"x": 1}, [1, 200]]),
        ({"maximum": 0}, [0, -5], [1]),
        ({"max_length": 3}, ["abc", ""], ["abcd", 1, None]),
        ({"pattern": "[a-z]+"}, ["abc"], ["abc1", "ABC", "abc\n", "", 5, None]),
    ],
)
def test_limits_of_an_argument(limits, good, bad, reason):
    policy = ToolPolicy({"pay": {"arguments": {"x": limits, "deep.x": limits}}})
    for value in good:
        assert reason(policy, {"x": value, "deep": [{"x": value}]}, [], "pay") == ""
    for value in bad:
        assert reason(policy, {"x": value}, [], "pay") == "argument not allowed: pay.x"
        assert reason(policy, {"deep": [[{"x": value}]]}, [], "pay") == "argument not allowed: pay.deep.x"
    assert reason(policy, {"y": 1}, [], "pay") == ""


def test_predicates_in_code(reason):
    seen = []
    policy = ToolPolicy({"*": {}}, predicates={"pay.amount": lambda value: seen.append(value) or value % 2 == 0})
    assert reason(policy, {"amount": 4}, [], "pay") == ""
    assert reason(policy, {"amount": 5}, [], "pay") == "argument not allowed: pay.amount"
    # What raises blocks, and its error is not told.
    with pytest.raises(GuardrailViolation) as caught:
        policy.check_call("pay", {"amount": "private text"}, [])
    assert caught.value.reason == "guard failed: TypeError"
    assert "private" not in str(caught.value)
    assert caught.value.__context__ is None
    assert seen == [4, 5, "private text"]
    assert (
        reason(ToolPolicy({}, predicates={"pay.x": lambda _: 1}), {"x": 1}, [], "pay") == "argument not allowed: pay.x"
    )


@pytest.mark.parametrize(
    ("text", "reason_of"),
    [
        ("{", "arguments not valid JSON"),
        ("{'a': 1}", "arguments not valid JSON"),
        ('{"a": NaN}', "arguments not valid JSON"),
        ('{"a": 1} x', "arguments not valid JSON"),
        ('{"a": ' + "9" * 5000 + "}", "arguments not valid JSON"),
        ("[" * 100_000, "arguments not valid JSON"),
        ('["a"]', "arguments not a JSON object"),
        ('"a"', "arguments not a JSON object"),
        ("null", "arguments not a JSON object"),
        ('{"to": "a", "to": "b"}', "arguments have a key twice"),
        ('{"to": "a", "t\\u006f": "b"}', "arguments have a key twice"),
        ('{"x": [{"to": 1, "to": 1}]}', "arguments have a key twice"),
        ('{"a":' * 200 + "1" + "}" * 200, "arguments too deep"),
        ('{"a": "' + "x" * 1_000_000 + '"}', "arguments too long"),
    ],
)
def test_arguments_that_cannot_be_judged_are_blocked(text, reason_of, reason):
    policy = ToolPolicy({"send_mail": {"untainted": ["to"]}})
    assert reason(policy, text, []) == f"{reason_of}: send_mail"
    assert reason(ToolPolicy({"*": {"untainted": ["to"]}}), text, [], "other") == f"{reason_of}: *"


@pytest.mark.parametrize(
    "text",
    [
        '{"to": "eve\\u0040evil.example"}',
        '{"t\\u006f": "eve@evil.example"}',
        '{"to": "{\\"x\\": \\"eve\\\\u0040evil.example\\"}"}',
        '{"to": ["{\\"x\\": \\"[\\\\\\"eve@evil.example\\\\\\"]\\"}"]}',
        '{"to": {"a": {"b": [1, "eve@evil.example"]}}}',
        '{"to": "{\\"to\\": \\"eve@evil.example\\", \\"to\\": \\"ada@example.org\\"}"}',
        ' {"to" : "eve@evil.example" , "to2": "\\ud800"} ',
    ],
)
def test_escapes_and_nested_json_hide_nothing(text, reason, talk):
    messages = talk("Write to ada@example.org", f"from {EVE}")
    policy = ToolPolicy({"send_mail": {"untainted": ["to"]}})
    assert reason(policy, text, messages) == "tainted argument: send_mail.to"
    assert reason(ToolPolicy({"send_mail": {"allow_domains": ["example.org"]}}), text, messages) == (
        "domain not allowed: send_mail"
    )


def test_leaves_tell_where_values_stand():
    text = ' {"a": "x", "b": [1.50, {"c": -2, "d\\n": "y"}], "e": true, "f": "", "g": [[]]}'
    leaves = read_arguments(text).leaves
    assert [(leaf.path, leaf.value) for leaf in leaves] == [
        (("a",), "x"),
        (("b",), 1.5),
        (("b",), "c"),
        (("b", "c"), -2),
        (("b",), "d\n"),
        (("b", "d\n"), "y"),
        (("f",), ""),
    ]
    assert [json.loads(text[leaf.start : leaf.end]) for leaf in leaves] == [leaf.value for leaf in leaves]
    assert leaves[1].written == "1.50"
    assert read_arguments(" ").values == {}


def test_the_digest_is_that_of_what_the_tool_gets():
    def digest(text: str, tool: str = "pay", scope: str = "") -> str:
        return call_digest(scope, tool, read_arguments(text).values)

    assert digest('{"a": 1, "b": "@"}') == digest('{ "b":"\\u0040","a":1 }')
    others = [digest('{"a": 1}'), digest('{"a": "1"}'), digest('{"a": 1}', "p"), digest('{"a": 1}', scope="x")]
    assert len({*others, digest('{"a": 1, "b": null}'), digest('{"a": "\\ud800"}')}) == 6


@pytest.mark.parametrize(
    ("rule", "nearest"),
    [
        ({"untaint": ["to"]}, "untainted"),
        ({"approval": "sometimes"}, None),
        ({"approval": "tainted"}, None),
        ({"allow_domains": ["a b"]}, None),
        ({"arguments": {"x": {"patern": "a"}}}, "pattern"),
        ({"arguments": {"x": {"pattern": "("}}}, None),
        ({"arguments": {"x": {"pattern": "(?=a)"}}}, None),
    ],
)
def test_a_rule_that_is_not_valid_is_an_error(rule, nearest):
    with pytest.raises(ConfigError) as caught:
        ToolPolicy({"pay": rule})
    assert nearest is None or (caught.value.nearest or "").endswith(nearest)


def test_predicates_need_a_tool_and_an_argument():
    for key in ("pay", "pay.", ""):
        with pytest.raises(ConfigError):
            ToolPolicy({}, predicates={key: bool})
    with pytest.raises(ConfigError):
        ToolPolicy({}, predicates={"pay.x": "no function"})
    with pytest.raises(ConfigError):
        ToolPolicy({}, approval_timeout=0)


def test_a_pattern_needs_the_library(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "re2", None)
    with pytest.raises(MissingDependencyError, match="guards"):
        ToolPolicy({"pay": {"arguments": {"x": {"pattern": "a"}}}})


def definition(**parameters):
    return {"type": "function", "function": {"name": "pay", "parameters": parameters}}


def test_a_rule_for_an_argument_that_the_tool_does_not_have_is_an_error():
    policy = ToolPolicy({"pay": {"untainted": ["acount"], "arguments": {"deep.x": {}}}, "*": {"untainted": ["zzz"]}})
    properties = {"account": {}, "deep": {}}
    with pytest.raises(ConfigError) as caught:
        policy.check_definitions([definition(properties=properties, type="object")])
    assert (caught.value.value, caught.value.nearest) == ("acount", "account")
    policy.check_definitions([definition(properties={**properties, "acount": {}})])
    policy.check_definitions([definition(properties=properties, additionalProperties=True)])
    policy.check_definitions([definition(), {"type": "web_search"}, {"function": {"name": "other", "parameters": {}}}])


def test_versions_differ_between_policies():
    rules = [{}, {"pay": {}}, {"pay": {"deny": True}}, {"*": {}}, {"pay": ToolRule(untainted=("a",))}]
    versions = {ToolPolicy(rule).rules().version for rule in rules}
    versions.add(ToolPolicy({}, predicates={"pay.x": bool}).rules().version)
    assert len(versions) == 6
