"""Celery's prefork pool, whose workers end by os._exit: the store has each task's spans once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from real_servers import Running, names, running

import llmops_sdk as llmops

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

TASKS = """
import os
import llmops_sdk as llmops
from celery import Celery
from llmops_sdk.tracing.spans import _runtime

folder = os.environ["CELERY_TEST_FOLDER"]
app = Celery("celery_tasks", broker="filesystem://", backend=f"file://{folder}/results")
app.conf.update(
    broker_transport_options={
        "data_folder_in": f"{folder}/queue", "data_folder_out": f"{folder}/queue", "control_folder": f"{folder}/control"
    },
    broker_connection_retry_on_startup=False,
    worker_max_tasks_per_child=int(os.environ["CELERY_TEST_TASKS"]) or None,
)
if os.environ["CELERY_TEST_FIRST_USE"] == "parent":
    with llmops.span("module"):
        pass


@llmops.trace
def work(number):
    return number


@app.task
@llmops.trace("task")
def task(number):
    _runtime.current.pipeline.write_through_until = 0.0  # as in a worker after its first seconds
    for _ in range(10):
        work(number)
    return os.getpid()


@app.task
def untraced():
    pass


@app.task
def reply(carrier, user):
    with llmops.extract(carrier), llmops.context(user_id=user, session_id=f"s-{user}"):
        return llmops.chat(f"I am {user}").text
"""
ASK = """
import celery_tasks
results = [celery_tasks.task.delay(number) for number in range(20)]
for result in results:
    result.get(timeout=60)
"""
ASK_UNTIL_STORED = (
    ASK
    + """
import llmops_sdk as llmops
# A worker stores its spans and ends after three tasks. The last ones have had fewer: give them more to do.
while llmops.query("SELECT count(*) FROM spans WHERE name = 'task'", path=f"{celery_tasks.folder}/store").scalar() < 20:
    celery_tasks.untraced.delay().get(timeout=60)
"""
)
ASK_AS_USERS = """
import celery_tasks, llmops_sdk as llmops
results = []
for number in range(12):
    with llmops.span("enqueue"):
        carrier = {}
        llmops.inject(carrier)
        results.append(celery_tasks.reply.delay(carrier, f"u{number}"))
for number, result in enumerate(results):
    assert f"I am u{number}" in result.get(timeout=60)
"""


@contextmanager
def worker(
    folder: Path, *, tasks: int = 0, first_use: str = "child", pool: str = "prefork"
) -> Iterator[tuple[Running, dict[str, str]]]:
    (folder / "celery_tasks.py").write_text(TASKS)
    for name in ("queue", "results", "control"):
        (folder / name).mkdir()
    environ = {
        "CELERY_TEST_FOLDER": str(folder),
        "CELERY_TEST_TASKS": str(tasks),
        "CELERY_TEST_FIRST_USE": first_use,
    }
    command = ["celery", "-A", "celery_tasks", "worker", "-c", "2", "-P", pool, "-l", "WARNING"]
    with running(folder, *command, "--without-gossip", "--without-mingle", **environ) as server:
        yield server, environ


def ask(folder: Path, program: str, server: Running, environ: dict[str, str]) -> None:
    """Run a program that sends tasks: another process, by default with its own store."""
    (asking := folder / "asking").mkdir()
    (asking / "celery_tasks.py").write_text(TASKS)
    (asking / "ask.py").write_text(program)
    with running(asking, "ask", **environ) as asked:
        assert asked.process.wait(300) == 0, asked.said + server.said


@pytest.mark.parametrize("first_use", ["parent", "child"])
def test_workers_that_stay_store_their_spans_once_at_a_warm_shutdown(tmp_path: Path, first_use: str) -> None:
    with worker(tmp_path, first_use=first_use) as (server, environ):
        ask(tmp_path, ASK, server, environ)
        assert server.stop() == 0
    assert names(tmp_path) == {"task": 20, "work": 200} | ({"module": 1} if first_use == "parent" else {})


@pytest.mark.parametrize("first_use", ["parent", "child"])
def test_workers_that_end_after_three_tasks_store_their_spans_once(tmp_path: Path, first_use: str) -> None:
    with worker(tmp_path, tasks=3, first_use=first_use) as (server, environ):
        ask(tmp_path, ASK_UNTIL_STORED, server, environ)
        assert server.said.count("Traceback") == server.said.count("llmops") == 0, server.said
        # No warm shutdown, which would kill the workers that replace others: a thread of the pool starts those, and
        # Celery has Linux kill them when that thread ends. The pool may then wait for a lock of a killed worker.
    found = names(tmp_path)
    found.pop("module", None)  # the parent's own span may die with it
    assert found == {"task": 20, "work": 200}


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_trace_and_user_of_each_task_follow_its_message(tmp_path: Path, pool: str) -> None:
    with worker(tmp_path, pool=pool) as (server, environ):
        ask(tmp_path, ASK_AS_USERS, server, {**environ, "LLMOPS_STORE__PATH": str(tmp_path / "store")})  # one for both
        assert server.stop() == 0
    sql = """SELECT c.user_id, c.session_id, c.status, contains(c.input_messages, c.user_id), p.name, c.input_tokens > 0
             FROM llm_calls c JOIN spans p ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id ORDER BY 1"""
    users = sorted(f"u{number}" for number in range(12))
    expected = [(user, f"s-{user}", "ok", True, "enqueue", True) for user in users]
    assert llmops.query(sql, path=tmp_path / "store").rows() == expected
