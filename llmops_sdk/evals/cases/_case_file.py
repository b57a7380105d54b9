"""Case files: a task, its scorers and its items in YAML or JSONL."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from llmops_sdk.datasets import Dataset, Item
from llmops_sdk.errors import ConfigError, DatasetError
from llmops_sdk.evals.cases._import_names import import_name, is_import_name
from llmops_sdk.evals.cases._repeats import checked_repeats
from llmops_sdk.evals.cases._rule import checked_threshold
from llmops_sdk.evals.cases._suite import CaseSuite, items_of, suite_of
from llmops_sdk.evals.running._arguments import TaskArguments
from llmops_sdk.evals.scorers._named import scorer_names

__all__ = ["CaseFile", "is_case_file", "read_case_file", "scorers_named"]

_SUFFIXES = (".eval.yaml", ".eval.yml", ".eval.jsonl")
_KEYS = ("task", "scorers", "threshold", "repeats", "items", "dataset", "file", "name", "description")
_SOURCES = ("items", "dataset", "file")
_ITEM_KEYS = ("id", "input", "expected", "metadata", "source_trace_id")
_MAX_BYTES = 256 * 1024 * 1024


def is_case_file(name: str) -> bool:
    """Return whether a file's name is that of a case file: `NAME.eval.yaml`, `NAME.eval.yml` or `NAME.eval.jsonl`."""
    return name.lower().endswith(_SUFFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """What a case file says. Nothing is imported, and no other file read, before `suite`.

    Attributes:
        path: The file.
        name: The name of the experiment; by default the file's.
        task: The task, as `module:function`.
        scorers: Names of scorers, or of functions as `module:function`.
        threshold: The value from which on a score passes, for all scorers or by name.
        repeats: The most runs of a case.
        rows: The items in the file, or None.
        dataset: The name of a saved data set, or None.
        file: A file of items, relative to this one, or None.
    """

    path: Path
    name: str
    task: str
    scorers: tuple[str, ...]
    threshold: float | Mapping[str, float] | None
    repeats: int
    rows: tuple[Mapping[str, Any], ...] | None
    dataset: str | None
    file: str | None

    def load_task(self) -> Callable[..., Any]:
        """Import the task.

        Raises:
            ConfigError: It cannot be found, or cannot be called.
        """
        task = import_name(self.task, key="task", source=str(self.path))
        if not callable(task):
            raise ConfigError(
                f'{self.path}: task = "{self.task}" is {type(task).__name__}, not a function',
                source=str(self.path),
                key="task",
                value=self.task,
            )
        return task

    def load_scorers(self) -> list[Any]:
        """Return the scorers, for `evaluate`.

        Raises:
            ConfigError: One cannot be found.
        """
        return scorers_named(self.scorers, source=str(self.path))

    def load_items(self, store: Callable[[], Path | None] | None = None) -> Dataset:
        """Return the items.

        Args:
            store: Returns the store's folder for the name of a saved data set.

        Raises:
            ConfigError: They cannot be read.
            DatasetError: They cannot be read.
        """
        named = Path(self.file) if self.file is not None else self.dataset
        try:
            return items_of(self.rows, named, folder=self.path.parent, store=store)
        except DatasetError as error:
            if self.rows is None:
                raise
            raise ConfigError(f"{self.path}: items: {error}", source=str(self.path), key="items") from error

    def suite(self, store: Callable[[], Path | None] | None = None) -> CaseSuite:
        """Return the suite, with the task and the scorers imported and the items read.

        Args:
            store: As for `load_items`.

        Raises:
            ConfigError: Something of the file is not valid.
            DatasetError: The items cannot be read.
        """
        task = self.load_task()
        arguments = TaskArguments(task)

        def call(item: Item, _: Mapping[str, Any]) -> Any:
            positional, named = arguments.of(item.input)
            return task(*positional, **named)

        return suite_of(
            self.name,
            self.load_items(store),
            call,
            scorers=self.load_scorers(),
            threshold=self.threshold,
            repeats=self.repeats,
        )


def scorers_named(names: Iterable[str], *, source: str | None = None) -> list[Any]:
    """Return scorers by their names, or as `module:function`.

    Args:
        names: Such as "exact_match", "regex:^[A-Z]" or "my_scorers:polite".
        source: The file that has them, in errors.

    Raises:
        ConfigError: One cannot be found.
    """
    known = scorer_names()
    found: list[Any] = []
    for name in names:
        head = name.partition(":")[0].strip()
        if head not in known and is_import_name(name):
            found.append(import_name(name, key="scorers", source=source))
        elif head in known:
            found.append(name)
        else:
            near = difflib.get_close_matches(head, known, 1)
            raise ConfigError(
                f'{f"{source}: " if source else ""}there is no scorer "{name[:100]}"'
                + (f"; did you mean {near[0]!r}?" if near else "")
                + f' Give "module:function", or one of {", ".join(known)}',
                source=source,
                key="scorers",
                value=name,
                nearest=near[0] if near else None,
            )
    return found


# --- reading ----------------------------------------------------------------------------------------------------------


def read_case_file(path: Path) -> CaseFile:
    """Read a case file.

    YAML has one mapping. The first line of JSONL has the same keys, and each further line is an item.

    Args:
        path: The file.

    Raises:
        ConfigError: It cannot be read, or a key or a value is not valid.
        MissingDependencyError: It is YAML, and PyYAML is not installed.
    """
    source = str(path)
    try:
        if not path.is_file():
            raise ConfigError(f"{source} cannot be read: there is no such file", source=source)
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{source} has more than {_MAX_BYTES:,} bytes: name a `file` of items", source=source)
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{source} cannot be read: {error.strerror}", source=source) from error
    if path.name.lower().endswith(".jsonl"):
        values = _lines(content, source)
    else:
        from llmops_sdk.evals.cases._yaml_text import load_yaml

        values = load_yaml(content, source)
    if not isinstance(values, dict):
        raise ConfigError(f"{source} has no mapping with the keys {', '.join(_KEYS[:5])} and more", source=source)
    return _case_file(path, cast("dict[Any, Any]", values))


def _lines(content: bytes, source: str) -> Any:
    rows: list[Any] = []
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8")))
        except UnicodeDecodeError as error:
            raise ConfigError(f"{source}: line {number} is no valid UTF-8: save it as UTF-8", source=source) from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{source}: line {number} is no valid JSON: {error}"[:500], source=source) from error
    if not rows or not isinstance(rows[0], dict) or "task" not in rows[0]:
        raise ConfigError(
            f'{source}: the first line has the task, as in {{"task": "app:answer", "scorers": ["exact_match"]}}',
            source=source,
        )
    head = cast("dict[str, Any]", rows[0])
    if len(rows) > 1 and "items" in head:
        raise ConfigError(f"{source}: items are both in the first line and below it", source=source, key="items")
    return {**head, "items": rows[1:]} if len(rows) > 1 else head


def _case_file(path: Path, values: dict[Any, Any]) -> CaseFile:
    source = str(path)
    _check_keys(values, _KEYS, "", source)
    given = [key for key in _SOURCES if values.get(key) is not None]
    if len(given) != 1:
        raise ConfigError(
            f"{source}: give one of {', '.join(_SOURCES)}, and not {' and '.join(given) or 'none'}",
            source=source,
            key=given[1] if len(given) > 1 else "items",
        )
    scorers = values.get("scorers", [])
    return CaseFile(
        path=path,
        name=_text(values, "name", source) or path.name.rpartition(".eval.")[0] or path.name,
        task=_text(values, "task", source) or "",
        scorers=tuple(_texts([scorers] if isinstance(scorers, str) else scorers, "scorers", source)),
        threshold=_in_file(checked_threshold, values.get("threshold"), source),
        repeats=_in_file(checked_repeats, values.get("repeats", 1), source),
        rows=_rows(values["items"], source) if "items" in given else None,
        dataset=_text(values, "dataset", source),
        file=_text(values, "file", source),
    )


def _in_file(check: Callable[[object], Any], value: object, source: str) -> Any:
    try:
        return check(value)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}", source=source, key=error.key, value=value) from error


