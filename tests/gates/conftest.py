"""The files that the gates check."""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    """Collect no garbage during a gate. Python up to 3.11.7 fails to parse if a finalizer parses meanwhile.

    https://github.com/python/cpython/issues/106905: "AST constructor recursion depth mismatch". A socket that litellm
    leaves open warns when it is collected, and the traceback of the warning parses its lines.
    """
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder of the checkout."""
    return _ROOT


@pytest.fixture(scope="session")
def sources() -> list[Path]:
    """Return every shipped module: the package and the integrations, without their tests."""
    found = [*_ROOT.joinpath("llmops_sdk").rglob("*.py"), *_ROOT.joinpath("integrations").rglob("*.py")]
    return sorted(path for path in found if "tests" not in path.relative_to(_ROOT).parts)


@pytest.fixture(scope="session")
def repository_files() -> list[Path]:
    """Return every file that is committed or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=_ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return sorted(path for name in listed.stdout.split("\0") if name and (path := _ROOT / name).is_file())
