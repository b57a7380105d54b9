"""Secrets in a text and in JSON: all found, nothing else touched, in linear time."""

from __future__ import annotations

import json
import re
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_secrets import PlantedSecret, planted_secrets
from thorough_cases import thorough

from llmops_sdk.config._secrets import CERTAIN_WORDS, QUALIFIED_WORDS, is_secret_name
from llmops_sdk.tracing.privacy import _sieves
from llmops_sdk.tracing.privacy._secrets import DOTTED, PATTERNS, SecretPattern
from llmops_sdk.tracing.privacy._sieves import may_hold_secret
from llmops_sdk.tracing.privacy._text_redactor import TextRedactor

SECRETS = planted_secrets()
each = pytest.mark.parametrize("planted", SECRETS, ids=lambda planted: planted.name)


def redacted(text: str, key: str = "") -> tuple[str, dict[str, int]]:
    redactor = TextRedactor()
    return redactor.text(text, key), dict(redactor.counts)


def redacted_json(raw: bytes) -> tuple[bytes, dict[str, int]]:
    redactor = TextRedactor()
    return redactor.json(raw), dict(redactor.counts)


@each
def test_a_secret_in_text_is_redacted(planted: PlantedSecret):
    for around in ("{}", "see {} now", "{}\nnext", "line\n{}", "({})", "'{}'", "a, {}, b", "é {} é"):
        text, counts = redacted(around.format(planted.text))
        assert planted.core not in text, around
        assert f"[REDACTED:{planted.kind}]" in text, around
        assert counts == {planted.kind: 1}, around
        before, after = around.split("{}")
        assert text.startswith(before), around
        assert text.endswith(after), around


@each
def test_only_the_secret_is_replaced(planted: PlantedSecret):
    text, _ = redacted(planted.text)
    kept = re.sub(r"\[REDACTED:\w+\]", "|", text)
    assert len(kept) <= len(planted.text) - len(planted.core) + 1
    assert redacted(text) == (text, {})


@each
def test_two_secrets_in_one_text_are_both_redacted(planted: PlantedSecret):
    other = next(one for one in planted_secrets(seed=2) if one.name == planted.name)
    text, counts = redacted(f"{planted.text} and {other.text}")
    assert planted.core not in text
    assert other.core not in text
    assert counts == {planted.kind: 2}


@each
def test_the_beginning_of_a_cut_secret_is_redacted(planted: PlantedSecret):
    if planted.name in {"basic", "api-key-header", "twilio-token", "pem"}:
        end = planted.text.index(planted.core) + len(planted.core)
    else:
        end = planted.text.index(planted.core) + len(planted.core) - 2
    text, _ = redacted(planted.text[:end] + "…[+4000 characters]")
    assert planted.core[:10] not in text
    assert text.endswith("…[+4000 characters]")


def everywhere(text: str) -> dict[str, Any]:
    return {
        "plain": text,
        "list": [1, text, {"deep": [text]}],
        "json in json": json.dumps({"a": text, "b": [json.dumps({"c": text})]}),
        f"key {text}": None,
    }


@each
def test_a_secret_in_json_is_redacted(planted: PlantedSecret):
    raw = json.dumps(everywhere(planted.text), ensure_ascii=True).encode()
    out, counts = redacted_json(raw)
    assert planted.core not in str(json.loads(out))
    assert planted.core.encode() not in out
    assert planted.core.replace("/", "\\/").encode() not in out
    assert counts == {planted.kind: 6}
    value = json.loads(out)
    assert json.loads(json.loads(value["json in json"])["b"][0])["c"] == value["plain"]


@each
@pytest.mark.parametrize("escape", ["\\u{:04x}", "\\u{:04X}"])
def test_a_secret_behind_escapes_is_redacted(planted: PlantedSecret, escape: str):
    whole = "".join(escape.format(ord(character)) for character in planted.text)
    signs = re.sub(r"[^A-Za-z0-9]", lambda match: escape.format(ord(match[0])), planted.text)
    slashes = json.dumps(planted.text)[1:-1].replace("/", "\\/")
    for text in (whole, signs, slashes):
        nested = json.dumps({"again": f'{{"x": "{text}"}}'})
        out, counts = redacted_json(f'{{"a": "{text}", "b": {nested}}}'.encode())
        assert counts == {planted.kind: 2}
        value = json.loads(out)
        assert planted.core not in value["a"]
        assert planted.core not in json.loads(value["b"]["again"])["x"]


