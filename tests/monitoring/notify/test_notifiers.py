"""Each notifier against a real receiver: what arrives, what a hostile name does, and what becomes of an error."""

from __future__ import annotations

import base64
import email
import email.policy
import hmac
import json
import logging
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hook_receiver import Answer, hook_receiver
from real_backends import eventually
from smtp_receiver import certificate, smtp_receiver

from llmops_sdk.config import NotifierSettings
from llmops_sdk.errors import NotifierError
from llmops_sdk.monitoring.notify._alertmanager import alertmanager_payload
from llmops_sdk.monitoring.notify._email import EmailSender, email_of
from llmops_sdk.monitoring.notify._local import CommandSender
from llmops_sdk.monitoring.notify._message import Message, cut
from llmops_sdk.monitoring.notify._queue import open_sender
from llmops_sdk.monitoring.notify._sender import Sender
from llmops_sdk.monitoring.notify._slack import escaped, slack_payload
from llmops_sdk.monitoring.notify._webhook import signature
from llmops_sdk.testing import ManualClock

MakeMessage = Callable[..., Message]
HOSTILE = (
    '<!channel> <@U123> @here "}\n\r\nBcc: eve@example.com\r\n\r\n\x1b[31m\u202egpj.exe\ud800 <script>&' + "x" * 10_000
)


def sender(kind: str, **settings: object) -> Sender:
    return open_sender("ops", NotifierSettings.model_validate({"kind": kind, **settings}), ManualClock())


def texts(value: object) -> list[str]:
    """Return every text within a JSON value."""
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in [key, *texts(item)]]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


def hostile(message: MakeMessage, **changed: object) -> Message:
    return message(rule=HOSTILE, reason=HOSTILE, labels={HOSTILE: HOSTILE}, runbook=HOSTILE, sql=HOSTILE, **changed)


def test_signature_of_the_standards_reference_vector():
    secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_webhook_is_signed_with_every_secret(message: MakeMessage, monkeypatch: pytest.MonkeyPatch):
    both = ["whsec_" + base64.b64encode(secrets.token_bytes(24)).decode() for _ in range(2)]
    monkeypatch.setenv("HOOK_SECRET", " ".join(both))
    with hook_receiver() as receiver:
        sender("webhook", url=f"{receiver.url}/in?x=1", secret_env="HOOK_SECRET").send([message()])
    [request] = receiver.requests
    body = json.loads(request.body)

    assert request.path == "/in?x=1"
    assert body["type"] == "alert.firing"
    assert body["data"]["rule"] == "spend"
    assert body["data"]["culprits"] == [{"dimension": "model", "value": "gpt-x", "share": 0.8}]
    assert body["data"]["firing_since"] == "2027-01-15T07:59:00.000Z"
    assert request.headers["webhook-id"] == message().id
    assert request.headers["webhook-timestamp"] == "1800000000"
    for secret, made in zip(both, request.headers["webhook-signature"].split(), strict=True):
        signed = f"{message().id}.1800000000.".encode() + request.body
        code = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, "sha256").digest()
        assert base64.b64decode(made.removeprefix("v1,")) == code


@pytest.mark.parametrize(
    ("variable", "value"), [("HOOK_SECRET", ""), ("HOOK_SECRET", "whsec_short"), ("HOOK_SECRET", "plain text")]
)
def test_bad_signing_secret_names_the_variable_and_not_its_value(
    message: MakeMessage, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
):
    monkeypatch.setenv(variable, value)

    with pytest.raises(NotifierError, match=variable) as caught:
        sender("webhook", url="http://127.0.0.1:9/", secret_env=variable).send([message()])

    assert not value or value not in str(caught.value)


def test_redirect_is_not_followed(message: MakeMessage):
    with hook_receiver() as other, hook_receiver([Answer(307, {"Location": f"{other.url}/stolen"})]) as receiver:
        with pytest.raises(NotifierError, match="redirect"):
            sender("webhook", url=receiver.url).send([message()])

        assert other.requests == []


