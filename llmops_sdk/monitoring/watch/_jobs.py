"""What the watcher runs beside the rules, each in a thread of its own: evaluators, checks for drift, and canaries."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._daemon import start_daemon
from llmops_sdk._util._guard import guarded
from llmops_sdk._util._optional import require
from llmops_sdk.config import CanarySettings, Settings
from llmops_sdk.errors import LLMOpsError
from llmops_sdk.monitoring.states._machine import AlertState, step
from llmops_sdk.monitoring.states._outcome import Outcome
from llmops_sdk.monitoring.watch._telling import plain_changes
from llmops_sdk.monitoring.watch._watcher import Watcher

__all__ = ["Job", "Jobs", "Report", "jobs_of"]

_CALM = 0.0
_JOB_NOTE = "job:"
"""How the names of the notes of jobs begin."""
_log = logging.getLogger("llmops_sdk")


class Report(Protocol):
    """What a check found, as `llmops_sdk.drift.DriftReport`."""

    @property
    def drifted(self) -> bool:
        """Return whether something drifted."""
        ...

    @property
    def status(self) -> str:
        """Return "drifted", "steady", "not_enough_data" or "ours"."""
        ...

    @property
    def reason(self) -> str:
        """Return the reason, without content."""
        ...

    @property
    def examples(self) -> tuple[str, ...]:
        """Return up to five trace ids."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job.

    Attributes:
        name: The name of its alerts: "evaluators", "drift", or the canary's.
        kind: "evaluators", "drift" or "canary".
        every: Seconds between two starts.
        run: Does it; a check returns its report.
        notify: Who is told of what a check found.
    """

    name: str
    kind: str
    every: float
    run: Callable[[], Report | None]
    notify: tuple[str, ...] = ()


def jobs_of(settings: Settings) -> list[Job]:
    """Return the jobs that the settings ask for.

    Args:
        settings: The settings.

    Raises:
        MissingDependencyError: A check needs numpy, which is not installed.
    """
    path = settings.store.path.absolute()
    found: list[Job] = []
    if settings.evaluators and settings.watch.evaluators:

        def evaluate() -> None:
            from llmops_sdk.evals import evaluate_online

            evaluate_online(settings.evaluators, path=path)

        found.append(Job(name="evaluators", kind="evaluators", every=settings.watch.interval, run=evaluate))
    if settings.drift.every is not None:
        every = settings.drift.every
        # At the start, and not in a thread at the first check.
        require("numpy", extra="stats", purpose="[drift] every")

        def check_drift() -> Report:
            from llmops_sdk.drift import Drift

            return Drift(settings=settings, path=path).check()

        found.append(Job(name="drift", kind="drift", every=every, run=check_drift, notify=settings.drift.notify))
    for canary in settings.canaries:
        if canary.every is not None:

            def check(own: CanarySettings = canary) -> Report:
                from llmops_sdk.drift import Canary

                asked = Canary(own, path=path)
                done = asked.run()
                if done.failed and not done.answered:
                    types = ", ".join(done.error_types)
                    _log.warning(
                        "llmops: the canary %s has no answers: %d calls failed (%s)", own.name, done.failed, types
                    )
                return asked.check()

            found.append(Job(name=canary.name, kind="canary", every=canary.every, run=check, notify=canary.notify))
    return found


class Jobs:
    """Starts each job when it is due, at most once at a time. When it was started last survives a restart.

    Args:
        watcher: Stores notes, and tells what jobs find.
        jobs: The jobs.
        clock: The clock.
    """

    def __init__(self, watcher: Watcher, jobs: Sequence[Job], clock: Clock = SYSTEM_CLOCK) -> None:
        self._watcher = watcher
        self._jobs = jobs
        self._clock = clock
        self._running: dict[str, threading.Thread] = {}
        self._watcher.end_notes(_JOB_NOTE, {_key(job) for job in jobs})

    def start_due(self) -> list[threading.Thread]:
        """Start what is due and not running; return the new threads."""
        now = self._clock.time()
        started: list[threading.Thread] = []
        for job in self._jobs:
            key = _key(job)
            running = self._running.get(key)
            if running is not None and running.is_alive():
                continue
            note: Any = self._watcher.note(key) or {}
            last = note.get("last", 0.0)
            # A last start in the future: the clock was set back.
            if last <= now < last + job.every:
                continue
            self._watcher.put_note(key, {**note, "last": now})

            def run(job: Job = job, key: str = key) -> None:
                guarded(_name(job), None, self._run, job, key)

            thread = start_daemon(run, f"llmops-{job.kind}")
            if thread is not None:
                self._running[key] = thread
                started.append(thread)
        return started

    def wait(self, seconds: float) -> None:
        """Wait for the running jobs, no longer than some seconds in all."""
        until = self._clock.monotonic() + seconds
        for thread in self._running.values():
            thread.join(max(until - self._clock.monotonic(), 0.0))

    def _run(self, job: Job, key: str) -> None:
        try:
            report = job.run()
        except LLMOpsError as error:
            # Its text says what to do; the next start tries again.
            _log.warning("llmops: %s of the watcher failed: %s", _name(job), error)
            return
        if report is None:
            return
        note: Any = self._watcher.note(key) or {}
        stored = note.get("alert")
        alert = AlertState(**stored) if stored else AlertState(rule=job.name, severity="ticket", labels={})
        alert.kind, alert.names = job.kind, job.notify
        is_bad = report.drifted if report.status in ("drifted", "steady", "ours") else None
        now = self._clock.time()
        change = step(alert, Outcome(is_bad=is_bad), now, delay=0.0, keep=_CALM)
        traces = [one for one in report.examples if _is_trace(one)]
        changes = [] if change is None else plain_changes(alert, change, report.reason, now, job.notify, traces)
        self._watcher.put_note(key, {**note, "alert": alert.as_json() if alert.is_active else None}, changes)


def _key(job: Job) -> str:
    return f"{_JOB_NOTE}{job.kind}:{job.name}"


def _name(job: Job) -> str:
    return job.kind if job.kind == job.name else f"{job.kind} {job.name}"


def _is_trace(text: str) -> bool:
    """Return whether an example is a trace's id: others are texts of users, which stay here."""
    return len(text) == 32 and all(one in "0123456789abcdef" for one in text)
