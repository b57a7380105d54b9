"""The plugin in a user's pytest: in processes of their own, strict about warnings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import llmops_sdk as llmops

EXAMPLE = Path(__file__).parents[2] / "examples" / "test_answers.py"
_STRICT = ("-W", "error", "-o", "asyncio_default_fixture_loop_scope=function", "-p", "no:cacheprovider", "-p", "no:cov")


def run(*options: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder that has no settings, as a user's project would."""
    ours = ("COV", "LLMOPS_", "PYTEST", "PYTHON")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *_STRICT, *options],
        capture_output=True,
        text=True,
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith(ours)} | variables,
        timeout=100,
        check=False,
    )


def test_pytest_finds_the_plugin_of_the_installed_package():
    points = [one for one in metadata.entry_points(group="pytest11") if one.value.startswith("llmops_sdk")]
    assert [(one.name, one.value) for one in points] == [("llmops", "llmops_sdk.testing._plugin")]
    assert {"llmops_traces"} <= set(vars(points[0].load()))


def test_the_example_passes_and_leaves_nothing_behind(tmp_path: Path):
    shutil.copy(EXAMPLE, tmp_path)
    done = run("-q", "-rA", folder=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout
    assert "warning" not in done.stdout.lower()


def test_its_fixtures_are_listed_with_what_they_do(tmp_path: Path):
    listed = run("--fixtures", folder=tmp_path).stdout
    assert "llmops_traces -- " in listed
    assert "Capture the spans that the test records, in memory" in listed
    assert "block_real_calls -- " in listed


IMPORTS = """
import json, pathlib, sys

def test_imports():
    ours = sorted(name for name in sys.modules if name.split(".")[0] == "llmops_sdk")
    heavy = {"duckdb", "litellm", "openai", "opentelemetry", "orjson", "pydantic", "tenacity"} & set(sys.modules)
    pathlib.Path("imports.json").write_text(json.dumps([ours, sorted(heavy)]), "utf-8")
"""


def test_a_run_that_does_not_use_it_imports_nothing_for_it(tmp_path: Path):
    (tmp_path / "test_imports.py").write_text(IMPORTS, "utf-8")
    done = run("-q", folder=tmp_path, **OF_THIS_CODE)

    assert done.returncode == 0, done.stdout + done.stderr
    ours, heavy = json.loads((tmp_path / "imports.json").read_text("utf-8"))
    families = ("_base", "_checks", "_data", "_evaluation", "_monitoring", "_provider", "_traffic")
    errors = (f"errors.{family}" for family in families)
    light = ["_exit", "_lazy", "_version", "errors", *errors, "testing", "testing._plugin"]
    assert ours == ["llmops_sdk", *(f"llmops_sdk.{name}" for name in light)]
    assert heavy == []


ISOLATED = """
import pytest
import llmops_sdk as llmops

@llmops.trace
def work(n):
    return n

@pytest.mark.parametrize("n", range(5))
def test_alone(n, llmops_traces):
    assert work(n) == n
    assert [span.input for span in llmops_traces.spans] == [{"n": n}]

def test_stored():
    work(99)
    assert llmops.query("SELECT input->>'$.n' FROM spans WHERE kind = 'chain'").rows() == [("99",)]

async def _ask():
    return await llmops.achat("Hi", model="openai/gpt-x")

def test_blocked_everywhere():
    import asyncio
    with pytest.raises(llmops.LLMOpsError, match="was blocked"):
        asyncio.run(_ask())
"""


def test_tests_are_kept_apart_and_a_whole_project_is_kept_from_real_calls(tmp_path: Path):
    (tmp_path / "test_isolated.py").write_text(ISOLATED, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nusefixtures = block_real_calls\n", "utf-8")
    done = run("-q", folder=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout


def test_a_program_that_has_the_package_already_runs_pytest_without_a_warning(tmp_path: Path):
    # As in a wheel's environment: pytest would rewrite the asserts of a package that brings a plugin, were it not told.
    (tmp_path / "test_one.py").write_text(
        "def test_one(llmops_traces):\n    assert llmops_traces.spans == []\n", "utf-8"
    )
    program = """
import llmops_sdk, pytest, sys

class Plugin:
    @staticmethod
    def pytest_load_initial_conftests(early_config):
        early_config.pluginmanager.rewrite_hook.mark_rewrite("llmops_sdk")

sys.exit(pytest.main(sys.argv[1:], plugins=[Plugin()]))
"""
    (tmp_path / "program.py").write_text(program, "utf-8")
    done = subprocess.run(
        [sys.executable, "program.py", *_STRICT, "-q"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


RECORDING = """
import json, os, pathlib, subprocess, sys
import llmops_sdk as llmops

PROGRAM = "import llmops_sdk as l; l.trace(lambda x: x)(2); l.flush(); print(l.settings().store.path)"

def test_records():
    llmops.chat("Hi", model="offline/echo", cache=True)
    llmops.flush()
    child = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    paths = [str(llmops.settings().store.path), child.stdout.strip()]
    pathlib.Path("stores.json").write_text(json.dumps(paths), "utf-8")
    assert llmops.query("SELECT count(*) FROM spans").scalar() == 2
"""


def project(folder: Path, settings: str = "") -> Path:
    """Make a project with a store of its own."""
    (folder / "test_records.py").write_text(RECORDING, "utf-8")
    (folder / "pyproject.toml").write_text(f"[tool.pytest.ini_options]\n{settings}", "utf-8")
    return folder


OF_THIS_CODE = {"PYTHONPATH": str(Path(llmops.__file__).parents[1])}


def test_tests_do_not_write_into_the_projects_store_and_leave_none(tmp_path: Path):
    made = tmp_path / "tmp"
    made.mkdir()
    folder = tmp_path / "project"
    folder.mkdir()
    done = run("-q", folder=project(folder), TMPDIR=str(made), **OF_THIS_CODE)
    assert done.returncode == 0, done.stdout + done.stderr
    used = set(json.loads((folder / "stores.json").read_text("utf-8")))
    assert len(used) == 1
    assert made in Path(used.pop()).parents
    assert not (folder / ".llmops").exists()
    assert list(made.glob("llmops-tests-*")) == []


def test_a_project_can_keep_its_store(tmp_path: Path):
    done = run("-q", folder=project(tmp_path, 'llmops_store = "project"\n'), **OF_THIS_CODE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / ".llmops").exists()


def test_the_environment_can_name_the_store(tmp_path: Path):
    done = run("-q", folder=project(tmp_path), LLMOPS_STORE__PATH=str(tmp_path / "mine"), **OF_THIS_CODE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(json.loads((tmp_path / "stores.json").read_text("utf-8"))) == {str(tmp_path / "mine")}


def test_a_wrong_setting_is_a_usage_error(tmp_path: Path):
    done = run("-q", folder=project(tmp_path, 'llmops_store = "temp"\n'), **OF_THIS_CODE)
    assert done.returncode == 4
    assert 'use "temporary" or "project"' in done.stderr
