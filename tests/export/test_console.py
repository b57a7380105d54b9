"""`OTEL_TRACES_EXPORTER=console`: one line of JSON per span on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from otlp_receiver import OtlpReceiver

SECRET = "planted-" + "5eed" * 4
PROGRAM = f"""
import llmops_sdk as llmops
with llmops.span("outer", input={SECRET!r}):
    llmops.chat({SECRET!r}, model="offline/echo")
"""


def lines(tmp_path: Path, **environ: str) -> list[dict[str, Any]]:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.parametrize("content", ["false", "true"])
def test_each_span_is_one_line_and_content_follows_the_setting(tmp_path: Path, content: str) -> None:
    switch = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": content}
    chat, outer = lines(tmp_path, OTEL_TRACES_EXPORTER="console", **switch)
    assert (chat["name"], outer["name"]) == ("chat echo", "outer")
    assert chat["parent_id"] == outer["context"]["span_id"]
    assert chat["attributes"]["gen_ai.request.model"] == "echo"
    assert (SECRET in json.dumps([chat, outer])) is (content == "true")


def test_console_and_otlp_both_get_spans(tmp_path: Path) -> None:
    with OtlpReceiver() as backend:
        written = lines(tmp_path, OTEL_TRACES_EXPORTER="console,otlp", OTEL_EXPORTER_OTLP_ENDPOINT=backend.url)
        assert sorted(span["name"] for span in written) == sorted(span.name for span in backend.wait_for(2))


def test_none_or_disabled_sdk_writes_nothing(tmp_path: Path) -> None:
    assert lines(tmp_path, OTEL_TRACES_EXPORTER="none") == []
    assert lines(tmp_path, OTEL_TRACES_EXPORTER="console", OTEL_SDK_DISABLED="true") == []


def test_console_can_be_set_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "llmops.toml").write_text('[export]\nexporters = ["console"]\n')
    assert [span["name"] for span in lines(tmp_path)] == ["chat echo", "outer"]


def test_closed_pipe_does_not_break_the_program(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "OTEL_TRACES_EXPORTER": "console"},
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(write)
    assert "Traceback" not in run.stderr
    assert sum(path.stat().st_size for path in (tmp_path / ".llmops" / "wal").glob("*.ndjson")) > 0
