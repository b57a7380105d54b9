"""The redaction stage: nothing planted reaches a file or a backend, what is replaced is counted, a failure closes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from opentelemetry.sdk.trace import TracerProvider
from otlp_receiver import OtlpReceiver
from planted_secrets import PlantedSecret, planted_secrets

import llmops_sdk as llmops
from llmops_sdk._util._guard import raise_in_tests
from llmops_sdk.config import RedactionSettings, Settings
from llmops_sdk.tracing.interop._foreign_recorder import ForeignRecorder
from llmops_sdk.tracing.privacy._redaction_stage import RedactionStage
from llmops_sdk.tracing.records._records import LossRecord, RecordedSpan, ScoreRecord
from llmops_sdk.tracing.runtime import _start as _runtime

SECRETS = planted_secrets()
TOKEN = next(planted for planted in SECRETS if planted.name == "github")


class Kept:
    """A sink in memory."""

    name = "memory"
    is_local = True

    def __init__(self) -> None:
        self.records: list[Any] = []

    def write(self, batch: Any) -> int:
        self.records += batch
        return sum(isinstance(record, RecordedSpan) for record in batch)

    def flush(self, timeout: float) -> bool:
        return timeout >= 0

    def close(self, timeout: float) -> None:
        assert timeout > 0

    def after_fork(self) -> None:
        self.records = []

    def of(self, kind: type[Any]) -> list[Any]:
        llmops.flush()
        return [record for record in self.records if isinstance(record, kind)]

    def losses(self) -> dict[tuple[str, str], int]:
        counts: Counter[tuple[str, str]] = Counter()
        for loss in self.of(LossRecord):
            counts[loss.what, loss.reason] += loss.count
        return dict(counts)


@pytest.fixture
def kept() -> Iterator[Kept]:
    sink = Kept()
    _runtime.start_with(Settings(), [sink])
    yield sink
    _runtime.reset()


def fail(text: str) -> NoReturn:
    raise ValueError(f"cannot take {text}")


def raising(text: str) -> NoReturn:
    try:
        fail(text)
    except ValueError as error:
        raise RuntimeError("outer") from error


@llmops.trace
def assistant(question: str, options: dict[str, Any]) -> dict[str, Any]:
    return {"answer": question, "options": [options]}


def plant_everywhere(planted: PlantedSecret) -> None:
    """The secret in every place that a program can put a text."""
    text = planted.text
    with llmops.context(session_id=text, user_id=text, tags=[text], metadata={"note": text, "more": text}):
        assistant(text, {"k": text, text: 1})
        with llmops.span(f"span {text}", input=[text], attributes={"free.text": text, "list": [text, text]}) as span:
            span.output = {"deep": [{"er": text}]}
            span.add_event("event", {"detail": text})
            span.set({"json.text": f'{{"a": {text!r}}}', "gen_ai.input.messages": f'[{{"t": {text!r}}}]'.encode()})
            span.score("quality", "good", comment=f"because {text}")
            llmops.score("kind", text, label=text)
        llmops.chat(f"What is {text}?", model="offline/echo")
        list(llmops.stream([{"role": "system", "content": text}, {"role": "user", "content": text}]))
        with pytest.raises(RuntimeError), llmops.span("fails"):
            raising(text)
    provider = TracerProvider()
    provider.add_span_processor(ForeignRecorder())
    foreign = provider.get_tracer("another.library").start_span(f"foreign {text}", attributes={"input.value": text})
    foreign.add_event("sent", {"body": text, "parts": [text]})
    foreign.record_exception(ValueError(text))
    foreign.end()


def test_nothing_planted_reaches_the_store_or_a_backend(tmp_path: Path):
    store = tmp_path / "store"
    with OtlpReceiver() as backend:
        llmops.configure(store__path=str(store), export__endpoint=backend.url, export__content=True)
        for planted in SECRETS:
            plant_everywhere(planted)
        report = llmops.flush(60)
        assert report.stored == 6 * len(SECRETS)
        assert (report.dropped, report.pending) == (0, 0)
        sent = backend.everything()
        rows = llmops.query("SELECT reason, sum(count)::BIGINT FROM losses WHERE what = 'secret' GROUP BY 1").rows()
        spans = llmops.query("SELECT count(*) FROM spans WHERE output LIKE '%[REDACTED:%'").rows()
        llmops.shutdown(60)

    stored = b"".join(path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file())
    assert len(stored) > 100_000
    assert len(sent) > 100_000
    for planted in SECRETS:
        for core in {planted.core, planted.core.replace("\n", "\\n"), planted.core.replace("\n", "\\\\n")}:
            assert core.encode() not in stored, planted.name
            assert core.encode() not in sent, planted.name
        for line in planted.core.split("\n"):
            assert line.encode() not in stored, planted.name
            assert line.encode() not in sent, planted.name
    assert {str(row[0]) for row in rows} == {planted.kind for planted in SECRETS}
    assert spans[0][0] >= 3 * len(SECRETS)


def test_each_redacted_place_counts_once(kept: Kept):
    text = TOKEN.text
    with llmops.context(session_id=text, user_id="u", tags=[text]), llmops.span("s", input=[text, {"a": text}]) as span:
        span.output = f"{text} {text}"
        span.set({"a.b": text})
        span.add_event("e", {"detail": text})
        llmops.score("n", 1.0, comment=text)
    assert kept.losses() == {("secret", TOKEN.kind): 9}
    (loss,) = [loss for loss in kept.of(LossRecord) if loss.what == "secret"]
    assert loss.bytes == 9 * len(text)


def test_arguments_attributes_and_metadata_are_redacted_by_name(kept: Kept):
    secrets = {"password": "hunter2", "api_key": "k", "headers": {"Authorization": "open sesame"}}

    @llmops.trace(name="log in")
    def log_in(user: str, password: str, **more: str) -> dict[str, str]:
        return {"user": user, "access_token": "letmein"}

    with llmops.context(metadata={"db.password": "hunter2"}):
        log_in("u", "hunter2", client_secret="open sesame")
        with llmops.span("work", attributes={"app.password": "hunter2", "app.nested": secrets}) as span:
            span.add_event("e", {"apiKey": "hunter2", "note": "the password"})
    llmops.flush()
    everything = repr(kept.records)

    assert not any(secret in everything for secret in ("hunter2", "open sesame", "letmein"))
    assert "the password" in everything


def test_a_span_without_secrets_is_the_same_object(kept: Kept):
    with llmops.span("s", input={"question": "Where is my card?"}):
        pass
    (span,) = kept.of(RecordedSpan)
    lost: list[tuple[Any, ...]] = []
    stage = RedactionStage({}, lambda *loss: lost.append(loss))
    stage([span])
    assert stage([span])[0] is span
    assert lost == []
    assert kept.losses() == {}


def test_the_resource_is_redacted_and_counted_once(kept: Kept):
    with llmops.span("s"):
        pass
    (span,) = kept.of(RecordedSpan)
    span.resource = {"service.name": "s", "deployment.note": TOKEN.text}
    lost: list[tuple[Any, ...]] = []
    stage = RedactionStage({}, lambda *loss: lost.append(loss))
    redacted = [*stage([span]), *stage([span])]
    assert [one.resource["deployment.note"] for one in redacted if isinstance(one, RecordedSpan)] == [
        f"[REDACTED:{TOKEN.kind}]"
    ] * 2
    assert lost == [("secret", TOKEN.kind, 1, len(TOKEN.text))]


def test_an_exception_message_cut_inside_a_secret_is_redacted(kept: Kept):
    text = TOKEN.text
    with pytest.raises(ValueError, match="x"), llmops.span("s"):
        raise ValueError("x" * (1_999 - 12) + " " + text)
    (span,) = kept.of(RecordedSpan)
    assert text[:10] not in span.status_message
    assert text[:10] not in str(span.events)


def test_a_stack_trace_cut_inside_a_secret_is_redacted(kept: Kept):
    text = TOKEN.text
    for cut in range(8, len(text), 8):
        with pytest.raises(ValueError, match="Z"), llmops.span("s"):
            raise ValueError(text + "\n" + "Z" * (16_384 - 2 - cut))
    for span in kept.of(RecordedSpan):
        assert text[-8:] not in str(span.events)
        assert text[-8:] not in span.status_message


# --- a failure closes --------------------------------------------------------------------------------------------


def broken(text: str) -> str:
    if "poison" in text:
        raise ValueError(f"cannot redact {text}")
    return text


def poisoned() -> NoReturn:
    with llmops.span("s", input="poison", attributes={"a": "b", "n": 3}) as span:
        span.set({"gen_ai.request.model": "m", "gen_ai.input.messages": b'["in the messages"]'})
        span.output = "the output"
        span.add_event("e", {"detail": "in an event", "n": 1})
        raise RuntimeError("the message")


@pytest.fixture
def failing(kept: Kept, caplog: pytest.LogCaptureFixture) -> Iterator[Kept]:
    raise_in_tests(False)  # what an application sees: the guard reports and goes on
    caplog.set_level(logging.WARNING)
    remove = llmops.add_redactor(broken)
    yield kept
    remove()


def test_a_failing_stage_drops_the_content(failing: Kept, caplog: pytest.LogCaptureFixture):
    text = TOKEN.text
    with llmops.context(session_id=f"s {text}"):
        for _ in range(2):
            with pytest.raises(RuntimeError):
                poisoned()
    with llmops.span("fine", input="clean"):
        pass
    llmops.score("n", 1.0, trace_id="ab" * 16, comment="poison", label="l")

    first, second, fine = failing.of(RecordedSpan)
    for span in (first, second):
        assert (span.input, span.output, span.status_message) == (None, None, None)
        assert (span.name, span.status, span.error_type) == ("s", "error", "RuntimeError")
        assert span.attributes == {"n": 3, "gen_ai.request.model": "m"}
        assert [(name, dict(attributes)) for name, _, attributes in span.events] == [("e", {"n": 1}), ("exception", {})]
        assert span.stamp.session_id == f"s [REDACTED:{TOKEN.kind}]"
    assert fine.input == b'"clean"'
    (score,) = failing.of(ScoreRecord)
    assert (score.name, score.value, score.label, score.comment) == ("n", 1.0, None, None)
    assert failing.losses() == {("content", "redaction_failed"): 3, ("secret", TOKEN.kind): 2}
    reports = [record.getMessage() for record in caplog.records if "redaction" in record.getMessage()]
    assert len(reports) <= 1  # once in the life of the process
    assert "poison" not in caplog.text


@pytest.mark.parametrize("answer", [None, 1, b"x"])
def test_a_redactor_that_returns_no_string_drops_the_content(kept: Kept, answer: Any):
    raise_in_tests(False)
    remove = llmops.add_redactor(lambda _: answer, name="odd")
    with llmops.span("s", input="private"):
        pass
    llmops.flush()
    remove()
    (span,) = kept.of(RecordedSpan)
    assert span.input is None
    assert kept.losses() == {("content", "redaction_failed"): 1}


# --- what the application adds -----------------------------------------------------------------------------------


def test_configured_patterns_are_redacted():
    sink = Kept()
    _runtime.start_with(
        Settings(redaction=RedactionSettings(patterns={"employee": r"E-\d{6}", "odd name": "Zq+"})), [sink]
    )
    with llmops.context(user_id="E-123456"), llmops.span("s", input={"by": "E-123456 and E-654321"}) as span:
        span.set({"a.b": "Zqqq", "n": 7})
        span.output = TOKEN.text
    (record,) = sink.of(RecordedSpan)
    assert record.input == b'{"by":"[REDACTED:employee] and [REDACTED:employee]"}'
    assert record.attributes == {"a.b": "[REDACTED:odd_name]", "n": 7}
    assert record.stamp.user_id == "[REDACTED:employee]"
    assert record.output == f'"[REDACTED:{TOKEN.kind}]"'.encode()
    assert sink.losses() == {("secret", "employee"): 3, ("secret", "odd_name"): 1, ("secret", TOKEN.kind): 1}
    _runtime.reset()


def test_an_application_redactor_changes_stored_text(kept: Kept):
    seen: list[str] = []

    def project(text: str) -> str:
        seen.append(text)
        return text.replace("Blue Whale", "[REDACTED:project]")

    remove = llmops.add_redactor(project)
    with llmops.span("about Blue Whale", input={"deep": ['say "Blue Whale"', 1]}, attributes={"a.b": "Blue Whale"}):
        pass
    llmops.flush()
    remove()
    with llmops.span("s", input="Blue Whale"):
        pass
    before, after = kept.of(RecordedSpan)
    assert before.name == "about [REDACTED:project]"
    assert before.input == b'{"deep":["say \\"[REDACTED:project]\\"",1]}'
    assert before.attributes == {"a.b": "[REDACTED:project]"}
    assert after.input == b'"Blue Whale"'
    assert 'say "Blue Whale"' in seen
    assert kept.losses() == {("secret", "project"): 3}


def test_a_redactor_sees_no_known_secret(kept: Kept):
    seen: list[str] = []

    def look(text: str) -> str:
        seen.append(text)
        return text

    remove = llmops.add_redactor(look)
    with llmops.span("s", input=TOKEN.text):
        pass
    llmops.flush()
    remove()
    assert f"[REDACTED:{TOKEN.kind}]" in seen
    assert not any(TOKEN.core in text for text in seen)
    assert kept.losses() == {("secret", TOKEN.kind): 1}


def test_redaction_can_be_turned_off():
    sink = Kept()
    _runtime.start_with(Settings(redaction=RedactionSettings(enabled=False)), [sink])
    with llmops.span("s", input=TOKEN.text):
        pass
    (span,) = sink.of(RecordedSpan)
    assert span.input == f'"{TOKEN.text}"'.encode()
    assert sink.losses() == {}
    _runtime.reset()


def test_redaction_can_be_turned_on_at_run_time(tmp_path: Path):
    llmops.configure(store__path=str(tmp_path / "s"), redaction__enabled=False)
    with llmops.span("before", input=TOKEN.text):
        pass
    llmops.configure(store__path=str(tmp_path / "s"))
    with llmops.span("after", input=TOKEN.text):
        pass
    llmops.flush()
    rows = dict(llmops.query("SELECT name, input FROM spans").rows())
    assert rows == {"before": f'"{TOKEN.text}"', "after": f'"[REDACTED:{TOKEN.kind}]"'}


@pytest.mark.parametrize("regex", ["[a-", "(", "a*", ""])
def test_an_invalid_pattern_raises_an_error_that_names_its_key(tmp_path: Path, regex: str):
    file = tmp_path / "llmops.toml"
    file.write_text(f'[redaction.patterns]\ngood = "x+"\nstaff = "{regex}"\n', "utf-8")
    with pytest.raises(llmops.ConfigError, match="regular expression") as caught:
        llmops.configure(config_file=file)
    assert caught.value.key == "redaction.patterns.staff"
    assert str(file) in str(caught.value)
