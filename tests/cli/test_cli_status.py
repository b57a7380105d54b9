"""`llmops traces --status ok` shows every success, also of libraries that leave the status unset."""

from __future__ import annotations

import json
import subprocess
import sys

import llmops_sdk as llmops
from llmops_sdk.tracing import tracer_provider


def test_successes_whose_root_is_unset_are_ok():
    with tracer_provider().get_tracer("library").start_as_current_span("theirs"):
        pass
    with llmops.span("ours"):
        pass
    with llmops.span("fails") as span:
        span.fail(ValueError("no"))
    llmops.flush()
    command = [sys.executable, "-m", "llmops_sdk", "traces", "--format", "json", "--status"]
    shown: dict[str, set[str]] = {}
    for status in ("ok", "unset", "error"):
        done = subprocess.run([*command, status], capture_output=True, check=True, timeout=60)
        shown[status] = {row["name"] for row in json.loads(done.stdout)}
    assert shown == {"ok": {"theirs", "ours"}, "unset": {"theirs"}, "error": {"fails"}}
