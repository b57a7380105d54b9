"""Time limits hold whatever the worker has in its hands, and every report adds up; images in prompts go to files."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llmops_sdk as llmops
from llmops_sdk.config import Settings
from llmops_sdk.tracing.runtime import _start

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4_000
URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()


class GateSink:
    """A sink whose writes wait for the test."""

    name = "gate"
    is_local = True

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.closed = threading.Event()
        self.written = 0

    def write(self, batch: Sequence[Any]) -> int:
        self.entered.set()
        self.gate.wait(60)
        self.written += len(batch)
        return len(batch)

    def flush(self, timeout: float) -> bool:
        return timeout >= 0

    def close(self, timeout: float) -> None:
        self.closed.set()

    def after_fork(self) -> None: ...


def test_the_batch_in_the_workers_hands_is_pending_and_shutdown_returns_in_time():
    sink = GateSink()
    _start.start_with(Settings(), [sink])
    with llmops.span("first"):
        pass
    assert sink.entered.wait(30)
    for _ in range(19):
        with llmops.span("more"):
            pass
    report = llmops.flush(0.05)
    assert (report.stored, report.pending, report.dropped) == (0, 20, 0)

    begun = time.monotonic()
    report = llmops.shutdown(0.1)
    assert time.monotonic() - begun < 10
    assert (report.stored, report.pending, report.dropped) == (0, 20, 0)
    assert not sink.closed.is_set()

    sink.gate.set()
    assert sink.closed.wait(30)  # the thread finishes, and closes the sink itself
    assert llmops.flush().stored == sink.written == 20
    _start.reset()


def _messages(url: str) -> list[dict[str, Any]]:
    data = url.partition(",")[2]
    return [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what is it?"},
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
            ],
        }
    ]


def test_an_image_in_prompts_is_one_file():
    for _ in range(3):
        llmops.chat(_messages(URL), model="offline/echo")
    assert llmops.flush(60).stored == 3
    name = f"blobs/{hashlib.sha256(PICTURE).hexdigest()}.png"
    folder = Path(llmops.settings().store.path)

    assert [path.name for path in (folder / "blobs").iterdir()] == [name.partition("/")[2]]
    assert (folder / name).read_bytes() == PICTURE
    for (messages,) in llmops.query("SELECT input_messages FROM llm_calls").rows():
        parts = json.loads(messages)[0]["parts"]
        assert parts[1:] == [{"type": "uri", "modality": "image", "mime_type": "image/png", "uri": name}] * 2


def test_an_image_in_another_librarys_messages_is_a_file_too():
    from llmops_sdk.tracing import tracer_provider

    tracer = tracer_provider().get_tracer("other")
    with tracer.start_as_current_span("call") as span:
        span.set_attribute("openinference.span.kind", "LLM")
        span.set_attribute("llm.input_messages.0.message.contents.0.message_content.image.image.url", URL)
        span.set_attribute("gen_ai.output.messages", json.dumps([{"role": "assistant", "parts": [{"uri": URL}]}]))
    llmops.flush(60)
    name = f"blobs/{hashlib.sha256(PICTURE).hexdigest()}.png"

    assert (Path(llmops.settings().store.path) / name).read_bytes() == PICTURE
    (row,) = llmops.query("SELECT input_messages, output_messages FROM llm_calls").rows()
    assert json.loads(row[0])[0]["parts"] == [{"type": "uri", "modality": "image", "uri": name}]
    assert json.loads(row[1])[0]["parts"] == [{"uri": name}]
