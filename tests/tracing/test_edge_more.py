"""Loops that end, exceptions that cannot be described, and names and ids that are no text."""

from __future__ import annotations

import asyncio
import enum
import logging
import sys
import traceback
import uuid
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import numpy
import pytest
from span_rows import context_unchanged, only, recorded

import llmops_sdk as llmops
from llmops_sdk._util import _guard


async def letters(ended: list[str]) -> AsyncGenerator[str]:
    try:
        yield "a"
        yield "b"
    finally:
        await asyncio.sleep(0)
        ended.append("body")


@pytest.mark.parametrize(
    "decorate",
    [llmops.trace(name="outer"), llmops.retry, llmops.fallback(letters)],
    ids=["trace", "retry", "fallback"],
)
def test_a_loop_that_ends_closes_an_async_generator_once(decorate: Callable[..., Any]) -> None:
    ended: list[str] = []
    kept: list[AsyncGenerator[str]] = []
    complaints: list[dict[str, Any]] = []

    @llmops.trace(name="letters")
    @decorate
    async def stream() -> AsyncGenerator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            await asyncio.sleep(0)
            ended.append("body")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        kept.append(stream())
        assert await anext(kept[0]) == "a"

    with context_unchanged():
        asyncio.run(main())
    assert (ended, complaints) == (["body"], [])
    assert only("letters")["status"] == "closed"
    assert {row["status"] for row in recorded()} == {"closed"}


def test_a_traced_generator_that_returns_on_close_gives_its_value_where_python_does() -> None:
    def stream() -> Generator[int, None, str | None]:
        try:
            yield 1
        except GeneratorExit:
            return "kept"
        return None

    plain, traced = stream(), llmops.trace(name="stream")(stream)()
    assert next(plain) == next(traced) == 1
    with context_unchanged():
        assert traced.close() == plain.close() == ("kept" if sys.version_info >= (3, 13) else None)
    assert only("stream")["status"] == "closed"


def _raises(self: object) -> object:
    raise RuntimeError("not to be read")


class _Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__module__", "__qualname__"):
            raise RuntimeError("not to be read")
        return super().__getattribute__(name)


_HOSTILE: dict[str, type[Exception]] = {
    name: type("Hostile", (Exception,), {name: property(_raises)})
    for name in ("__cause__", "__context__", "__suppress_context__", "__traceback__", "__notes__", "__class__")
}
_HOSTILE["__bool__"] = type("Hostile", (Exception,), {"__bool__": _raises})
_HOSTILE["metaclass"] = _Meta("Hostile", (Exception,), {})


@pytest.mark.parametrize("which", list(_HOSTILE))
def test_an_exception_that_cannot_be_formatted_is_the_users_and_has_its_frames(which: str, sink: Any) -> None:
    error = _HOSTILE[which]("said")

    @llmops.trace(name="fails")
    def fails() -> None:
        raise error

    raised: object = None
    with context_unchanged():
        try:
            fails()
        except BaseException as caught:  # pytest.raises asks the hostile class
            raised = caught
    assert raised is error
    span = sink.only()
    assert (span.status, span.error_type, span.status_message) == ("error", "Hostile", "said")
    ((_, _, described),) = span.events or ()
    assert "in fails" in described["exception.stacktrace"]


class _Broken(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise ValueError(record.getMessage())


def test_logging_a_guarded_failure_never_raises(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    log, handler = logging.getLogger("llmops_sdk"), _Broken()
    hostile = RuntimeError("ours")
    hostile.__context__ = _HOSTILE["__cause__"]("the application's")
    with pytest.raises(RuntimeError, match="not to be read"):
        traceback.format_exception(hostile)
    _guard.report("an exception in a hostile chain", hostile)
    assert "an exception in a hostile chain failed (RuntimeError)" in caplog.text
    log.addHandler(handler)
    try:
        _guard.report("a handler that raises", ValueError("ours"))
    finally:
        log.removeHandler(handler)
    assert _guard.failures()["a handler that raises"] == 1
    assert capsys.readouterr() == ("", "")


class _Word(enum.StrEnum):
    ADMIN = "admin"


class _Number(enum.IntEnum):
    THREE = 3


@pytest.mark.parametrize(
    ("given", "kept"),
    [(7, "7"), (uuid.UUID(int=7), str(uuid.UUID(int=7))), (_Word.ADMIN, "admin"), (b"raw", "b'raw'"), (["a"], "['a']")],
)
def test_non_string_ids_are_stringified(given: Any, kept: str) -> None:
    with (
        context_unchanged(),
        llmops.context(
            session_id=given, user_id=given, tags=[given], metadata={str(given): 1}, prompt=("greet", given)
        ),
        llmops.span("asked", input={"question": "why"}) as span,
    ):
        span.add_event(given, {"key": 1})
        span.score("helpful", 1, label=given, comment=given, source=given)
    row = only("asked")
    assert (row["session_id"], row["user_id"], row["tags"]) == (kept, kept, [kept])
    assert (row["prompt_name"], row["prompt_version"]) == ("greet", kept)
    assert row["input"] == {"question": "why"}
    llmops.flush()
    assert llmops.query("SELECT label, comment, source FROM scores").rows() == [(kept, kept, kept)]


def test_non_string_names_and_keys_are_stringified(sink: Any) -> None:
    number: Any = 7
    with (
        llmops.context(metadata={number: "seven"}),
        llmops.span(number, input="in", attributes={number: "seven"}) as span,
    ):
        span.add_event(number, {number: "seven"})
        span.add_link(span.get_span_context(), {number: "seven"})
    with llmops.span("before", input="in") as span:
        span.update_name(number)
    for record in sink.spans:
        assert (record.name, record.input) == ("7", b'"in"')
    first = sink.spans[0]
    assert (first.attributes, first.stamp.metadata) == ({"7": "seven"}, {"7": "seven"})
    assert [(name, dict(kept)) for name, _, kept in first.events or ()] == [("7", {"7": "seven"})]
    assert [dict(kept) for _, _, kept in first.links or ()] == [{"7": "seven"}]


def test_a_non_string_score_id_raises_an_error_that_names_it() -> None:
    number: Any = 5
    with pytest.raises(llmops.LLMOpsError, match="trace_id=5 is not 32 hex digits"):
        llmops.score("helpful", 1, trace_id=number)


def test_scalar_attribute_subclasses_become_plain_scalars(sink: Any) -> None:
    given = {
        "word": _Word.ADMIN,
        "enum": _Number.THREE,
        "double": numpy.float64(0.5),
        "single": numpy.float32(0.5),
        "integer": numpy.int64(3),
        "flag": numpy.bool_(True),
        "path": Path("/data/traces"),
        "id": uuid.UUID(int=7),
        "list": [_Word.ADMIN],
    }
    with llmops.span("kept", attributes=given):
        pass
    assert sink.only().attributes == {
        "word": "admin",
        "enum": 3,
        "double": 0.5,
        "single": 0.5,
        "integer": 3,
        "flag": True,
        "path": "/data/traces",
        "id": str(uuid.UUID(int=7)),
        "list": b'["admin"]',
    }
