"""A real Logfire: its global provider is a proxy class, and its spans are in the store with the right parents."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from real_backends import environment

import llmops_sdk as llmops

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]  # the first use installs Logfire

HERE = Path(__file__).parent
PARENTS = """SELECT a.name, b.name, a.parent_span_id IS NULL, a.scope FROM spans a
LEFT JOIN spans b ON a.trace_id = b.trace_id AND a.parent_span_id = b.span_id ORDER BY a.start_ns"""


@pytest.mark.parametrize("first", ["logfire", "llmops"])
def test_spans_of_logfire_and_ours_are_one_tree(first: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    settings = {"LLMOPS_STORE__PATH": str(store), "LLMOPS_MODEL": "offline/echo"}
    if first == "llmops":
        settings["LLMOPS_TRACING__GLOBAL_PROVIDER"] = "never"  # docs/opentelemetry.md: a provider that is set later
    done = subprocess.run(
        [str(environment("logfire") / "python"), str(HERE / "with_logfire.py"), first],
        env={**os.environ, **settings, "PYTHONPATH": str(HERE.parents[1])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "Overriding" not in done.stderr
    assert llmops.query(PARENTS, path=store).rows() == [
        *([("before", None, True, "llmops_sdk")] if first == "llmops" else []),
        ("logfire outer", None, True, "logfire"),
        ("ours", "logfire outer", False, "llmops_sdk"),
        ("logfire inner {n}", "ours", False, "logfire"),
        ("a note", "logfire inner {n}", False, "logfire"),
        ("chat echo", "logfire inner {n}", False, "llmops_sdk"),
        ("ours outer", None, True, "llmops_sdk"),
        ("logfire below", "ours outer", False, "logfire"),
    ]
    assert llmops.query("SELECT sum(count) FROM losses", path=store).scalar() is None
