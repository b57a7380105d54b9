"""Run guards in order over the texts of a value; those that keep the text may change places."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from llmops_sdk.guardrails._protocol import Guard
from llmops_sdk.guardrails.running._order import groups, is_slow, reads_whole
from llmops_sdk.guardrails.running._pool import GROUPS
from llmops_sdk.guardrails.running._runner import GuardRun

__all__ = [
    "PLAIN",
    "Batch",
    "Texts",
    "acheck_together",
    "acheck_value",
    "check_together",
    "check_value",
    "guard_of",
]

_T = TypeVar("_T")

Batch: TypeAlias = Sequence[tuple[GuardRun, str]]
"""Texts to check by guards that may change places: for each the run of its guard."""


@dataclass(frozen=True, slots=True)
class Texts(Generic[_T]):
    """How the texts of a value are taken out, and the checked ones put back.

    Attributes:
        take: Returns the texts; its second argument says whether whole texts are meant, not the strings inside JSON.
        put: Returns the value with the checked texts, in the order of `take`.
    """

    take: Callable[[_T, bool], list[str]]
    put: Callable[[_T, Sequence[str], bool], _T]


PLAIN: Texts[list[str]] = Texts(lambda texts, _: list(texts), lambda _, checked, __: list(checked))
"""A list of texts."""


def check_value(value: _T, texts: Texts[_T], runs: Sequence[GuardRun]) -> _T:
    """Return a value as the guards leave it; each guard sees what the one before left.

    Guards that keep the text may change places: cheap ones go first, and slow ones run side by side.

    Args:
        value: What has the texts.
        texts: How they are taken out and put back.
        runs: The guards, each with its context.

    Raises:
        GuardrailViolation: A guard blocked a text, or failed where a failure blocks.
    """
    for group in groups(runs, guard_of):
        taken = texts.take(value, reads_whole(group[0].guard))
        if len(group) == 1:
            with group[0] as run:
                checked = [run.check(text) for text in taken]
        else:
            with _entered(group):
                checked = _check_group(group, taken)
        if checked != taken:
            value = texts.put(value, checked, reads_whole(group[0].guard))
    return value


async def acheck_value(value: _T, texts: Texts[_T], runs: Sequence[GuardRun]) -> _T:
    """Return a value as the guards leave it, async; see `check_value`."""
    for group in groups(runs, guard_of):
        taken = texts.take(value, reads_whole(group[0].guard))
        if len(group) == 1:
            with group[0] as run:
                checked = [await run.acheck(text) for text in taken]
        else:
            with _entered(group):
                checked = await _acheck_group(group, taken)
        if checked != taken:
            value = texts.put(value, checked, reads_whole(group[0].guard))
    return value


@contextmanager
def _entered(group: Sequence[GuardRun]) -> Generator[None]:
    with ExitStack() as stack:
        for run in group:
            stack.enter_context(run)
        yield


def guard_of(run: GuardRun) -> Guard:
    """Return the guard of a run."""
    return run.guard


def _check_group(group: Sequence[GuardRun], texts: list[str]) -> list[str]:
    checked = texts
    for run in group:
        if not is_slow(run.guard):
            checked = [run.check(text) for text in checked]
    check_together([(run, text) for run in group if is_slow(run.guard) for text in checked])
    # The guards of a group of several keep the text.
    return checked


async def _acheck_group(group: Sequence[GuardRun], texts: list[str]) -> list[str]:
    checked = texts
    for run in group:
        if not is_slow(run.guard):
            checked = [await run.acheck(text) for text in checked]
    await acheck_together([(run, text) for run in group if is_slow(run.guard) for text in checked])
    return checked


def check_together(batch: Batch) -> None:
    """Check texts by guards that keep them: cheap guards go first, and slow ones run side by side.

    Raises:
        GuardrailViolation: A guard refused a text.
    """
    fast, slow = _by_run(batch)
    for run, texts in [*fast.items(), *(slow.items() if len(slow) == 1 else ())]:
        _check_all(run, texts)
    if len(slow) > 1:
        futures = [GROUPS.submit(_check_all, run, texts) for run, texts in slow.items()]
        for future in futures:
            future.result()


async def acheck_together(batch: Batch) -> None:
    """Check texts by guards that keep them, async; see `check_together`."""
    fast, slow = _by_run(batch)
    for run, texts in [*fast.items(), *(slow.items() if len(slow) == 1 else ())]:
        await _acheck_all(run, texts)
    if len(slow) < 2:
        return
    tasks = [asyncio.create_task(_acheck_all(run, texts)) for run, texts in slow.items()]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError):
            raise end


def _by_run(batch: Batch) -> tuple[dict[GuardRun, list[str]], dict[GuardRun, list[str]]]:
    """Return the texts of fast guards and of slow ones: one run checks one text at a time."""
    both: tuple[dict[GuardRun, list[str]], dict[GuardRun, list[str]]] = {}, {}
    for run, text in batch:
        both[is_slow(run.guard)].setdefault(run, []).append(text)
    return both


def _check_all(run: GuardRun, texts: Sequence[str]) -> None:
    for text in texts:
        run.check(text)


async def _acheck_all(run: GuardRun, texts: Sequence[str]) -> None:
    for text in texts:
        await run.acheck(text)
