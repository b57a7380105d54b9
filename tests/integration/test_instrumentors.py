"""Instrumentors of OpenInference and Traceloop with the vendors' real clients on loopback, and a real Sentry.

They run in their own environment, into which our distributions are installed as wheels.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic_server import AnthropicServer
from loopback import Reply
from openai_server import OpenAIServer
from real_backends import environment

import llmops_sdk as llmops

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]  # the first use installs the instrumentors

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
VENDORS = ("openai", "anthropic", "langchain")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheels of our four distributions into a folder."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("packages")
    for project in (ROOT, *(ROOT / "integrations" / vendor for vendor in VENDORS)):
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(project)]
        subprocess.run(build, check=True, capture_output=True, timeout=300)
    pip = [str(environment("instrumentors") / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(target), *map(str, wheels.glob("*.whl"))], check=True, timeout=300)
    return target


@pytest.fixture
def run(packages: Path, tmp_path: Path) -> Run:
    """Run a program in the instrumentors' environment, with the test's store."""

    def run_it(*arguments: str, folder: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
        python = environment("instrumentors") / "python"
        paths = [str(packages), str(ROOT / "tests" / "loopback")]
        kept = {"PYTHONPATH": os.pathsep.join(paths), "LLMOPS_STORE__PATH": str(tmp_path / "store"), "NO_COLOR": "1"}
        return subprocess.run(
            [str(python), *arguments],
            env={**os.environ, **kept, **environ},
            cwd=folder or tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run_it


@pytest.fixture
def servers() -> Iterator[tuple[OpenAIServer, AnthropicServer]]:
    reply = Reply(cached_tokens=4, reasoning_tokens=2)
    with OpenAIServer(reply) as openai, AnthropicServer(reply) as anthropic:
        yield openai, anthropic


@pytest.fixture
def told(run: Run, servers: tuple[OpenAIServer, AnthropicServer], tmp_path: Path) -> Callable[..., list[Any]]:
    """Run `instrumented.py` with some instrumentors, and return its spans in order."""

    def tell(*names: str, **environ: str) -> list[Any]:
        urls = servers[0].base_url, servers[1].url
        done = run(str(HERE / "instrumented.py"), *urls, *names, **environ)
        assert done.returncode == 0, done.stderr
        assert "Good day to you." in done.stdout
        llmops.configure(store={"path": str(tmp_path / "store")})
        return llmops.query("FROM spans ORDER BY start_ns").dicts()

    return tell


def tree(spans: list[Any]) -> list[tuple[str, str | None]]:
    names = {span["span_id"]: span["name"] for span in spans}
    assert len({span["trace_id"] for span in spans}) == 1
    assert len(names) == len(spans)
    return [(span["name"], names[span["parent_span_id"]] if span["parent_span_id"] else None) for span in spans]


def figures(row: dict[str, Any]) -> dict[str, Any]:
    names = "operation provider request_model model input_tokens output_tokens cache_read_tokens finish_reason"
    return {name: row[name] for name in names.split()}


def texts(messages: str) -> list[tuple[str, str]]:
    found = json.loads(messages)
    return [(one["role"], "".join(part["content"] for part in one["parts"])) for one in found]


GPT = {
    "operation": "chat",
    "provider": "openai",
    "request_model": "gpt-4.1-mini",
    "model": "gpt-4.1-mini-served",
    "input_tokens": 11,
    "output_tokens": 7,
    "cache_read_tokens": 4,
    "finish_reason": "stop",
}
CLAUDE = {**GPT, "provider": "anthropic", "request_model": "claude-opus-4-5", "model": "claude-opus-4-5-served"}


@pytest.mark.parametrize(
    ("name", "span"),
    [
        ("llmops.openai", "ChatCompletion"),
        ("openinference.openai", "ChatCompletion"),
        ("opentelemetry.openai", "openai.chat"),
    ],
)
def test_instrumented_call_is_one_row_between_our_spans(told: Any, name: str, span: str) -> None:
    spans = told(name, "opentelemetry.httpx")
    assert tree(spans) == [("answer", None), (span, "answer"), ("sign", span), ("POST", "sign")]
    assert {(one["session_id"], one["user_id"], tuple(one["tags"])) for one in spans} == {
        ("session-7", "user-7", ("beta",))
    }
    (row,) = llmops.query("FROM llm_calls").dicts()
    assert figures(row) == GPT
    assert row["reasoning_tokens"] == 2
    assert texts(row["input_messages"]) == [("system", "You answer for a bank."), ("user", "Where is my card?")]
    assert texts(row["output_messages"]) == [("assistant", "Good day to you.")]
    assert llmops.query("SELECT input_tokens, llm_calls, spans FROM traces").rows() == [(11, 1, 4)]


def test_anthropic_and_instrumentor_spans_count_as_one_call(told: Any) -> None:
    spans = told("llmops.anthropic")
    assert tree(spans) == [
        ("answer", None),
        ("messages.create", "answer"),
        ("anthropic.messages.create", "messages.create"),
    ]
    (row,) = llmops.query("FROM llm_calls").dicts()
    assert figures(row) == CLAUDE
    assert texts(row["input_messages"]) == [("system", "You answer for a bank."), ("user", "Where is my card?")]


def test_calls_of_two_vendors_share_a_trace(told: Any) -> None:
    told("llmops.openai", "llmops.anthropic")
    rows = llmops.query("FROM llm_calls ORDER BY start_ns").dicts()
    assert [figures(row) for row in rows] == [GPT, CLAUDE]


def test_two_instrumentors_of_one_client_count_one_call(told: Any) -> None:
    spans = told("openinference.openai", "opentelemetry.openai")
    assert len(tree(spans)) == 4
    assert llmops.query("SELECT count(*), sum(input_tokens) FROM llm_calls").rows() == [(1, 11)]


def test_sentry_gets_the_span_tree_of_the_store(run: Run, tmp_path: Path) -> None:
    done = run(str(HERE / "under_sentry.py"))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["transactions"] == ["answer", "calling"]
    assert told["tree"] == [["theirs", "answer"], ["chat echo", "theirs"]]
    assert told["headers"] == ["baggage", "sentry-trace"]
    assert "my card" not in told["everything"]
    assert "user-7" not in told["everything"]
    llmops.configure(store={"path": str(tmp_path / "store")})
    here = llmops.query("SELECT span_id FROM spans WHERE trace_id = ? ORDER BY span_id", [told["trace_id"]]).rows()
    assert [row[0] for row in here] == told["ids"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_tests_of_a_distribution_pass(run: Run, vendor: str) -> None:
    arguments = ["-m", "pytest", "tests", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-c", os.devnull]
    folder = ROOT / "integrations" / vendor
    done = run(*arguments, "--rootdir", str(folder), "--timeout", "120", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("vendor", VENDORS)
def test_example_of_a_distribution_runs(run: Run, servers: Any, vendor: str) -> None:
    openai, anthropic = servers
    environ = {
        "OPENAI_API_KEY": "key",
        "OPENAI_BASE_URL": openai.base_url,
        "ANTHROPIC_API_KEY": "key",
        "ANTHROPIC_BASE_URL": anthropic.url,
    }
    done = run(str(ROOT / "integrations" / vendor / "example.py"), "Where is my card?", **environ)
    assert done.returncode == 0, done.stderr
    first, *table = done.stdout.splitlines()
    assert first == "Good day to you."
    assert any("ada" in line for line in table)


@pytest.mark.parametrize("vendor", ["anthropic", "langchain"])
def test_missing_vendor_library_raises_vendor_missing_error(packages: Path, tmp_path: Path, vendor: str) -> None:
    # This interpreter lacks the vendors' libraries; links give it the instrumentors.
    links = tmp_path / "links"
    (links / "opentelemetry").mkdir(parents=True)
    site = next((environment("instrumentors").parent / "lib").glob("python*/site-packages"))
    for pattern in ("openinference*", "opentelemetry/instrumentation", "opentelemetry_instrumentation*"):
        for found in site.glob(pattern):
            (links / found.relative_to(site)).symlink_to(found)
    program = f"""
import llmops_sdk
import llmops_sdk_{vendor} as integration

for _ in range(2):
    try:
        integration.instrument()
    except llmops_sdk.LLMOpsError as error:
        assert isinstance(error, integration.VendorMissingError) and isinstance(error, ImportError)
        print(error)
integration.uninstrument()
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), str(links)])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(f'pip install "llmops-sdk-{vendor}[{vendor}]"' in line for line in lines)