ESCAPED = {
    "json, another script": "\\u4e2d",
    "json, a pair": "\\ud83d\\ude00",
    "json, nested": "\\\\u4e2d",
    "python, a wide character": "\\U0001f600",
    "bytes": "\\xe4\\xb8\\xad",
    "a byte": "\\x00",
    "octal": "\\033",
    **{f"control {letter}": f"\\{letter}" for letter in "abfnrtv0"},
    "percent, equals": "%3D",
    "percent, quote": "%22",
    "percent, UTF-8": "%E4%B8%AD",
    "percent, twice": "%253D",
    "colour": "\x1b[31m",
    "colours": "\x1b[1;38;5;123m",
    "colour in JSON": "\\u001b[31m",
    "colour in bytes": "\\x1b[0m",
    "colour in octal": "\\033[31m",
}


@pytest.mark.parametrize("escape", ESCAPED.values(), ids=ESCAPED)
def test_a_secret_directly_behind_an_escape_is_redacted(escape: str):
    for planted in SECRETS:
        text, counts = redacted(f"see {escape}{planted.text} now")
        assert planted.core not in text, planted.name
        assert sum(counts.values()) == 1, planted.name
        assert text.startswith(f"see {escape}")
        raw = json.dumps({"a": f"{escape}{planted.text}"}).encode()
        assert planted.core not in json.loads(redacted_json(raw)[0])["a"], planted.name


@pytest.mark.parametrize("before", ["中", "😀", "é", "\x00", "\x7f", "\x1b[31m"])
def test_a_secret_after_another_script_is_redacted_in_every_encoding(before: str):
    for planted in SECRETS:
        for text in (
            json.dumps(before + planted.text),
            repr((before + planted.text).encode()),
            ascii(before) + planted.text,
        ):
            assert planted.core not in redacted(text)[0], planted.name


