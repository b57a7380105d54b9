"""Silences: for some time nobody is told of a rule. They are a file in the watcher's folder, which the CLI writes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import orjson

from llmops_sdk._util._private_files import replace_file
from llmops_sdk.errors import StoreError
from llmops_sdk.monitoring.states._machine import AlertState

__all__ = ["Silence", "add_silence", "is_silenced", "read_silences", "remove_silences"]

_FILE = "silences.json"
_MOST = 1_000
_MAX_BYTES = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A silence.

    Attributes:
        rule: The rule, or "*" for all.
        until: Its end, in seconds since the epoch.
        labels: Only alerts with these labels.
    """

    rule: str
    until: float
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


def is_silenced(silences: Sequence[Silence], alert: AlertState, now: float) -> bool:
    """Return whether nobody is told of an alert now."""
    return any(
        one.rule in ("*", alert.rule)
        and now < one.until
        and all(alert.labels.get(name) == value for name, value in one.labels.items())
        for one in silences
    )


def read_silences(folder: Path) -> list[Silence]:
    """Return the silences.

    Args:
        folder: The watcher's folder.

    Raises:
        StoreError: The file is damaged.
    """
    file = folder / _FILE
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}", path=str(file)) from error
    with os.fdopen(descriptor, "rb") as opened:
        data = opened.read(_MAX_BYTES)
    try:
        content: Any = orjson.loads(data)
        return [_silence(one) for one in content][:_MOST]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"{file} is damaged: remove it; nothing is silenced then", path=str(file)) from error


def _silence(content: Any) -> Silence:
    labels = cast("dict[Any, Any]", content["labels"])
    return Silence(
        rule=str(content["rule"]), until=float(content["until"]),
        labels={str(name): str(value) for name, value in labels.items()},
    )  # fmt: skip


def add_silence(folder: Path, silence: Silence, now: float) -> None:
    """Add a silence; those that have ended go.

    Args:
        folder: The watcher's folder.
        silence: The silence.
        now: Seconds since the epoch.

    Raises:
        StoreError: The file cannot be written, or there are too many silences.
    """
    kept = [one for one in read_silences(folder) if one.until > now]
    if len(kept) >= _MOST:
        raise StoreError(f"there are {_MOST} silences already: remove some, with `llmops alerts silence RULE --end`")
    _write(folder, [*kept, silence])


def remove_silences(folder: Path, rule: str) -> int:
    """Remove the silences of a rule; return how many there were.

    Args:
        folder: The watcher's folder.
        rule: The rule, or "*" for those of all rules at once.

    Raises:
        StoreError: The file cannot be written.
    """
    before = read_silences(folder)
    kept = [one for one in before if one.rule != rule]
    if len(kept) < len(before):
        _write(folder, kept)
    return len(before) - len(kept)


def _write(folder: Path, silences: Sequence[Silence]) -> None:
    try:
        replace_file(folder / _FILE, orjson.dumps([asdict(one) for one in silences]), fsync=True)
    except OSError as error:
        raise StoreError(f"{folder / _FILE} cannot be written: {error.strerror}", path=str(folder)) from error
