"""The check of installed packages finds a known-bad release, code that runs at start-up, and a wrong version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from supply_chain import KNOWN_BAD, problems

pytestmark = pytest.mark.redteam


def install(folder: Path, name: str, version: str, **files: str) -> None:
    """Write what an installed package leaves in a folder."""
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    for file, text in files.items():
        (folder / file).write_text(text)
    (about / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def test_clean_folder_has_no_problem(tmp_path: Path):
    install(tmp_path, "setuptools", "80.0.0", **{"distutils-precedence.pth": "import os; var = 1\n"})
    install(tmp_path, "editable", "1.0", **{"_editable.pth": "/srv/app\n"})

    assert list(problems(tmp_path)) == []


@pytest.mark.parametrize("version", sorted(KNOWN_BAD["litellm"]))
def test_known_bad_release_is_found(tmp_path: Path, version: str):
    install(tmp_path, "litellm", version)

    assert [problem for problem in problems(tmp_path) if f"litellm {version} is a known-bad release" in problem]


@pytest.mark.parametrize(
    ("owner", "name"), [("litellm", "litellm_init.pth"), ("litellm", "distutils-precedence.pth"), (None, "x.pth")]
)
def test_unknown_code_at_start_up_is_found(tmp_path: Path, owner: str | None, name: str):
    text = "/a/folder\nimport base64; exec(base64.b64decode(''))\n"
    if owner is None:
        (tmp_path / name).write_text(text)
    else:
        install(tmp_path, owner, "1.110.2", **{name: text})

    (problem,) = problems(tmp_path)
    assert name in problem
    assert (owner or "no package") in problem


def test_version_other_than_the_pin_is_found(tmp_path: Path):
    pins = tmp_path / "pins.txt"
    pins.write_text("some-package==1.2 \\\n    --hash=sha256:00\n")
    install(tmp_path / "site", "some_package", "1.3")

    assert list(problems(tmp_path / "site", pins)) == ["some-package 1.3 is installed, and the pins say 1.2"]


def test_command_fails_on_a_problem(tmp_path: Path, root: Path):
    install(tmp_path, "litellm", "1.82.8")
    command = [sys.executable, str(root / ".ci" / "supply_chain.py"), str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "known-bad" in done.stderr