NAMES = [
    "password", "db_password", "dbPassword", "DB_PASSWORD", "passwd", "pwd", "passphrase", "secret", "client_secret",
    "clientSecret", "api_key", "apiKey", "apikey", "OPENAI_API_KEY", "x-api-key", "access_token", "accessToken",
    "refresh_token", "auth_token", "private_key", "privateKey", "secret_key", "access_key", "authorization",
    "Authorization", "http.request.header.authorization", "credentials", "cookie", "set-cookie", "connection_string",
    "session_token", "aws_session_token",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_value_of_any_form_is_redacted_by_its_name(name: str):
    for value in ("hunter2", "pin", "a long sentence with spaces", "中文密码"):
        _check_by_name(name, value)


def _check_by_name(name: str, value: str) -> None:
    marked = "[REDACTED:named_secret]"
    assert redacted(value, name) == (marked, {"named_secret": 1})
    out, counts = redacted_json(json.dumps({"n": 1, "deep": [{name: value}], "other": value}).encode())
    assert json.loads(out) == {"n": 1, "deep": [{name: marked}], "other": value}
    assert counts == {"named_secret": 1}
    inner = json.dumps({name: value}, ensure_ascii=False)
    out, counts = redacted_json(json.dumps({"arguments": inner, "again": json.dumps({"a": inner})}).encode())
    assert value not in json.loads(out)["arguments"]
    assert value not in json.loads(json.loads(out)["again"])["a"]
    assert json.loads(json.loads(out)["arguments"]) == {name: marked}
    assert counts == {"named_secret": 2}


def test_tokens_are_redacted_by_name_and_words_are_not():
    assert redacted("a1b2c3d4e5", "token")[1] == {"named_secret": 1}
    assert redacted("a1b2c3d4e5", "x.botToken")[1] == {"named_secret": 1}
    for name, value in {
        "token": "international",
        "token_count": "a1b2c3d4e5",
        "max_tokens": "a1b2c3d4e5",
        "gen_ai.token.type": "input",
        "password": "",
        "api_key": "${OPENAI_API_KEY}",
        "secret": "***",
        "api-key": "string",
        "keyword": "a1b2c3d4e5",
        "password_hint": "the cat",
        "tokenizer": "cl100k_base",
    }.items():
        assert redacted(value, name) == (value, {}), name
        raw = json.dumps({name: value, "list": [{name: value}]}).encode()
        assert redacted_json(raw) == (raw, {}), name
    raw = (
        b'{"properties":{"password":{"type":"string","description":"the password"}},"required":["password","api_key"]}'
    )
    assert redacted_json(raw) == (raw, {})


@pytest.mark.thorough
def test_the_standard_library_holds_next_to_no_secret():
    found: list[str] = []
    lines = 0
    for path in sorted(Path(json.__file__).parents[1].rglob("*.py")):
        if "site-packages" in path.parts or "test" in path.parts:
            continue
        text = path.read_text("utf-8", "replace")
        lines += text.count("\n")
        redactor = TextRedactor()
        redactor.text(text)
        found += [f"{path.name}: {dict(redactor.counts)}"] if redactor.counts else []
    assert lines > 150_000
    assert len(found) <= 6, found


def test_a_value_is_redacted_because_of_its_key():
    aws, basic, twilio = (
        next(planted.core for planted in SECRETS if planted.name == name)
        for name in ("aws-secret", "basic", "twilio-token")
    )
    value = {
        "aws_secret_access_key": aws,
        "headers": {"Authorization": f"Basic {basic}==", "authorization": [f"Basic {basic}=="]},
        "twilio_auth_token": twilio,
        "aws_region": "eu-central-1",
    }
    out, counts = redacted_json(json.dumps(value).encode())
    assert aws.encode() not in out
    assert basic.encode() not in out
    assert twilio.encode() not in out
    assert counts == {"aws_secret_key": 1, "authorization": 2, "twilio_key": 1}
    assert json.loads(out)["aws_region"] == "eu-central-1"
    assert redacted(aws, "aws.secret_access_key")[1] == {"aws_secret_key": 1}


NAMES = [
    *CERTAIN_WORDS,
    *(f"{first} {word}" for word, firsts in QUALIFIED_WORDS.items() for first in firsts),
]


@pytest.mark.parametrize("name", NAMES)
def test_one_list_of_names_serves_the_settings_and_redaction(name: str):
    words = name.split()
    camel = "".join(word if word == "pwd" else word.title() for word in words)
    for spelled in ("{snake}", "{kebab}", "db_{snake}", "db.{snake}", "_{camel}"):
        key = spelled.format(snake="_".join(words), kebab="-".join(words), camel=camel)
        assert is_secret_name(key), key
        assert redacted_json(json.dumps({key: "hunter2"}).encode())[1] == {"named_secret": 1}, key


HARMLESS = [
    "9fceb02d0ae598e95dc970b74767f19372d61af8",
    str(uuid.UUID(int=2**100 + 12345)),
    "sk-learn, sk-ant, sk-proj, task-force, risk-averse, disk-usage-of-the-file-server-in-the-cellar",
    "sk-admin-navigation-sidebar-item-with-a-long-name",
    "ask-questions-first-then-answer-them-politely-and-briefly",
    "https://bank.example:8080/path?email=a@b.example#frag",
    "http://[::1]:8080/@scope/package",
    "write to me@example.com or https://example.com/@user",
    "Bearer authentication is explained below; bearer token-based-authentication too",
    "Authorization: required for every request",
    "The AKIA prefix marks an access key id; ASIA is a temporary one. ASIAN markets rose.",
    "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUJ\n-----END CERTIFICATE-----",
    "eyJhbGciOiJub25lIn0 is a header",
    "secret_access_key is the name of the setting",
    "npm_config_registry, hf_hub_download, gh_actions, xoxo-kisses-and-hugs",
    "C:\\Users\\nobody\\temp",
    "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB+AKIA/hf+npm/eyJ" * 40,
    "0123456789abcdef" * 4,
    "",
]


@pytest.mark.parametrize("text", HARMLESS, ids=range(len(HARMLESS)))
def test_lookalikes_of_secrets_are_unchanged(text: str):
    assert redacted(text) == (text, {})
    raw = json.dumps({"a": text, "b": json.dumps([text])}).encode()
    assert redacted_json(raw) == (raw, {})


# Keys in parts have no literal but a point, and a sieve of their own.
@pytest.mark.parametrize(
    "pattern", [one for one in PATTERNS if one.candidate != DOTTED], ids=lambda pattern: pattern.label
)
def test_the_first_sieves_find_each_literal_of_each_format(pattern: SecretPattern):
    sieve = re.compile("|".join((*_sieves.VENDOR_LITERALS, *_sieves.MORE_SIEVE, *_sieves.WORD_LITERALS)))
    # A format that begins with "SK" is found by the hexadecimal digit that follows.
    literals = [f"{literal}{digit}" for literal in pattern.literals for digit in ("0f" if literal == "SK" else [""])]
    assert [literal for literal in literals if not sieve.search(literal)] == []


@pytest.mark.parametrize("literals", [_sieves.VENDOR_LITERALS, _sieves.WORD_LITERALS], ids=["vendors", "words"])
def test_the_engine_takes_the_literals_of_a_sieve_in_one_pass(literals: tuple[str, ...]):
    beginnings = {re.sub(r"\\(.)", r"\1", literal)[:4] for literal in literals}
    assert len(beginnings) == len(literals) <= 64
    assert min(map(len, beginnings)) >= 3


@pytest.mark.parametrize(
    "text",
    [
        "concurrent.futures_of_many_threads.wait_for_one_of_them",
        "main.d41d8cd98f00b204e9800998ecf8427e.chunk.js",
        "web.1.7x3h5k0q9w8e7r6t5y4u3i2o1",
        "https://a1B2c3D4e5F6g7H8i9J0k.example.org/path",
        "OuterClass.InnerClassWithALongName42.AnotherInnerClass",
        "sha256.9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ],
)
def test_names_in_parts_are_no_keys(text: str):
    assert redacted(f"see {text} now") == (f"see {text} now", {})


@pytest.mark.parametrize("kind", ["pat", "cbt", "imt", "agent", "oas", "ffct", "soat", "ft"])
def test_tokens_of_gitlab_are_redacted(kind: str):
    assert redacted(f"gl{kind}-" + "a1B2c" * 5) == ("[REDACTED:gitlab_token]", {"gitlab_token": 1})


def test_the_sieves_rule_out_ordinary_text():
    assert not may_hold_secret("Where is the card? The task-force asked at https://example.com/a/b. " * 50)


texts = st.text(max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def planted_in(value: Any, secret: str) -> Any:
    """The value with the secret after each of its strings."""
    if isinstance(value, str):
        return f"{value} {secret}"
    if isinstance(value, list):
        return [planted_in(item, secret) for item in value]
    if isinstance(value, dict):
        return {key: planted_in(item, secret) for key, item in value.items()}
    return value


@given(values, st.sampled_from(SECRETS), st.booleans())
def test_json_stays_valid_and_equal_outside_of_what_was_replaced(value: Any, planted: PlantedSecret, ascii_only: bool):
    raw = json.dumps(planted_in(value, planted.text), ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    out, _ = redacted_json(raw)
    assert json.loads(out) == planted_in(value, redacted(planted.text)[0])


@given(st.binary(max_size=60))
def test_any_bytes_are_accepted_as_json(raw: bytes):
    secret = SECRETS[5]
    out, counts = redacted_json(raw + b'"' + secret.text.encode() + b'" ' + secret.text.encode() + b" ")
    assert secret.core.encode() not in out
    assert counts == {secret.kind: 2}
    assert out.startswith(raw) or b"\\" in raw


HOSTILE = [
    *(
        "-sk-proj-a",
        "sk-ant-a_-",
        "-eyJaaaaaaaaaaaa",
        "eyJaaaaaaaa.",
        "-eyJaaaaaaaa.",
        "://a:b",
        "a@",
        "://",
        "a.",
        "1-",
    ),
    *(
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nA: b\n",
        "A" * 60 + "\n",
        "-----END PRIVATE KEY-----",
    ),
    *("ghp_", "-ghp_aaa", "aws_secret_access_key=", 'aws_secret_access_key = "', "authorization: bearer ", "bearer a-"),
    *(
        "\\",
        "\\u002d",
        "\\\\n",
        "xoxb-a-",
        "twilio token",
        "SG.aaaaaa.",
        "…AAAA",
        '"',
        "hooks.slack.com/a/",
        "api-key: ",
    ),
    *(
        '"sk-aaaa',
        '"password": "',
        '"a_',
        "?a_",
        "A_API_KEY=",
        "--a-",
        ";pwd=",
        "%25",
        "\x1b[",
        "\\x41",
        "basic Aa1",
        "&sig=",
    ),
]


def _cpu_seconds(unit: str, size: int) -> tuple[float, float]:
    """Return the CPU seconds of redacting `size` characters, as text and inside JSON."""
    seed = "…" + " ".join(planted.text for planted in SECRETS)
    text = seed + (unit * (size // len(unit) + 1))[:size]
    raw = json.dumps({"authorization": text}).encode()
    begin = time.thread_time()
    redacted(text, "authorization")
    in_text = time.thread_time() - begin
    begin = time.thread_time()
    out, _ = redacted_json(raw)
    in_json = time.thread_time() - begin
    assert isinstance(json.loads(out)["authorization"], str)
    return in_text, in_json


@pytest.mark.thorough
@pytest.mark.parametrize("size", [40_000, thorough(120_000)])
@pytest.mark.parametrize("unit", HOSTILE, ids=range(len(HOSTILE)))
def test_time_of_redacting_a_hostile_text_grows_linearly(unit: str, size: int):
    # A ratio in one run, whatever the machine: eight times the text takes eight times as long, and 64 times as long
    # when a pattern is quadratic.
    small = [min(times) for times in zip(*(_cpu_seconds(unit, size // 8) for _ in range(2)), strict=True)]
    large = _cpu_seconds(unit, size)
    assert large[0] < 24 * small[0]
    assert large[1] < 24 * small[1]
