"""RQ's workers run each job in a process that ends by os._exit without any hook: the store has the job's spans."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_servers import names, running

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PROGRAM = """
import os
import sys
import types
import llmops_sdk as llmops
from llmops_sdk.tracing.runtime import _pipeline
from rq.worker import Worker

_pipeline._CHILD_WRITE_THROUGH = 0.0  # as in a job that has run for some seconds


@llmops.trace
def work(number):
    return number


@llmops.trace
def job():
    for number in range(10):
        work(number)


class WithoutRedis(Worker):
    name, execution = "worker", None

    def __init__(self):
        pass

    def procline(self, message):
        pass

    def perform_job(self, *_):
        job()


worker, first_use = WithoutRedis(), sys.argv[1]
if first_use == "new interpreter":  # as SpawnWorker starts one
    worker.main_work_horse(None, None)
if first_use == "parent":
    job()
for number in range(3):
    worker.fork_work_horse(types.SimpleNamespace(id=str(number)), None)
    assert os.waitpid(worker._horse_pid, 0)[1] == 0
"""


@pytest.mark.parametrize(("first_use", "jobs"), [("parent", 4), ("child", 3), ("new interpreter", 1)])
def test_spans_of_jobs_are_stored_once(tmp_path: Path, first_use: str, jobs: int) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    with running(tmp_path, "program", first_use, packages_of="rq") as program:
        assert program.process.wait(120) == 0, program.said
    assert program.said == ""
    assert names(tmp_path) == {"job": jobs, "work": 10 * jobs}
