"""The backends and the program that is sent to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from real_backends import Backend, environment, free_port, serving

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """Arize Phoenix, with a database of its own."""
    bin_folder = environment("phoenix")
    port, grpc_port = free_port(), free_port()
    environ = {
        "PHOENIX_WORKING_DIR": str(tmp_path_factory.mktemp("phoenix")),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc_port),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
    }
    url = f"http://127.0.0.1:{port}"
    with serving([str(bin_folder / "phoenix"), "serve"], f"{url}/healthz", environ):
        yield Backend(url, f"http://127.0.0.1:{grpc_port}")


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """MLflow's tracking server, with a database of its own."""
    bin_folder = environment("mlflow")
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    environ = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    command = [
        str(bin_folder / "mlflow"),
        "server",
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "artifacts"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    url = f"http://127.0.0.1:{port}"
    with serving(command, f"{url}/health", environ):
        yield Backend(url)


@pytest.fixture
def run_program(tmp_path: Path) -> Callable[..., dict[str, object]]:
    """Run `program.py` in a process and a folder of its own; what it says of its calls."""

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
