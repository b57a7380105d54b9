"""Check the wheel and the source archive, and run the README's first program with only the wheel installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from pytest_examples import find_examples

_FILES = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md")
_FOLDERS = ("llmops_sdk", "docs", "examples")

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
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source archive and the wheel from a copy of the repository; return their folder."""
    copy = tmp_path_factory.mktemp("source")
    for name in _FILES:
        shutil.copy(root / name, copy)
    for name in (*_FOLDERS, "tests"):
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path_factory.mktemp("dist")
    build = ("-m", "build", "--sdist", "--wheel", "--no-isolation", "--outdir", target)
    _run(sys.executable, *build, folder=copy, timeout=100)
    return target


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("llmops_sdk-*.whl"))


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


def test_the_source_archive_has_the_documentation_and_no_tests(built: Path, root: Path):
    with tarfile.open(next(built.glob("llmops_sdk-*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    documents = {path.relative_to(root).as_posix() for path in (root / "docs").rglob("*") if path.is_file()}
    assert names >= documents | set(_FILES)
    assert names >= {path.relative_to(root).as_posix() for path in (root / "examples").glob("*.py")}
    assert {name.partition("/")[0] for name in names} <= {"", ".gitignore", "PKG-INFO", *_FILES, *_FOLDERS}


def test_the_metadata_names_the_projects_pages(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())

    urls = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL"))
    assert set(urls) == {"Homepage", "Documentation", "Changelog", "Issues", "Source"}
    assert all(url.startswith("https://") for url in urls.values())


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
