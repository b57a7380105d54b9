"""Only configured servers are contacted, and nothing outside the project's store is changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from thorough_cases import thorough
from watched import watch

pytestmark = pytest.mark.redteam

HERE = {"127.0.0.1", "localhost", "::1"}

IMPORTS = """
import importlib, pkgutil
import llmops_sdk
names = [one.name for one in pkgutil.walk_packages(llmops_sdk.__path__, "llmops_sdk.")]
for name in names:
    if "_plugin" not in name and "_program" not in name:
        importlib.import_module(name)
print(len(names))
"""

OFFLINE = """
import llmops_sdk as llmops
llmops.configure(cache={"exact": True}, guardrails={"input": ["cards"]})
@llmops.trace
def support(question):
    return llmops.chat(question).text
with llmops.context(user_id="ada", session_id="s1"):
    for _ in range(2):
        print(support("Where is my card?"))
llmops.score("good", 1.0, trace_id="0" * 31 + "1")
print("".join(chunk.text for chunk in llmops.stream("Hi")))
print(llmops.embed(["a", "b"]).model)
llmops.flush()
print(llmops.query("SELECT count(*) FROM llm_calls").scalar())
"""

COMMAND = """
import sys
from llmops_sdk.cli import main
sys.argv = ["llmops", *{arguments!r}]
status = main()
assert status in (0, 1), status
"""

MODEL = """
import asyncio
from openai_server import OpenAIServer
import llmops_sdk as llmops
with OpenAIServer() as server:
    llmops.configure(model=f"{server.base_url}#llama-3-8b", export={"endpoint": server.url})
    print(llmops.chat("Hi").text)
    print("".join(chunk.text for chunk in llmops.stream("Hi")))
    print(asyncio.run(llmops.achat("Hi")).text)
    llmops.shutdown()
    assert len(server.requests) >= 3
"""


def outside(files: frozenset[str], folder: Path) -> list[str]:
    """Return the files outside the project's store, without devices and Python's own caches."""
    allowed = (f"{folder}/.llmops", "/dev/", "/proc/")
    return [file for file in files if not file.startswith(allowed) and "__pycache__" not in file]


@pytest.mark.thorough
def test_import_of_every_module_contacts_nobody_and_writes_nothing(tmp_path: Path):
    seen = watch(IMPORTS, tmp_path)

    assert int(seen.out) > 200
    assert seen.hosts == set()
    assert outside(seen.files, tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json"]


def test_offline_program_contacts_nobody_and_writes_to_the_store_alone(tmp_path: Path):
    (tmp_path / "llmops.toml").write_text("")
    seen = watch(OFFLINE, tmp_path)

    assert seen.out.splitlines()[-1] == "4"
    assert seen.hosts == set()
    assert outside(seen.files, tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [".llmops", "llmops.toml", "report.json"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("traces",),
        ("stats",),
        thorough(("sql", "SELECT count(*) FROM spans")),
        thorough(("show", "0")),
        thorough(("compact",)),
        thorough(("prune", "--user", "nobody", "--yes")),
    ],
    ids=lambda arguments: arguments[0],
)
def test_command_contacts_nobody_and_writes_to_the_store_alone(tmp_path: Path, arguments: tuple[str, ...]):
    (tmp_path / "llmops.toml").write_text("")
    watch(OFFLINE, tmp_path)
    seen = watch(COMMAND.format(arguments=arguments), tmp_path)

    assert seen.hosts == set()
    assert outside(seen.files, tmp_path) == []


@pytest.mark.slow
def test_model_call_contacts_the_configured_server_alone(tmp_path: Path):
    seen = watch(MODEL, tmp_path, HF_HUB_DISABLE_TELEMETRY="1", LLMOPS_API_KEY="none")

    assert seen.hosts <= HERE
    assert seen.hosts
