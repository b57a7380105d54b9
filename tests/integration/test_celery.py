"""Celery's prefork pool, whose workers end by os._exit: the store has each task's spans once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from real_servers import Running, names, running

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
"""
ASK = """
import celery_tasks
results = [celery_tasks.task.delay(number) for number in range(20)]
for result in results:
    result.get(timeout=60)
"""


@contextmanager
def worker(folder: Path, *, tasks: int, first_use: str) -> Iterator[tuple[Running, dict[str, str]]]:
    (folder / "celery_tasks.py").write_text(TASKS)
    for name in ("queue", "results", "control"):
        (folder / name).mkdir()
    environ = {
        "CELERY_TEST_FOLDER": str(folder),
        "CELERY_TEST_TASKS": str(tasks),
        "CELERY_TEST_FIRST_USE": first_use,
    }
    command = ["celery", "-A", "celery_tasks", "worker", "-c", "2", "-P", "prefork", "-l", "WARNING"]
    with running(folder, *command, "--without-gossip", "--without-mingle", **environ) as server:
        yield server, environ


@pytest.mark.parametrize("tasks", [0, 3], ids=["workers that stay", "three tasks a worker"])
@pytest.mark.parametrize("first_use", ["parent", "child"])
def test_spans_of_pool_workers_are_stored_once(tmp_path: Path, tasks: int, first_use: str) -> None:
    with worker(tmp_path, tasks=tasks, first_use=first_use) as (server, environ):
        # Another process, with its own store, sends the tasks.
        (asking := tmp_path / "asking").mkdir()
        (asking / "celery_tasks.py").write_text(TASKS)
        (asking / "ask.py").write_text(ASK)
        with running(asking, "ask", **environ) as asked:
            assert asked.process.wait(120) == 0, asked.said + server.said
        assert server.stop() == 0
    assert names(tmp_path) == {"task": 20, "work": 200} | ({"module": 1} if first_use == "parent" else {})
