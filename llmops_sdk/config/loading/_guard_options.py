"""The names of guards and their options in the configuration.

A misspelt kind or option is an error also where the guard is off. A name may also lead to a guard in code.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from llmops_sdk.config.loading._keys import KeyPath, dotted
from llmops_sdk.config.loading._layers import Layer
from llmops_sdk.config.loading._problems import Problem

__all__ = ["COMMON_OPTIONS", "GUARD_OPTIONS", "guard_option_problems", "is_import_path"]

COMMON_OPTIONS = ("on_error", "timeout", "sample", "fallback_answer", "fallback_model")
"""The options that every guard takes."""
GUARD_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "cards": ("hashed",),
    "pii": ("kinds", "regions", "hashed"),
    "secrets": ("hashed",),
    "injection": ("threshold", "max_chars", "version", "hashed"),
    "exfiltration": ("allow_domains", "links", "hashed"),
    "canary": ("tokens", "hashed"),
    "topics": ("deny", "allow", "hashed"),
    "profanity": ("words", "hashed"),
    "language": ("allow", "threshold"),
    "length": ("max_chars", "max_tokens", "min_chars"),
    "json": ("schema",),
    "grounded": ("threshold", "hashed"),
    "judge": ("policy", "provider", "model", "threshold", "max_chars"),
    "toxicity": ("classifier", "provider", "model", "threshold", "max_chars"),
    "classifier": (
        "path",
        "label",
        "threshold",
        "activation",
        "temperature",
        "window",
        "max_chars",
        "version",
        "hashed",
    ),
    "presidio": ("kinds", "language", "threshold", "analyzer", "max_chars", "hashed"),
}
"""The further options of each kind. The guards are above this package; a test compares the table with them."""

_ACTIONS = frozenset({"pass", "flag", "fix", "redact", "mask", "reask", "fallback", "block", "keep_last4"})
_IMPORT_PATH = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def is_import_path(name: str) -> bool:
    """Return whether a guard's name is "module:attribute", not "kind" or "kind:action".

    Example:
        >>> [is_import_path(name) for name in ("shop.guards:Orders", "guards:orders", "cards:orders", "crads:block")]
        [True, True, False, False]
    """
    module, _, attribute = name.partition(":")
    if module in GUARD_OPTIONS or _IMPORT_PATH.fullmatch(name) is None:
        return False
    # "crads:block" is a misspelt kind.
    return "." in module or attribute not in _ACTIONS


def guard_option_problems(layer: Layer) -> Iterator[Problem]:
    """Yield the problems of unknown kinds and unknown options in the tables of options of one layer."""
    tables: list[KeyPath] = [("guardrails", "options")]
    tables += [("models", name, *tables[0]) for name in _table(layer.data, ("models",))]
    for path in tables:
        for kind, options in _table(layer.data, path).items():
            known = GUARD_OPTIONS.get(kind)
            if known is None:
                # Only the guard itself knows its options.
                if is_import_path(kind):
                    continue
                yield _unknown(layer, (*path, kind), GUARD_OPTIONS, f"there is no guard {kind!r}")
            elif isinstance(options, Mapping):
                names = (*known, *COMMON_OPTIONS)
                for name in cast("Mapping[str, Any]", options):
                    if name not in names:
                        why = f"there is no option {name!r} of the guard {kind!r}"
                        yield _unknown(layer, (*path, kind, name), dict.fromkeys(names), why)


def _table(data: Mapping[str, Any], path: KeyPath) -> Mapping[str, Any]:
    found: Any = data
    for name in path:
        found = cast("Mapping[str, Any]", found).get(name) if isinstance(found, Mapping) else None
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def _unknown(layer: Layer, path: KeyPath, known: Mapping[str, Any], why: str) -> Problem:
    """Return the problem of an unknown name. Its value is not shown: nobody knows what it is."""
    source = layer.source_at(path).location
    near = next(iter(difflib.get_close_matches(path[-1], known, n=1, cutoff=0.4)), None)
    hint = f": did you mean {near!r}?" if near else "."
    text = f"{source}: unknown key {dotted(path)}: {why}{hint} The known ones are {', '.join(known)}."
    nearest = None if near is None else dotted((*path[:-1], near))
    return Problem(message=text, source=source, key=dotted(path), nearest=nearest)
