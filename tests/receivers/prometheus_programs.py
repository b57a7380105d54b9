"""Real Prometheus and Alertmanager on free ports of loopback, and their tools."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from real_backends import eventually, free_port, serving

__all__ = ["Program", "alertmanager", "amtool", "program", "prometheus", "promtool"]


def program(*names: str) -> str:
    """Return the path of a program."""
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, f"no {names[0]}: install it with the system's package manager, as `make test-integration` does"
    return found


def promtool(*arguments: str, stdin: bytes = b"") -> str:
    """Run promtool, and return its output; fail if it finds a problem."""
    done = subprocess.run([program("promtool"), *arguments], input=stdin, capture_output=True, timeout=120, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


class Program:
    """A running server.

    Args:
        url: Its address.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expr: str) -> list[Any]:
        """Return the result of an instant query."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expr}, timeout=30)
        return answer.json()["data"]["result"]


def amtool(server: Program, *arguments: str) -> Any:
    """Run amtool against an Alertmanager; return its JSON, or its text where that is none."""
    command = [program("amtool"), f"--alertmanager.url={server.url}", "--output=json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout) if done.stdout.startswith(("[", "{")) else done.stdout.strip()


@contextmanager
def prometheus(folder: Path, *, target: str, rules: Path) -> Iterator[Program]:
    """Scrape a target each second and evaluate rules."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "llmops", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    command = [
        program("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with serving(command, f"http://127.0.0.1:{port}/-/ready", {}):
        yield Program(f"http://127.0.0.1:{port}")


@contextmanager
def alertmanager(folder: Path, hook: str) -> Iterator[Program]:
    """Send each alert to a webhook at once."""
    config = {
        "route": {
            "receiver": "hook", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "hook", "webhook_configs": [{"url": hook, "send_resolved": True}]}],
    }  # fmt: skip
    (folder / "alertmanager.yml").write_text(json.dumps(config))
    port = free_port()
    command = [
        program("prometheus-alertmanager", "alertmanager"), f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    with serving(command, f"http://127.0.0.1:{port}/-/ready", {}):
        server = Program(f"http://127.0.0.1:{port}")
        eventually(lambda: requests.get(f"{server.url}/api/v2/status", timeout=5).ok, bool, "Alertmanager")
        yield server
