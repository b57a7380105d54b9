"""Real backends, and the program that exports to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from real_backends import Backend, serve_mlflow, serve_phoenix

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """Serve Arize Phoenix with its own database."""
    with serve_phoenix(tmp_path_factory.mktemp("phoenix")) as backend:
        yield backend


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """Serve MLflow's tracking server with its own database."""
    with serve_mlflow(tmp_path_factory.mktemp("mlflow")) as backend:
        yield backend


@pytest.fixture
def run_program(tmp_path: Path) -> Callable[..., dict[str, object]]:
    """Run `program.py` in its own process and folder, and return its report."""

    def run(session: str = "session-7", **environ: str) -> dict[str, object]:
        done = subprocess.run(
            [sys.executable, str(HERE / "program.py")],
            env={**os.environ, "SUPPORT_SESSION": session, **environ},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said: dict[str, object] = json.loads(done.stdout)
        return said

    return run
