"""Check the wheel's content, and run the README's first program with only the wheel installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from pytest_examples import find_examples

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]


def _run(*command: str | Path, folder: Path, timeout: float) -> str:
    """Run a program without the environment of this test run."""
    ours = ("COV", "LLMOPS_", "OTEL_", "PYTEST", "PYTHON", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        cwd=folder,
        env=environment,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]} {command[1]} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the repository."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(root / name, copy)
    for name in ("llmops_sdk", "examples", "tests"):
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, folder=copy, timeout=100)
    return next(target.glob("llmops_sdk-*.whl"))


def test_wheel_has_the_package_and_nothing_else(wheel: Path, root: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = next(archive.read(name).decode() for name in names if name.endswith("/entry_points.txt"))

    shipped = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    included = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    files = {path.relative_to(root).as_posix() for path in (root / "llmops_sdk").rglob("*") if path.is_file()}
    package = {name for name in files if "__pycache__" not in name}
    assert shipped == package | set(included.get("force-include", {}).values())
    assert not any("test_" in name for name in shipped)
    assert "llmops_sdk/py.typed" in shipped
    assert [name for name in names if name.endswith("/licenses/LICENSE")] != []
    assert "llmops = llmops_sdk.cli:main" in entry_points
    assert "llmops = llmops_sdk.testing._plugin" in entry_points


@pytest.mark.timeout(400)  # installs the dependencies
def test_quick_start_runs_with_only_the_wheel(wheel: Path, root: Path, tmp_path: Path):
    pins = re.findall(r"^[A-Za-z0-9._-]+==\S+", (root / ".ci" / "requirements.txt").read_text("utf-8"), re.MULTILINE)
    (tmp_path / "constraints.txt").write_text("\n".join(pins), "utf-8")
    program = next(iter(find_examples(root / "README.md"))).source
    (tmp_path / "quickstart.py").write_text(program, "utf-8")
    python, llmops = tmp_path / "env" / "bin" / "python", tmp_path / "env" / "bin" / "llmops"

    _run(sys.executable, "-m", "venv", tmp_path / "env", folder=tmp_path, timeout=60)
    quick = ("--quiet", "--no-compile", "--disable-pip-version-check", "--constraint", tmp_path / "constraints.txt")
    _run(python, "-m", "pip", "install", *quick, wheel, folder=tmp_path, timeout=300)
    printed = _run(python, "quickstart.py", folder=tmp_path, timeout=60)
    spans = _run(llmops, "sql", "SELECT count(*) AS spans FROM spans", "--format", "csv", folder=tmp_path, timeout=60)

    assert printed.strip() != ""
    assert int(spans.split()[1]) > 0
