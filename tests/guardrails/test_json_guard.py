"""A text must be one JSON value that fits a schema; what is broken is repaired within bounds."""

from __future__ import annotations

import json
import time

import pytest
from pydantic import BaseModel

from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails import DetectorGuard, GuardContext
from llmops_sdk.guardrails.detectors._json import JsonDetector

pytest.importorskip("json_repair")

OUTPUT = GuardContext(rail="output")


class Order(BaseModel):
    amount: int


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, null]}',
        " [] ",
        "7",
        '"text"',
        '```json\n{"a": 1}\n```',
        "Here it is:\n```\n[1]\n```\nBye",
        '"```\\n```"',
    ],
)
def test_one_value_passes_alone_or_in_a_fence(text):
    assert JsonDetector().detect(text, OUTPUT).found is False


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("{'a': [1, 2", {"a": [1, 2]}),
        ('Sure: {"a": 1,} Bye', {"a": 1}),
        ('Sure: {"a": "' + "x" * 100_000 + '"} Bye', {"a": "x" * 100_000}),
        ("```json\n{a: True}\n```", {"a": True}),
        ('{"a": "\ud800"', {"a": "\ufffd"}),
        ("hello", None),
        ("", None),
        ("nul", None),
    ],
)
def test_a_broken_value_is_repaired(text, fixed):
    found = JsonDetector().detect(text, OUTPUT)
    assert (found.found, found.reason, found.findings) == (True, "not JSON", ())
    assert (None if found.fixed is None else json.loads(found.fixed)) == fixed


def test_a_value_must_fit_the_schema_also_when_repaired():
    guard = DetectorGuard(JsonDetector(Order), "fix")
    assert guard.check('{"amount": 1}', OUTPUT).action == "pass"
    assert guard.check("{amount: 1", OUTPUT).text == '{"amount": 1}'
    unfit = guard.check('{"amount": "secret"}', OUTPUT)
    assert (unfit.action, unfit.reason) == ("block", "does not fit the schema")
    assert guard.check("{amount: secret", OUTPUT).action == "block"
    assert JsonDetector(Order).version != JsonDetector().version != JsonDetector(list[int]).version


@pytest.mark.parametrize("schema", [{"type": "object"}, "Order", object()])
def test_other_schemas_are_config_errors(schema):
    with pytest.raises(ConfigError, match="schema"):
        JsonDetector(schema)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        "[" * 1_000_000,
        "[1," * 300_000,
        "```\n" * 250_000,
        "```a" * 250_000,
        '["' + '{"a":{}}' * 120_000,
        '["' + '{"a":{}}' * 700,
        "{]" * 2_900,
    ],
)
def test_deep_long_and_crafted_texts_take_bounded_time(text):
    began = time.thread_time()
    for detector in (JsonDetector(), JsonDetector(Order)):
        assert detector.detect(text, OUTPUT).found
    # Seconds of this thread's own work; what is quadratic takes minutes.
    assert time.thread_time() - began < 12
