"""Read YAML that a stranger may have written: bounded, without tags, and without surprises in the values."""

from __future__ import annotations

import re
from typing import Any

from llmops_sdk._util._optional import require
from llmops_sdk.errors import ConfigError

__all__ = ["MAX_YAML_BYTES", "load_yaml"]

MAX_YAML_BYTES = 1024 * 1024
_MAX_DEPTH = 50
_MAX_VALUES = 200_000

# The core schema of YAML 1.2. That of 1.1, which PyYAML has, makes False of `no`, and a time of `12:30`.
_RESOLVERS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+",
        list("-+.0123456789"),
    ),
}


def load_yaml(content: bytes, name: str) -> Any:
    """Return the value of a YAML document.

    Aliases count as often as they are used, so that a small file cannot become a huge value, and one within itself is
    refused. Keys must be unique. Only `true`, `false`, `null` and numbers are no texts: `no` and `12:30` are.

    Args:
        content: The file's content.
        name: What errors call it.

    Raises:
        ConfigError: It is too large or deep, or not valid.
        MissingDependencyError: PyYAML is not installed.
    """
    yaml = require("yaml", extra="evals", purpose="A case file in YAML")
    if len(content) > MAX_YAML_BYTES:
        raise ConfigError(
            f"{name} has {len(content):,} bytes: YAML may have {MAX_YAML_BYTES:,}; put the items into a JSONL file",
            source=name,
        )
    try:
        text = content.decode("utf-8-sig")
        loader = _loader_class(yaml)(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _measure(node, yaml, name)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: no valid UTF-8 at byte {error.start}: save it as UTF-8", source=name) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is no valid YAML: {_problem(error)}", source=name) from error
    except RecursionError as error:
        raise ConfigError(f"{name} has more than {_MAX_DEPTH} levels", source=name) from error
    except (ValueError, TypeError) as error:  # a number that Python refuses, a key that is a list
        raise ConfigError(f"{name} has a value that cannot be read: {error}"[:500], source=name) from error


def _problem(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    where = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
    text = getattr(error, "problem", None) or " ".join(str(error).split())
    return f"{text[:300]}{where}"


def _loader_class(yaml: Any) -> Any:
    class Loader(yaml.SafeLoader):
        """A loader of its own: the resolvers of PyYAML's are shared by the whole process."""

    Loader.yaml_implicit_resolvers = {}
    for name, (pattern, first) in _RESOLVERS.items():
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(rf"^(?:{pattern})$"), first)
    Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^(?:<<)$"), ["<"])
    return Loader


def _measure(root: Any, yaml: Any, name: str) -> None:
    """Count the values of a document as if each alias were written out, and look for keys that stand twice.

    Raises:
        ConfigError: They are too many, or too deep, or a key stands twice.
    """
    sizes: dict[int, int] = {}
    above: set[int] = set()

    def size_of(node: Any, depth: int) -> int:
        known = sizes.get(id(node))
        if known is not None:
            return known
        line = node.start_mark.line + 1
        if id(node) in above or depth > _MAX_DEPTH:
            problem = "a value contains itself" if id(node) in above else f"there are more than {_MAX_DEPTH} levels"
            raise ConfigError(f"{name}: line {line}: {problem}", source=name)
        above.add(id(node))
        children: list[Any] = []
        if isinstance(node, yaml.MappingNode):
            _check_keys(node, name)
            children = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        total = 1
        for child in children:
            total += size_of(child, depth + 1)
            if total > _MAX_VALUES:
                raise ConfigError(
                    f"{name}: line {line}: more than {_MAX_VALUES:,} values, aliases written out: use a JSONL file",
                    source=name,
                )
        above.discard(id(node))
        sizes[id(node)] = total
        return total

    size_of(root, 0)


def _check_keys(node: Any, name: str) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key.value, str):
            raise ConfigError(f"{name}: line {key.start_mark.line + 1}: a key is a list or a mapping", source=name)
        if (key.tag, key.value) in seen and not key.tag.endswith(":merge"):
            raise ConfigError(
                f"{name}: line {key.start_mark.line + 1}: the key {key.value!r:.100} stands twice", source=name
            )
        seen.add((key.tag, key.value))
