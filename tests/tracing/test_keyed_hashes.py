"""Keyed hashes in replacements: equal values can be joined, none can be read or mistaken, and off changes nothing."""

from __future__ import annotations

import json
import logging
import re
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_secrets import PlantedSecret, planted_secrets

import llmops_sdk as llmops
from llmops_sdk._util._keyed_label import keyed_label
from llmops_sdk.config import RedactionSettings
from llmops_sdk.tracing.privacy import _hash_key
from llmops_sdk.tracing.privacy._hash_key import hash_key
from llmops_sdk.tracing.privacy._text_redactor import TextRedactor

SECRETS = planted_secrets()
KEY, OTHER = b"k" * 32, b"o" * 32
FORM = re.compile(r"\[REDACTED:\w+:[a-p]{16}\]")


@pytest.mark.parametrize(
    ("kind", "spellings"),
    [
        (
            "EMAIL",
            ["ada@example.org", "ada@EXAMPLE.Org", "Ada@example.org", "ada%40example.org", "ada\u200b@example.org"],
        ),
        ("EMAIL_ADDRESS", ["ada@example.org", "ada@example.org", " ada@example.org\n"]),
        ("CARD", ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "٤١١١ 1111 1111 1111"]),
        ("IBAN", ["DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "de89 3704 0044 0532 0130 00"]),
        ("PHONE", ["020 7946 0958", "(020) 7946-0958", "020.7946.0958"]),
        ("ADDRESS", ["12 Hill Road", "12  hill\nroad"]),
    ],
)
def test_spellings_of_a_value_have_one_hash(kind: str, spellings: list[str]):
    labels = {keyed_label(kind, one, KEY) for one in spellings}

    assert len(labels) == 1
    assert re.fullmatch(rf"\[{kind}:[a-p]{{16}}\]", labels.pop())


def test_the_value_the_kind_and_the_key_make_the_hash():
    given_ = [("CARD", "1", KEY), ("CARD", "2", KEY), ("PHONE", "1", KEY), ("CARD", "1", OTHER)]

    assert len({keyed_label(*one).split(":")[1] for one in given_}) == 4


def test_secrets_that_differ_in_case_are_different():
    assert keyed_label("REDACTED:key", "aB", KEY) != keyed_label("REDACTED:key", "ab", KEY)


@given(st.text())
def test_any_text_has_a_label_without_digits(text: str):
    label = keyed_label("PHONE", text, KEY)

    assert re.fullmatch(r"\[PHONE:[a-p]{16}\]", label)
    assert label == keyed_label("PHONE", text, KEY)


@pytest.mark.parametrize("planted", SECRETS, ids=lambda planted: planted.name)
def test_a_redacted_text_stays_as_it_is(planted: PlantedSecret):
    text = TextRedactor(key=KEY).text(planted.text)

    assert FORM.search(text)
    assert planted.core not in text
    assert re.sub(r":[a-p]{16}\]", "]", text) == TextRedactor().text(planted.text)
    again = TextRedactor(key=KEY)
    assert (again.text(text), again.counts) == (text, {})


def test_a_secret_has_one_hash_with_and_without_escapes():
    secret = next(one for one in SECRETS if one.name == "github").text
    plain = TextRedactor(key=KEY).text(f"use {secret} now")
    escaped = TextRedactor(key=KEY).text(f"use {secret[:8]}\\u{ord(secret[8]):04x}{secret[9:]} now")

    assert FORM.findall(plain) == FORM.findall(escaped) != []


def test_json_and_own_patterns_have_hashes():
    redactor = TextRedactor([("employee", re.compile(r"E-\d{6}"))], KEY)
    found = json.loads(redactor.json(b'{"a": "E-123456 and E-123456", "password": "hunter2", "b": "E-654321"}'))

    first, second = FORM.findall(found["a"])
    assert first == second != found["b"]
    assert FORM.fullmatch(found["password"])


def test_without_a_key_nothing_changes():
    for planted in SECRETS:
        assert not re.search(r":[a-p]{16}\]", TextRedactor().text(planted.text))


def test_values_can_be_joined_in_sql(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TELEMETRY_HASH_KEY", secrets.token_hex(16))
    llmops.configure(redaction={"hash_key_env": "TELEMETRY_HASH_KEY", "patterns": {"employee": r"E-\d{6}"}})
    for name, said in (("first", "E-123456"), ("second", "again E-123456"), ("third", "E-654321")):
        with llmops.span(name, input=said):
            pass
    llmops.flush()

    code = r"regexp_extract(input, '\[REDACTED:employee:(\w+)\]', 1)"
    rows = llmops.query(f"SELECT count(*) FROM spans WHERE input NOT LIKE '%E-%' GROUP BY {code} ORDER BY 1").rows()
    assert rows == [(1,), (2,)]


@pytest.mark.parametrize("value", [None, "", "short", " " * 20])
def test_without_a_good_key_values_are_replaced_without_a_hash(
    value: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(_hash_key, "_warned", set())
    monkeypatch.delenv("TELEMETRY_HASH_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TELEMETRY_HASH_KEY", value)
    settings = RedactionSettings(hash_key_env="TELEMETRY_HASH_KEY")
    with caplog.at_level(logging.WARNING, "llmops_sdk"):
        assert [hash_key(settings), hash_key(settings)] == [None, None]

    (record,) = caplog.records
    assert "TELEMETRY_HASH_KEY" in record.getMessage()


def test_a_key_of_any_length_is_used_whole(monkeypatch: pytest.MonkeyPatch):
    settings = RedactionSettings(hash_key_env="TELEMETRY_HASH_KEY")
    keys: set[bytes | None] = set()
    for text in ("a" * 200 + "b", "a" * 200 + "c", "a" * 16):
        monkeypatch.setenv("TELEMETRY_HASH_KEY", text)
        keys.add(hash_key(settings))

    assert len(keys) == 3
    assert {len(key or b"") for key in keys} == {32}
    assert hash_key(RedactionSettings()) is None
