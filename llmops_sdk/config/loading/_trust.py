"""What a configuration file may decide that was only found: models and policies, not where data and keys go.

Whoever clones a repository has its `llmops.toml` in the current folder. Such a file has full rights only where the
program is part of its project, because then the project's code runs anyway, or after `llmops trust`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

from llmops_sdk.config._secrets import PLAIN_OPTIONS, masked_repr
from llmops_sdk.config.loading._files import FoundFile, ProcessEnvironment, find_files, read_file
from llmops_sdk.config.loading._guard_options import is_import_path
from llmops_sdk.config.loading._keys import KeyPath, dotted, lookup
from llmops_sdk.config.loading._layers import Layer, leaves
from llmops_sdk.config.loading._problems import Problem
from llmops_sdk.config.loading._trust_list import digest_of, is_trusted

__all__ = ["ALLOWED", "CHECKED", "REFUSED", "FileTrust", "found_trust", "named_trust", "rule_of", "trust_of"]

_Check: TypeAlias = Callable[[Any, Path], bool]

_AWAY = "decides where data goes"
_KEY = "decides where a key goes"
_HERE = "decides in which folder data lies"
_CONTENT = "lets prompts and answers leave the machine"
_OPTION = "is not a plain option of a model"

ALLOWED = frozenset({
    "enabled", "service", "prices", "retry", "fallback", "timeout", "limits", "breaker", "hedge", "budgets", "weights",
    "balance", "guardrails", "capture", "router", "context_window", "tools", "images", "schema",
    "cache.exact", "cache.ttl", "cache.max_bytes", "cache.namespace", "cache.sampled", "cache.tool_calls",
    "cache.tags", "cache.stale_while_revalidate", "cache.negative_ttl", "cache.semantic",
    "store.enabled", "store.max_bytes", "store.retention_days", "store.segment_bytes", "store.segment_seconds",
    "store.fsync", "store.columns", "store.compaction", "store.thinning", "store.network",
    "export.enabled", "export.exporters", "export.protocol", "export.timeout", "export.filter", "export.outbox",
    "export.outbox_bytes", "export.outbox_days", "export.metrics.exporters", "export.metrics.protocol",
    "export.metrics.timeout", "export.logs.exporters", "export.logs.protocol", "export.logs.timeout",
    "tracing", "redaction.patterns", "providers.warm_up",
})  # fmt: skip
"""Keys and sections that every file may set. `models.<name>.retry` follows `retry`."""

REFUSED: Mapping[str, str] = {
    "base_url": _AWAY,
    "api_key_env": _KEY,
    "cache.path": _HERE,
    "cassettes.folder": _HERE,
    "export.endpoint": _AWAY,
    "export.traces_endpoint": _AWAY,
    "export.allow_attributes": _CONTENT,
    "export.headers": _KEY,
    "export.destinations": _AWAY,
    "export.metrics.endpoint": _AWAY,
    "export.metrics.headers": _KEY,
    "export.logs.endpoint": _AWAY,
    "export.logs.headers": _KEY,
    "shared.url": _AWAY,
    "shared.namespace": "decides which programs share",
    "evaluators": "decides which code and which SQL run",
    "alerts": "decides which SQL runs, and who is told",
    "slo": "decides which SQL runs, and who is told",
    "notify": "decides what runs and what leaves the machine",
    "watch": "opens a port and pings a server",
    "drift": "decides which SQL and which model run",
    "canaries": "decides which models are called, and which code runs",
    "ui": "lets the page call models",
    "redaction.hash_key_env": "decides which key hides redacted values",
}
"""Keys that only a trusted file may set, and why."""


def _names_no_url(value: Any, _root: Path) -> bool:
    texts: Sequence[object] = cast("list[object]", value) if isinstance(value, list) else [value]
    return not any(isinstance(text, str) and "://" in text for text in texts)


def _is_inside(value: Any, root: Path) -> bool:
    inside = Path(os.path.realpath(root))
    found = Path(os.path.realpath(root / value)) if isinstance(value, str | Path) else inside
    return found != inside and found.is_relative_to(inside)


def _names_no_code(value: Any, _root: Path) -> bool:
    names: Sequence[object] = cast("list[object]", value) if isinstance(value, list) else [value]
    return not any(isinstance(name, str) and is_import_path(name) for name in names)


def _is_plain_embedder(value: Any, _root: Path) -> bool:
    return isinstance(value, str) and (value == "static" or value.startswith("litellm:")) and "://" not in value


_GUARDS = ("names code that runs", _names_no_code)
CHECKED: Mapping[str, tuple[str, _Check]] = {
    "model": (_AWAY, _names_no_url),
    "fallbacks": (_AWAY, _names_no_url),
    "deployments": (_AWAY, _names_no_url),
    "route": (_AWAY, _names_no_url),
    "router.pin": (_AWAY, _names_no_url),
    "router.path": ("reads a file outside the project", _is_inside),
    "router.verify": ("names code that runs", lambda value, _root: value == "none"),
    "cache.semantic.embedder": ("loads files of a model, or decides where data goes", _is_plain_embedder),
    "cassettes.records": (_AWAY, _names_no_url),
    "cassettes.mode": ("records prompts and answers into a file", lambda value, _root: value == "replay"),
    "store.path": ("puts the store outside the project", _is_inside),
    "export.content": (_CONTENT, lambda value, _root: value is False),
    "export.host_content": (_CONTENT, lambda value, _root: value is False),
    "guardrails.options.model": (_AWAY, _names_no_url),
    "guardrails.input": _GUARDS,
    "guardrails.output": _GUARDS,
    "guardrails.tool_arguments": _GUARDS,
    "guardrails.tool_results": _GUARDS,
    "guardrails.tool_definitions": _GUARDS,
    "redaction.enabled": ("turns redaction off", lambda value, _root: value is True),
}
"""Keys whose value decides: why it may be refused, and whether it is allowed."""

_GUARD_MODELS = frozenset({"model", "fallback_model"})
"""The options of guards that name a model."""
_LOCAL = frozenset({"store.path", "cache.path", "cassettes.folder"})
_SENDS_NOTHING = frozenset({"model", "fallbacks", "deployments", "route", "router.pin", "cassettes.records"})


def rule_of(path: KeyPath) -> str:
    """Return the rule of a key: its dotted name without `models.<name>`, or what decides for it."""
    parts = path[2:] if path[0] == "models" and len(path) > 2 else path
    if parts[:2] == ("guardrails", "options") and not _GUARD_MODELS.isdisjoint(parts[3:]):
        return "guardrails.options.model"
    names = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    return next((name for name in names if name in ALLOWED or name in REFUSED or name in CHECKED), names[0])


_DELETES = frozenset({"store.max_bytes", "store.retention_days", "store.thinning"})


def _reason(path: KeyPath, value: Any, root: Path, *, own_store: bool) -> str | None:
    """Return why an untrusted file may not set this value, or None."""
    if value == {}:
        return None
    parts = path[2:] if path[0] == "models" else path
    if parts[:1] == ("options",):
        names = parts[2:] if parts[1:2] == ("extra",) else parts[1:]
        return None if names[:1] and names[0] in PLAIN_OPTIONS else _OPTION
    rule = rule_of(path)
    if rule in ALLOWED:
        return None if own_store or rule not in _DELETES else "deletes from a store that the file does not name"
    why, is_allowed = CHECKED.get(rule, (None, None))
    if is_allowed is not None:
        return None if is_allowed(value, root) else why
    # An unknown key has an error of its own.
    return REFUSED.get(rule, "needs a trusted file") if lookup(path) is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTrust:
    """How far a file is trusted that was only found.

    Attributes:
        path: The file.
        root: The project's root.
        reason: Why it has full rights, or "" if it has not.
        refused: The keys that need full rights, each with its value and why.
    """

    path: Path
    root: Path
    reason: str
    refused: tuple[tuple[KeyPath, Any, str], ...]

    def problems(self, *, local_only: bool = False) -> list[Problem]:
        """Return one problem of all keys that the file may not set; `local_only` of those that name folders."""
        refused = [one for one in self.refused if not (local_only and rule_of(one[0]) not in _LOCAL)]
        if self.reason or not refused:
            return []
        keys = "; ".join(_shown(*one) for one in refused)
        text = (
            f"{self.path}: this file was only found in the current folder or above it, so it may not decide this: "
            f"{keys}. Read the file. If you trust it, run `llmops trust` in this folder once, or name the file with "
            f"LLMOPS_CONFIG_FILE. Programs below {self.root} need neither."
        )
        return [Problem(message=text, source=str(self.path), key=dotted(refused[0][0]))]

    def descriptions(self) -> list[str]:
        """Return each key that needs full rights, with its value and why."""
        return [_shown(*one) for one in self.refused]

    def without_refused(self, layer: Layer) -> Layer:
        """Return the layer without the refused keys that only matter to a program that sends something."""
        data = layer.data
        for path, _, _ in () if self.reason else self.refused:
            if rule_of(path) not in _LOCAL | _SENDS_NOTHING:
                data = _without(data, _whole(path))
        return Layer(data, layer.source, layer.sources)


def _whole(path: KeyPath) -> KeyPath:
    """Return the path of the table to leave out with a key: without its required keys it would be an error."""
    if path[:2] == ("export", "destinations"):
        return path[:2]
    return path[:1] if path[0] in ("slo", "notify") else path


def _shown(path: KeyPath, value: Any, why: str) -> str:
    return f"{dotted(path)} = {masked_repr(path, value)} {why}"


def _without(data: dict[str, Any], path: KeyPath) -> dict[str, Any]:
    rest = {name: value for name, value in data.items() if name != path[0]}
    inner = data.get(path[0])
    if len(path) > 1 and isinstance(inner, dict):
        rest[path[0]] = _without(cast("dict[str, Any]", inner), path[1:])
    return rest


def trust_of(file: Path, layer: Layer, process: ProcessEnvironment, root: Path, *, own_store: bool = True) -> FileTrust:
    """Return how far a file is trusted that was only found.

    Args:
        file: The file.
        layer: Its values.
        process: The environment.
        root: The project's root.
        own_store: Whether the store is the project's own; False if a variable or an argument names it.
    """
    refused = tuple(
        (path, value, why)
        for path, value in leaves(layer.data)
        if (why := _reason(path, value, root, own_store=own_store)) is not None
    )
    reason = ""
    if process.program is not None and process.program.is_relative_to(os.path.realpath(root)):
        reason = "the program is part of its project"
    elif refused and is_trusted(process, file, digest_of(layer.data)):
        reason = "trusted with `llmops trust`"
    return FileTrust(path=file, root=root, reason=reason, refused=refused)


def named_trust(file: Path, process: ProcessEnvironment) -> tuple[FileTrust, Layer]:
    """Return how far a file is trusted where the search finds it, and its values."""
    layer = read_file(file)
    return trust_of(file, layer, process, file.parent), layer


def found_trust(process: ProcessEnvironment) -> list[tuple[FileTrust, Layer]]:
    """Return how far each file is trusted that the search finds from the current folder, and its values."""
    found = find_files(process)
    files: list[FoundFile] = [file for file in (found.config, found.pyproject) if file is not None]
    layers = [(file.path, read_file(file)) for file in files]
    return [(trust_of(path, layer, process, found.root), layer) for path, layer in layers if layer.data]
