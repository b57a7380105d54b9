"""The modules that `import llmops_sdk` loads, checked in fresh interpreters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "diskcache",
    "duckdb",
    "grpc",
    "litellm",
    "numpy",
    "openai",
    "opentelemetry.exporter",
    "opentelemetry.sdk",
    "pandas",
    "pydantic",
    "pydantic_settings",
    "rich",
    "stdnum",
    "tenacity",
    "tiktoken",
    "typer",
    "wrapt",
}
# Modules that the package may load in addition to those of opentelemetry.trace.
ALLOWED: dict[str, str] = {}


def _modules_after(program: str, folder: Path) -> set[str]:
    # Without coverage's variables: coverage loads modules of its own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTHON"))}
    listing = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        check=True,
        cwd=folder,
        env=environment,
        text=True,
    )
    return set(json.loads(listing.stdout))


def _within(names: set[str], packages: set[str]) -> set[str]:
    return {name for name in names if any(name == package or name.startswith(f"{package}.") for package in packages)}


def test_import_adds_only_our_modules_to_opentelemetry_trace(tmp_path: Path):
    before = _modules_after("import opentelemetry.trace", tmp_path)
    after = _modules_after("import opentelemetry.trace, llmops_sdk", tmp_path)
    alone = _modules_after("import llmops_sdk", tmp_path)

    added = {name for name in after - before if name.split(".")[0] != "llmops_sdk"}
    assert added - ALLOWED.keys() == set()
    assert {name for name in alone - before if name.split(".")[0] != "llmops_sdk"} - ALLOWED.keys() == set()
    assert "llmops_sdk" in alone


DECORATED = """
import llmops_sdk as llmops

@llmops.trace
def ours(question): return question

@llmops.trace("name", kind="tool")
async def tool(question): return question
"""
PROMPT = """
import llmops_sdk as llmops

@llmops.llm
def ask(question: str) -> str: return question
"""


@pytest.mark.parametrize(
    ("program", "heavy"),
    [
        ("import llmops_sdk", HEAVY),
        ("import llmops_sdk as llmops; llmops.RateLimitError, llmops.LLMOpsError", HEAVY),
        # Decorators run when the user's module is imported.
        ("import llmops_sdk as llmops; llmops.trace, llmops.span, llmops.context", HEAVY - {"wrapt"}),
        (DECORATED, HEAVY - {"wrapt"}),
        (PROMPT, {"diskcache", "duckdb", "grpc", "litellm", "numpy", "openai", "pandas", "rich", "typer"}),
        ("import llmops_sdk as llmops; llmops.query", HEAVY - {"pydantic", "pydantic_settings", "wrapt"}),
        ("import llmops_sdk.stats", HEAVY),
        ("import llmops_sdk.evals as evals; evals.stats.ppi, evals.stats.EProcess", HEAVY),
        ("import llmops_sdk.embeddings", HEAVY),
        ("import llmops_sdk.evals.metrics", HEAVY | {"rapidfuzz", "rouge_score", "sacrebleu"}),
    ],
    ids=[
        "package",
        "errors",
        "names of tracing",
        "decorated functions",
        "prompt function",
        "query",
        "stats",
        "evals and its statistics",
        "embeddings",
        "metrics",
    ],
)
def test_heavy_modules_are_imported_only_on_use(program: str, heavy: set[str], tmp_path: Path):
    assert _within(_modules_after(program, tmp_path), heavy) == set()


TRACED_CALL = """
import llmops_sdk as llmops

@llmops.trace
def ours(question): return question

assert ours("Where is my card?") == "Where is my card?"
assert llmops.flush().stored == 1
"""


def test_traced_call_imports_no_model_library(tmp_path: Path):
    loaded = _modules_after(TRACED_CALL, tmp_path)

    assert _within(loaded, HEAVY - {"pydantic", "pydantic_settings", "wrapt", "opentelemetry.sdk"}) == set()
    assert not any(name.startswith("llmops_sdk.providers") for name in loaded)
