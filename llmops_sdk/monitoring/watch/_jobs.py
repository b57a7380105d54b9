"""What the watcher runs beside the rules, each in a thread of its own: evaluators, checks for drift, and canaries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._daemon import start_daemon
from llmops_sdk._util._guard import guarded
from llmops_sdk.config import CanarySettings, Settings
from llmops_sdk.monitoring.states._machine import AlertState, Change, step
from llmops_sdk.monitoring.states._outcome import Outcome
from llmops_sdk.monitoring.watch._watcher import Watcher

__all__ = ["Job", "Jobs", "Report", "jobs_of"]

_CALM = 0.0


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

        def check_drift() -> Report:
            from llmops_sdk.drift import Drift

            return Drift(settings=settings, path=path).check()

        found.append(Job(name="drift", kind="drift", every=every, run=check_drift, notify=settings.drift.notify))
    for canary in settings.canaries:
        if canary.every is not None:

            def check(own: CanarySettings = canary) -> Report:
                from llmops_sdk.drift import Canary

                asked = Canary(own, path=path)
                asked.run()
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

    def start_due(self) -> list[threading.Thread]:
        """Start what is due and not running; return the new threads."""
        now = self._clock.time()
        started: list[threading.Thread] = []
        for job in self._jobs:
            key = f"job:{job.kind}:{job.name}"
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
                guarded(f"{job.kind} {job.name}", None, self._run, job, key)

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
        report = job.run()
        if report is None:
            return
        note: Any = self._watcher.note(key) or {}
        stored = note.get("alert")
        alert = AlertState(**stored) if stored else AlertState(rule=job.name, severity="ticket", labels={})
        is_bad = report.drifted if report.status in ("drifted", "steady", "ours") else None
        now = self._clock.time()
        change = step(alert, Outcome(is_bad=is_bad), now, delay=0.0, keep=_CALM)
        changes = [] if change is None else _changes(job, report, change, now)
        self._watcher.put_note(key, {**note, "alert": alert.as_json() if alert.is_active else None}, changes)


def _changes(job: Job, report: Report, change: Change, now: float) -> list[Mapping[str, Any]]:
    shared: dict[str, Any] = {
        "rule": job.name, "kind": job.kind, "severity": "ticket", "value": None, "threshold": None, "events": None,
        "bad": None, "reason": report.reason,
    }  # fmt: skip
    traces = [one for one in report.examples if _is_trace(one)]
    labels: dict[str, str] = {}
    row: dict[str, Any] = {
        **shared, "alert_id": change.alert_id, "state": change.state, "previous": change.previous, "labels": labels,
        "example_trace_ids": traces[:5], "details": {}, "time_ns": int(now * 1e9),
        "firing_ns": None if change.firing_since is None else int(change.firing_since * 1e9),
    }  # fmt: skip
    sent: dict[str, Any] = {
        **shared, "id": change.alert_id, "state": change.state, "time": now, "firing_since": change.firing_since or now,
        "labels": labels, "window": None, "repeat": 0, "culprits": [], "example_trace_ids": traces[:3], "sql": None,
        "runbook": None, "texts": [],
    }  # fmt: skip
    return [{"row": row}, {"message": sent, "names": job.notify}]


def _is_trace(text: str) -> bool:
    """Return whether an example is a trace's id: others are texts of users, which stay here."""
    return len(text) == 32 and all(one in "0123456789abcdef" for one in text)
