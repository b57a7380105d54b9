"""Run the examples for web frameworks and notebooks as their readers do."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import llmops_sdk as llmops

EXAMPLES = Path(__file__).parents[2] / "examples"


class Server:
    def __init__(self, url: str, store: Path, process: subprocess.Popen[bytes]) -> None:
        self.url = url
        self.store = store
        self._process = process

    def stop(self) -> str:
        self._process.send_signal(signal.SIGINT)
        _, err = self._process.communicate(timeout=60)
        return err.decode()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Run the FastAPI example under uvicorn, on our socket: requests wait until it has started."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        store = tmp_path / "traces"
        environment = {
            **os.environ,
            "LLMOPS_STORE__PATH": str(store),
            "LLMOPS_OPTIONS__TOKENS_PER_SECOND": "400",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--fd", str(listening.fileno())],
            cwd=EXAMPLES,
            env=environment,
            pass_fds=[listening.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        running = Server(f"http://127.0.0.1:{listening.getsockname()[1]}", store, process)
        try:
            yield running
        finally:
            running.kill()


async def test_concurrent_fastapi_requests_have_separate_traces(server):
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:

        async def ask(path: str, user: str) -> str:
            answer = await client.get(path, params={"question": f"I am {user}"}, headers={"X-User": user})
            assert answer.status_code == 200
            return answer.text

        paths = ["/answer", "/blocking", "/ask"]
        users = [f"user-{number}" for number in range(24)]
        answers = await asyncio.gather(*(ask(paths[n % 3], user) for n, user in enumerate(users)))
        slow = await client.get("/slow", params={"limit": 100})
    assert all(f"I am {user}" in answer for user, answer in zip(users, answers, strict=True))
    assert {row["user_id"] for row in slow.json()} == set(users)
    assert "Traceback" not in server.stop()
    sql = """SELECT user_id, count(*), count(DISTINCT trace_id), bool_and(contains(output_messages, user_id))
             FROM llm_calls GROUP BY ALL ORDER BY ALL"""
    assert llmops.query(sql, path=server.store).rows() == [(user, 1, 1, True) for user in sorted(users)]
    assert llmops.query("SELECT count(DISTINCT trace_id) FROM llm_calls", path=server.store).scalar() == 24


async def test_fastapi_closes_the_stream_of_a_disconnected_client(server):
    question = "word " * 4000  # ten seconds at the speed set above
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=60) as client,
        client.stream("GET", "/ask", params={"question": question}, headers={"X-User": "gone"}) as answer,
    ):
        async for piece in answer.aiter_text():
            assert piece
            break
    log = server.stop()
    assert "Traceback" not in log
    rows = llmops.query("SELECT user_id, status FROM llm_calls", path=server.store).rows()
    assert len(rows) == 1
    assert rows[0][0] == "gone"
    assert rows[0][1] == "closed"


def test_notebook_survives_reload_and_rerun_cells(tmp_path):
    program = EXAMPLES / "notebook_reload.py"
    ran = subprocess.run([sys.executable, program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert "2 calls, before and after the reload, in one store" in ran.stdout


def test_cells_run_twice_in_one_process(tmp_path):
    source = (EXAMPLES / "notebook_reload.py").read_text(encoding="utf-8")
    twice = f"""
cells = {source.split(chr(10) + "# %%")!r}
space = {{"__name__": "__main__"}}
for _ in range(2):
    for cell in cells:
        exec("#" + cell if cell is not cells[0] else cell, space)
print(space["llmops"].query("SELECT count(*) FROM llm_calls").scalar())
"""
    ran = subprocess.run([sys.executable, "-c", twice], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "4"


def test_traffic_control_answers_without_the_deployment_that_is_down(tmp_path: Path):
    store = tmp_path / "traces"
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "traffic_control.py")],
        env={**os.environ, "LLMOPS_STORE__PATH": str(store)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    said = done.stdout.splitlines()
    assert {line.partition(" after ")[0] for line in said[:5]} == {"ada: west answers", "ben: west answers"}
    assert said[5].startswith("ada, after 20 more: ada has ")
    assert said[6] == "ben: west answers after 1 attempt(s)"
    sql = "SELECT DISTINCT policy, decision, deployment, subject FROM traffic ORDER BY ALL"
    assert llmops.query(sql, path=store).rows() == [
        ("breaker", "opened", "east", None),
        ("budget", "refused", "west", "each user:ada"),
    ]


def test_guarded_agent_mails_nobody_but_the_user(tmp_path: Path):
    pytest.importorskip("re2")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "guarded_agent.py")],
        env={**os.environ, "LLMOPS_STORE__PATH": str(tmp_path / "traces")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    said = done.stdout.splitlines()
    assert said[:3] == [
        "blocked: tool_policy, tainted argument: send_mail.to",
        "I sent a summary to ada@example.org.",
        "mails: ['ada@example.org: An invoice is due on Friday.']",
    ]
    # The model's calls were recorded with placeholders; the tool that may have the address was traced with it.
    sql = "SELECT DISTINCT kind FROM spans WHERE contains(to_json(spans)::VARCHAR, 'ada@example.org')"
    assert llmops.query(sql, path=tmp_path / "traces").rows() == [("tool",)]
