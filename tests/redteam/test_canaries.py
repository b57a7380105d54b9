"""No planted secret is found in any place that the package writes to: every channel, format and neighbour."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from canaries import NEIGHBOURS, secrets_by_format
from opentelemetry import trace as otel
from otlp_receiver import OtlpReceiver

import llmops_sdk as llmops

pytestmark = pytest.mark.redteam


class _ToldError(Exception):
    pass


@llmops.trace
def _argument(text: str) -> int:
    return len(text)


@llmops.trace
def _result(text: str) -> dict[str, str]:
    return {"found": text}


@llmops.trace
def _raises(text: str) -> None:
    raise _ToldError(text)


def _exception(text: str) -> None:
    with pytest.raises(_ToldError):
        _raises(text)


def _attribute(text: str) -> None:
    with llmops.span("s", attributes={"note": text, "notes": [text]}, input=text) as span:
        span.set_attribute("later", text)


def _event(text: str) -> None:
    with llmops.span("s") as span:
        span.add_event("told", {"note": text})


def _context(text: str) -> None:
    with llmops.context(user_id="ada", metadata={"note": text}), llmops.span("s"):
        pass


def _score(text: str) -> None:
    with llmops.span("s"):
        llmops.score("good", 1.0, comment=text)


def _chat(text: str) -> None:
    llmops.chat(text, cache=False)


def _other_library(text: str) -> None:
    with otel.get_tracer("other").start_as_current_span("o") as span:
        span.set_attribute("input.value", text)
        span.add_event("gen_ai.user.message", {"content": text})


CHANNELS: dict[str, Callable[[str], Any]] = {
    "argument": _argument,
    "result": _result,
    "exception": _exception,
    "attribute": _attribute,
    "event": _event,
    "metadata": _context,
    "score": _score,
    "chat": _chat,
    "other library": _other_library,
}


def _written(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield str(file.relative_to(folder)), file.read_bytes()


def _undone(data: bytes) -> Iterator[bytes]:
    """Yield the bytes as they are, and with JSON's strings joined from their escapes."""
    yield data
    for line in data.splitlines():
        try:
            yield json.dumps(json.loads(line), ensure_ascii=False).encode()
        except ValueError:
            continue


@pytest.mark.slow
@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_no_secret_is_written_or_sent(
    neighbour: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    store = tmp_path / "store"
    cores: dict[str, tuple[str, str]] = {}
    with OtlpReceiver() as backend:
        llmops.configure(
            store={"path": store}, export={"endpoint": backend.url, "content": True, "exporters": ["otlp", "console"]}
        )
        for seed, (channel, put) in enumerate(CHANNELS.items()):
            for name, (secret, core) in secrets_by_format(zlib.crc32(f"{neighbour}{seed}".encode())).items():
                cores[core] = (channel, name)
                put(NEIGHBOURS[neighbour](secret))
        llmops.flush(60)
        backend.wait_for(1)
        llmops.query("SELECT * FROM spans").rows()
        llmops.shutdown(60)
        bodies = [(f"request {n}", body) for n, body in enumerate(backend.bodies)]
    printed = capfd.readouterr()
    places = [*_written(store), *bodies, ("log", caplog.text.encode()), ("out", (printed.out + printed.err).encode())]
    assert sum(len(data) for _, data in places) > 100_000

    found: dict[str, set[str]] = {}
    for place, data in places:
        for text in _undone(data):
            for core, (channel, name) in cores.items():
                if core.encode() in text:
                    found.setdefault(name, set()).add(f"{channel} in {place.partition('/')[0]}")

    assert found == {}
