"""Annotate: give a score to a trace, a span or a session, and take it back."""

from __future__ import annotations

import getpass
import math
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmops_sdk._util._usage import UsageError
from llmops_sdk.config import current
from llmops_sdk.errors import StoreError
from llmops_sdk.store._record_writer import RecordWriter, ScoreRecord, open_record_writer
from llmops_sdk.ui._answers import Answer

__all__ = ["Annotations", "source_of"]

_NAME = re.compile(r"[^\W_][\w .:/@+-]{0,59}")
_MAX_COMMENT = 4_000
_MAX_ID = 500


class Annotations:
    """Writes the scores of one application into its store.

    Args:
        folder: The store's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._writer: RecordWriter | None = None

    def put(self, body: Mapping[str, Any]) -> Answer:
        """Store a score, or with `undo` take back the one of the same target, name and source.

        The later score of a source replaces the earlier one. Taking back writes a score without a value.

        Raises:
            StoreError: The store is off or cannot be written.
            UsageError: The target, the name or the value is not valid.
        """
        name, source = body.get("name"), source_of(body.get("by"))
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError("a score needs a name of at most 60 letters, digits, spaces or any of _ . : / @ + -")
        undo = body.get("undo") is True
        value, label = (None, None) if undo else _value(body.get("value"), body.get("label"))
        comment = None if undo else _text(body, "comment", _MAX_COMMENT)
        target = {key: _text(body, key, _MAX_ID) for key in ("trace_id", "span_id", "session_id")}
        _check_target(target)
        record = ScoreRecord(
            **target, name=name, value=value, label=label, comment=comment, source=source, time_ns=time.time_ns()
        )
        with self._lock:
            self._open().write(record)
        return Answer({**target, "name": name, "value": value, "label": label, "source": source, "undone": undo})

    def _open(self) -> RecordWriter:
        if self._writer is None:
            settings = current()
            store = settings.store.model_copy(update={"path": self._folder})
            self._writer = open_record_writer(settings.model_copy(update={"store": store}))
        if self._writer is None:
            raise StoreError("the store is off: turn it on with [store] enabled = true", path=str(self._folder))
        return self._writer

    def close(self) -> None:
        """Seal what was written."""
        with self._lock:
            if self._writer is not None:
                self._writer.close()


def source_of(given: object) -> str:
    """Return the source of a person's scores: "ui:" and the name, or that of the account.

    Raises:
        UsageError: The name is not valid.
    """
    if given is None or given == "":
        try:
            given = getpass.getuser()
        except (OSError, KeyError):
            given = "user"
    if not isinstance(given, str) or not _NAME.fullmatch(given):
        raise UsageError("by must be a name of at most 60 letters, digits, spaces or any of _ . : / @ + -")
    return f"ui:{given}"


def _value(value: object, label: object) -> tuple[float | None, str | None]:
    if label is not None and not (isinstance(label, str) and 0 < len(label) <= 200):
        raise UsageError("label must be a text of at most 200 characters")
    if isinstance(value, bool):
        return float(value), label or str(value).lower()
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value), label
    if value is None and label is not None:
        return None, label
    raise UsageError("a score needs a value (a finite number, true or false) or a label")


def _text(body: Mapping[str, Any], key: str, longest: int) -> str | None:
    text = body.get(key)
    if text is None or text == "":
        return None
    if not isinstance(text, str) or len(text) > longest:
        raise UsageError(f"{key} must be a text of at most {longest:,} characters")
    return text.encode("utf-8", "replace").decode()


def _check_target(target: Mapping[str, str | None]) -> None:
    if target["session_id"] is not None:
        if target["trace_id"] or target["span_id"]:
            raise UsageError("give session_id alone, or trace_id and for a span span_id")
        return
    if target["trace_id"] is None:
        raise UsageError("give trace_id, and for a span span_id; or session_id")
    for key, digits in (("trace_id", 32), ("span_id", 16)):
        text = target[key]
        if text is not None and not re.fullmatch(f"[0-9a-f]{{{digits}}}", text):
            raise UsageError(f"{key} must have {digits} hex digits")
