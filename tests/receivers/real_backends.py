"""Real backends, each in its own virtual environment and on a free port of loopback.

Nothing of them is in the project's environment: they bring hundreds of packages with versions of their own. The
environments are made at first use in `.integration` (or the folder in LLMOPS_TEST_BACKENDS) and kept.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import requests

_ROOT = Path(__file__).parents[2]
# Read at import: a fixture removes our variables from each test's environment.
BACKENDS = Path(os.environ.get("LLMOPS_TEST_BACKENDS") or _ROOT / ".integration").resolve()
READY_WITHIN = 240.0
_T = TypeVar("_T")


__all__ = ["Backend", "environment", "eventually", "free_port", "serve_mlflow", "serve_phoenix", "serving"]


@dataclass(frozen=True)
class Backend:
    """A running server."""

    url: str
    grpc_url: str = ""


def eventually(read: Callable[[], _T], done: Callable[[_T], bool], what: str, within: float = 60.0) -> _T:
    """Poll until the value is as expected; backends store spans asynchronously."""
    end = time.monotonic() + within
    pause = threading.Event()
    while True:
        value = read()
        if done(value):
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {within:g} s; the last answer was {value!r:.2000}")
        pause.wait(0.25)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def environment(name: str) -> Path:
    """Return the folder of executables of the backend's environment; create it if missing or of another version."""
    requirements = _ROOT / "tests" / "integration" / f"requirements-{name}.txt"
    folder = BACKENDS / f"venv-{name}"
    stamp = folder / "installed.txt"
    wanted = requirements.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(requirements)], check=True, timeout=1500, stdin=subprocess.DEVNULL)
        stamp.write_text(wanted)
    return folder / "bin"


@contextmanager
def serving(command: list[str], health: str, environ: dict[str, str]) -> Iterator[None]:
    with tempfile.NamedTemporaryFile("w+", suffix=".log") as log:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LLMOPS_"))}
        server = subprocess.Popen(
            command,
            env={**inherited, **environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

        def is_ready() -> bool:
            if server.poll() is not None:
                raise AssertionError(
                    f"{command[0]} ended with {server.returncode}:\n{Path(log.name).read_text()[-4000:]}"
                )
            try:
                return requests.get(health, timeout=2).ok
            except requests.RequestException:
                return False

        try:
            eventually(is_ready, bool, f"{command[0]} at {health}", READY_WITHIN)
            yield
        finally:
            # Its workers are in the same session.
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
                try:
                    server.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(server.pid, signal.SIGKILL)
                    server.wait()


@contextmanager
def serve_phoenix(folder: Path) -> Iterator[Backend]:
    """Run Arize Phoenix with a database in the folder."""
    bin_folder = environment("phoenix")
    port, grpc_port = free_port(), free_port()
    environ = {
        "PHOENIX_WORKING_DIR": str(folder),
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


@contextmanager
def serve_mlflow(folder: Path) -> Iterator[Backend]:
    """Run MLflow's tracking server with a database in the folder."""
    bin_folder = environment("mlflow")
    port = free_port()
    environ = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    command = [str(bin_folder / "mlflow"), "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    url = f"http://127.0.0.1:{port}"
    with serving(command, f"{url}/health", environ):
        yield Backend(url)