@pytest.mark.parametrize(
    ("status", "headers", "permanent", "retry_after"),
    [
        (400, {}, True, None),
        (401, {}, False, None),
        (404, {}, False, None),
        (429, {"Retry-After": "30"}, False, 30.0),
        (503, {"Retry-After": "7"}, False, 7.0),
        (500, {}, False, None),
    ],
)
def test_status_of_the_receiver_decides_about_another_try(
    message: MakeMessage, status: int, headers: dict[str, str], permanent: bool, retry_after: float | None
):
    with (
        hook_receiver([Answer(status, headers)]) as receiver,
        pytest.raises(NotifierError, match=str(status)) as caught,
    ):
        sender("webhook", url=receiver.url).send([message()])

    assert (caught.value.permanent, caught.value.retry_after) == (permanent, retry_after)
    assert caught.value.notifier == "ops"


def test_secret_address_reaches_no_error_log_or_repr(
    message: MakeMessage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    secret = secrets.token_hex(12)
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    with hook_receiver([Answer(500), Answer(200)]) as receiver:
        host = receiver.url.removeprefix("http://")
        addresses = [f"http://ada:{secret}@{host}/services/{secret}?key={secret}"] * 2
        for address in (*addresses, f"http://127.0.0.1:1/{secret}", f"ftp://x/{secret}", f"http://a b/{secret}"):
            monkeypatch.setenv("SLACK_URL", address)
            slack = sender("slack", url_env="SLACK_URL")
            said.append(repr(slack))
            try:
                slack.send([message()])
            except NotifierError as error:
                said += [str(error), repr(error), repr(error.__cause__)]

    assert receiver.requests[0].headers["authorization"].startswith("Basic ")
    assert receiver.requests[0].path == f"/services/{secret}?key={secret}"
    assert len(receiver.requests) == 2
    assert secret not in "".join(said) + caplog.text


def test_slack_mentions_nobody_and_stays_within_its_limits(message: MakeMessage, monkeypatch: pytest.MonkeyPatch):
    batches = [[hostile(message)], [hostile(message, id=str(number)) for number in range(500)]]
    with hook_receiver() as receiver:
        monkeypatch.setenv("SLACK_URL", receiver.url)
        for batch in batches:
            sender("slack", url_env="SLACK_URL").send(batch)
    bodies = [json.loads(request.body) for request in receiver.requests]

    for body in bodies:
        assert not any("<" in text or ">" in text for text in texts(body))
        assert all(block["text"]["type"] == "plain_text" for block in body["blocks"] if "text" in block)
        assert not body["link_names"]
        assert len(body["blocks"]) <= 50
        assert len(body["blocks"][0]["text"]["text"]) <= 150
        assert all(len(block["text"]["text"]) <= 3_000 for block in body["blocks"] if "text" in block)
        assert all(len(field["text"]) <= 2_000 for block in body["blocks"] for field in block.get("fields", []))
        assert all(len(block.get("fields", [])) <= 10 for block in body["blocks"])
    assert "and 470 more" in bodies[1]["blocks"][1]["text"]["text"]


def test_slack_shows_the_figures_of_an_alert(message: MakeMessage):
    shown = "\n".join(texts(slack_payload([message()])))

    assert "[FIRING, page] spend" in shown
    assert "cost is 7.5 USD in the last hour, above 5" in shown
    assert "Value: 7.5" in shown
    assert "Contributes most: model gpt-x (80%)" in shown


@pytest.mark.parametrize("text", ["<!channel>", "&" * 400, "<" * 400, "a" * 400])
def test_escaped_text_is_bounded_and_ends_within_no_entity(text: str):
    made = escaped(text, 150)

    assert len(made) <= 150
    assert made.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").count("&") == 0


@pytest.mark.parametrize(("content", "there"), [(False, False), (True, True)])
def test_texts_leave_only_with_content(message: MakeMessage, content: bool, there: bool):
    private = secrets.token_hex(8)
    one = message(content=content, texts=(f"error: {private}",))
    made = [
        json.dumps(slack_payload([one])),
        str(email_of([one], "a@b.c", ["d@e.f"])),
        json.dumps(alertmanager_payload([one])),
    ]

    assert [private in text for text in made] == [there] * 3


def test_fields_are_cut_and_without_control_and_direction_characters(message: MakeMessage):
    one = hostile(message, texts=(HOSTILE,), content=True).notification
    found = [one.rule, one.reason, *one.labels, *one.labels.values(), one.runbook or "", one.sql or "", *one.texts]

    assert max(map(len, found)) <= 2_000
    assert len(one.rule) == 200
    assert not any(ord(character) < 32 or character in "\u202e\ud800" for text in found for character in text)
    assert cut("a" * 20, 10) == "a" * 9 + "…"


def test_mail_over_starttls_with_a_login(message: MakeMessage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = certificate(tmp_path)
    password = secrets.token_hex(8)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("MAIL_PASSWORD", password)
    with smtp_receiver(file) as receiver:
        sender(
            "email", host="localhost", port=receiver.port, to=["ops@example.com", "b@example.com"],
            sender="llmops@example.com", username="ada", password_env="MAIL_PASSWORD",
        ).send([message()])  # fmt: skip
    [mail] = receiver.mails

    assert (mail.sender, mail.to, mail.encrypted) == ("llmops@example.com", ["ops@example.com", "b@example.com"], True)
    assert mail.user == f"ada {password}"
    read = email.message_from_bytes(mail.content, policy=email.policy.default)
    assert read["Subject"] == "[FIRING, page] spend"
    assert read["Message-ID"] == f"<{message().id}@llmops.invalid>"
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]
    assert "Contributes most: model gpt-x (80%)" in read.get_body(("plain",)).get_content()


def test_mail_is_not_sent_without_a_valid_certificate_or_without_starttls(message: MakeMessage, tmp_path: Path):
    to = {"host": "localhost", "to": ["ops@example.com"], "sender": "llmops@example.com"}
    with smtp_receiver(certificate(tmp_path)) as strange, smtp_receiver() as plain:
        with pytest.raises(NotifierError, match="certificate"):
            sender("email", port=strange.port, **to).send([message()])
        with pytest.raises(NotifierError, match="STARTTLS"):
            sender("email", port=plain.port, **to).send([message()])
        with pytest.raises(NotifierError, match="this machine"):
            sender("email", port=plain.port, tls=False, **{**to, "host": "mail.example.com"}).send([message()])

    assert strange.mails == plain.mails == []


def test_hostile_texts_make_one_mail_with_our_headers_alone(message: MakeMessage):
    with smtp_receiver() as receiver:
        for batch in ([hostile(message)], [hostile(message), hostile(message, id="2")]):
            sender("email", host="127.0.0.1", port=receiver.port, tls=False, to=["ops@example.com"],
                   sender="llmops@example.com").send(batch)  # fmt: skip

    assert len(receiver.mails) == 2
    for mail in receiver.mails:
        read = email.message_from_bytes(mail.content, policy=email.policy.default)
        assert mail.to == ["ops@example.com"]
        assert read.keys() == [
            "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
        ]  # fmt: skip
        assert "<script>" not in read.get_body(("html",)).get_content()


@pytest.mark.parametrize(
    "address", ["ops@example.com\r\nBcc: eve@example.com", "ops", "a@b@c", "Ops <ops@example.com>"]
)
def test_address_that_could_add_a_header_is_refused(message: MakeMessage, address: str):
    with pytest.raises(NotifierError, match="name@host"):
        sender("email", host="127.0.0.1", port=9, tls=False, to=[address], sender="a@b.c").send([message()])


@pytest.mark.parametrize(
    ("command", "said", "permanent"),
    [
        ("DATA", "554 spam", True),
        ("DATA", "451 later", False),
        ("RCPT", "550 unknown", True),
        ("MAIL", "421 busy", False),
    ],
)
def test_refusal_of_a_mail_server(message: MakeMessage, command: str, said: str, permanent: bool):
    with smtp_receiver() as receiver:
        receiver.refusals[command] = said
        settings = NotifierSettings(
            kind="email", host="127.0.0.1", port=receiver.port, tls=False, to=("a@b.c",), sender="d@e.f"
        )
        with pytest.raises(NotifierError, match=said[:3]) as caught:
            EmailSender("ops", settings, timeout=5).send([message()])

    assert caught.value.permanent is permanent


def test_alertmanager_gets_the_end_of_an_alert_and_legal_label_names(message: MakeMessage):
    batch = [
        message(labels={"user id": "u", "severity": "mine", "9": "n", "empty": ""}),
        message(state="resolved"),
        message(id="other"),
    ]
    with hook_receiver() as receiver:
        sender("alertmanager", url=f"{receiver.url}/am/").send(batch)
        sender("alertmanager", url=receiver.url).send(batch[:1])
    first, second = (json.loads(request.body) for request in receiver.requests)

    assert [request.path for request in receiver.requests] == ["/am/api/v2/alerts", "/api/v2/alerts"]
    assert [one["annotations"]["alert_id"] for one in first] == ["a1b2", "other"]
    assert first[0]["startsAt"] == "2027-01-15T07:59:00.000Z"
    assert first[0]["endsAt"] == "2027-01-15T08:00:00.000Z"
    assert second[0]["labels"] == {
        "alertname": "spend", "severity": "page", "kind": "threshold", "user_id": "u", "exported_severity": "mine",
        "_9": "n",
    }  # fmt: skip
    assert second[0]["endsAt"] > "2027-01-20"


def test_command_gets_json_without_a_shell(message: MakeMessage, tmp_path: Path):
    program = (
        "import pathlib, sys; pathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read()); print('y' * 10_000_000)"
    )
    odd = tmp_path / "$(touch x); out"

    sender("command", command=[sys.executable, "-c", program, str(odd)]).send([message()])

    assert json.loads(odd.read_bytes())["data"]["rule"] == "spend"


def test_command_that_hangs_is_killed_with_its_children(message: MakeMessage, tmp_path: Path):
    program = 'sleep 600 & echo $! > "$0"; wait'
    settings = NotifierSettings(kind="command", command=("sh", "-c", program, str(tmp_path / "pid")))

    with pytest.raises(NotifierError, match="did not end within"):
        CommandSender("ops", settings, timeout=2.0).send([message()])

    child = int((tmp_path / "pid").read_text())
    state = Path(f"/proc/{child}/stat")
    eventually(lambda: not state.exists() or state.read_text().split()[2] in "ZX", bool, "the end of the child")


@pytest.mark.parametrize(
    ("command", "said"), [(["false"], "status 1"), (["/nowhere/program"], "No such file"), ([f"{os.sep}etc"], "denied")]
)
def test_command_that_fails(message: MakeMessage, command: list[str], said: str):
    with pytest.raises(NotifierError, match=said):
        sender("command", command=command).send([message()])


def test_file_grows_by_a_line_for_each_message_and_recovers_from_half_a_line(message: MakeMessage, tmp_path: Path):
    file = tmp_path / "alerts.jsonl"
    file.write_bytes(b'{"half": ')

    sender("file", path=str(file)).send([message(), message(state="resolved")])

    lines = file.read_bytes().split(b"\n")
    assert [json.loads(line)["type"] for line in lines[1:3]] == ["alert.firing", "alert.resolved"]
    assert lines[3:] == [b""]
    with pytest.raises(NotifierError, match="No such file"):
        sender("file", path=str(tmp_path / "nowhere" / "x")).send([message()])