def _check_keys(values: Mapping[Any, Any], known: tuple[str, ...], place: str, source: str) -> None:
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            raise ConfigError(
                f"{source}: {place}the key {str(key)[:100]!r} is unknown"
                + (f"; did you mean {near[0]!r}?" if near else f": the keys are {', '.join(known)}"),
                source=source,
                key=str(key),
                nearest=near[0] if near else None,
            )


def _text(values: Mapping[str, Any], key: str, source: str) -> str | None:
    value = values.get(key)
    if value is None and key != "task":
        return None
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{source}: {key} is {value!r:.100}: give a text", source=source, key=key, value=value)
    return value


def _texts(values: Any, key: str, source: str) -> list[str]:
    given: list[Any] = cast("list[Any]", values) if isinstance(values, list) else [None]
    if any(not isinstance(one, str) for one in given):
        raise ConfigError(f"{source}: {key} is {values!r:.100}: give a list of texts", source=source, key=key)
    return given


def _rows(values: Any, source: str) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(values, list) or not values:
        shown = repr(cast("object", values))[:100]
        raise ConfigError(f"{source}: items is {shown}: give a list of items", source=source, key="items")
    rows: list[Mapping[str, Any]] = []
    for number, row in enumerate(cast("list[Any]", values), 1):
        if not isinstance(row, dict) or "input" not in row:
            raise ConfigError(
                f"{source}: item {number} has no input: give a mapping with {', '.join(_ITEM_KEYS[:4])}",
                source=source,
                key="items",
            )
        _check_keys(cast("dict[Any, Any]", row), _ITEM_KEYS, f"item {number}: ", source)
        rows.append(cast("dict[str, Any]", row))
    return tuple(rows)
