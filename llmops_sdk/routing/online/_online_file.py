"""Write what an online router has learned to a file of JSON, and read it: the file may be damaged, or made to harm."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from llmops_sdk._util._private_files import replace_file
from llmops_sdk.routing.online._arm import MOST_SCORES, Arm
from llmops_sdk.routing.online._online_policy import OnlineOptions, OnlinePolicy, OnlineState, ScoreChange

__all__ = ["load", "save"]

_FORMAT = 1
_MOST_BYTES = 64 * 1024**2
_MOST_ARMS = 100_000


def save(path: Path, policy: OnlinePolicy) -> None:
    """Write the options and the state; the file is whole or is not there.

    Args:
        path: The file.
        policy: What it decides by.

    Raises:
        OSError: The file cannot be written.
    """
    state = policy.state
    content = {
        "format": _FORMAT,
        "options": asdict(policy.options),
        "arms": [[kind, model, arm.entries] for (kind, model), arm in state.arms.items()],
        "scores": state.scores,
        "choices": state.choices,
        "spent": state.spent,
        "changes": [asdict(change) for change in state.changes],
        "version": state.version,
    }
    replace_file(path, json.dumps(content, allow_nan=False).encode())


def load(path: Path) -> OnlinePolicy:
    """Return the policy in a file.

    Args:
        path: The file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no online router.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path} has more than {_MOST_BYTES} bytes: it is no online router")
    content = path.read_bytes()
    try:
        return _policy(json.loads(content))
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no online router, or a damaged one: {type(error).__name__}: {error}") from error


def _policy(found: dict[str, Any]) -> OnlinePolicy:
    if found["format"] != _FORMAT:
        raise ValueError(f"it has format {found['format']}, not {_FORMAT}: train it again")
    given: dict[str, Any] = found["options"]
    _require(isinstance(given["memory"], int) and isinstance(given["seed"], int), "options")
    route: Any = tuple(map(_text, given["route"]))
    options = OnlineOptions(**{**given, "route": route})
    scores, choices = _count(found["scores"]), _count(found["choices"])
    arms: dict[tuple[str, str], Arm] = {}
    listed = cast("list[Any]", found["arms"])
    _require(len(listed) <= _MOST_ARMS, "arms")
    for kind, model, entries in listed:
        _require(model in options.route and len(entries) <= MOST_SCORES, "arms")
        checked = [_entry(*entry) for entry in entries]
        numbers = [number for number, _, _ in checked]
        _require(numbers == sorted(set(numbers)) and (not numbers or 0 < numbers[0] <= numbers[-1] <= scores), "arms")
        arms[_text(kind), model] = Arm(math.exp(-1 / options.memory), checked)
    changes = tuple(ScoreChange(**change) for change in found["changes"])
    spent = _number(found["spent"], math.inf)
    return OnlinePolicy(options, OnlineState(arms, scores, choices, spent, changes, _text(found["version"])))


def _entry(number: object, score: object, cost: object) -> tuple[int, float, float | None]:
    return _count(number), _number(score, 1.0), None if cost is None else _number(cost, math.inf)


def _count(value: object) -> int:
    _require(isinstance(value, int) and 0 <= value < 2**53, "a count")
    return cast("int", value)


def _number(value: object, most: float) -> float:
    _require(isinstance(value, int | float) and 0 <= value <= most and math.isfinite(value), "a number")
    return float(cast("float", value))


def _text(value: object) -> str:
    _require(isinstance(value, str), "a text")
    return cast("str", value)


def _require(fits: bool, name: str) -> None:
    if not fits:
        raise ValueError(f"{name} does not fit the rest")
