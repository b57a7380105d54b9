"""What `llmops doctor` finds, from the command itself in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import orjson

from llmops_sdk.errors import StoreError
from llmops_sdk.ui._answers import Answer
from llmops_sdk.ui._asked import Asked

__all__ = ["doctor"]

_SECONDS = 20.0
_COLUMNS = (("state", "State", "status"), ("part", "Part", "text"), ("what", "What", "text"),
            ("value", "Value", "text"), ("source", "From", "text"))  # fmt: skip


def doctor(asked: Asked) -> Answer:
    """Return the findings, what is broken first.

    Raises:
        StoreError: The command did not end in time, or failed.
    """
    # -P: never import modules from the working folder.
    command = [sys.executable, "-P", "-m", "llmops_sdk", "doctor", "--all", "--format", "json"]
    command += ["--store", str(asked.folder)]
    try:
        ran = subprocess.run(command, capture_output=True, check=False, timeout=_SECONDS)  # noqa: S603 - our own
        found: list[dict[str, Any]] = orjson.loads(ran.stdout)
    except (subprocess.TimeoutExpired, orjson.JSONDecodeError) as error:
        raise StoreError("llmops doctor gave no answer; run it in a terminal", path=str(asked.folder)) from error
    order = {"broken": 0, "note": 1}
    found.sort(key=lambda one: order.get(one["state"], 2))
    counts = {state: sum(one["state"] == state for one in found) for state in ("broken", "note", "ok")}
    data = {
        "facts": [
            {"label": label, "value": counts[state], "kind": "count", "hint": ""}
            for label, state in (("Broken", "broken"), ("Worth a note", "note"), ("As expected", "ok"))
        ],
        "charts": [],
        "tables": [
            {
                "title": "Findings",
                "columns": [{"name": name, "label": label, "kind": kind} for name, label, kind in _COLUMNS],
                "rows": [[one[name] for name, _, _ in _COLUMNS] for one in found],
                "empty": "Nothing was found.",
            }
        ],
    }
    return Answer(data, command="llmops doctor --all")
