"""The rules of tools, made ready: domains and patterns are checked once, and a call is judged without any I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from llmops_sdk._util._optional import require
from llmops_sdk.config import ArgumentRule, ToolRule
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Finding
from llmops_sdk.guardrails.detectors.links._urls import ascii_domains, is_allowed
from llmops_sdk.guardrails.normalise import views
from llmops_sdk.guardrails.running._names import nearest
from llmops_sdk.guardrails.taint._arguments import Arguments, Leaf, UnreadableError, is_under, read_arguments
from llmops_sdk.guardrails.taint._identifiers import hosts_in
from llmops_sdk.guardrails.taint._provenance import Conversation, tainted_leaves

__all__ = ["EVERY_TOOL", "Judgement", "Predicate", "ReadyRule", "ReadyRules"]

EVERY_TOOL = "*"
"""The name of the rule for tools without one."""

Predicate = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules say about one call.

    Attributes:
        blocked: Why the call is blocked, without content, or "".
        asks: Why a person must approve it, or "".
        findings: The places in the JSON text.
        tainted: The arguments of the rule that have tainted values.
        values: The arguments, if they were read.
    """

    blocked: str = ""
    asks: str = ""
    findings: tuple[Finding, ...] = ()
    tainted: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyRule:
    """The rule of one tool.

    Attributes:
        rule: The rule as it was given.
        label: The tool's name for reasons; "*" for tools without a rule, whose names a model may invent.
        domains: `allow_domains` in ASCII.
        predicates: The functions that arguments must satisfy, by name.
        patterns: The compiled patterns, by argument.
    """

    rule: ToolRule
    label: str
    domains: frozenset[str]
    predicates: Mapping[str, Predicate]
    patterns: Mapping[str, Any]

    @property
    def demands_nothing(self) -> bool:
        """Return whether every call satisfies the rule."""
        rule = self.rule
        is_open = not (rule.untainted or self.domains or rule.arguments or self.predicates or rule.deny)
        return is_open and rule.approval == "never"

    def judge(self, arguments: str, conversation: Conversation) -> Judgement:
        """Return what the rule says about a call.

        Args:
            arguments: The arguments as JSON text.
            conversation: The texts that the model saw.
        """
        rule = self.rule
        if rule.deny:
            return Judgement(blocked=f"tool denied: {self.label}")
        if self.demands_nothing:
            return Judgement()
        try:
            read = read_arguments(arguments)
        except UnreadableError as error:
            return Judgement(blocked=f"{error}: {self.label}")
        if name := self._broken_argument(read):
            return Judgement(blocked=f"argument not allowed: {self.label}.{name}", findings=_places(read, name))
        if outside := self._outside_domains(read):
            return Judgement(blocked=f"domain not allowed: {self.label}", findings=_findings("DOMAIN", outside))
        asks = f"approval needed: {self.label}" if rule.approval == "always" else ""
        judged = [leaf for leaf in read.leaves if any(is_under(leaf.path, name) for name in rule.untainted)]
        found = tainted_leaves(judged, conversation) if judged else []
        names = tuple(name for name in rule.untainted if any(is_under(leaf.path, name) for leaf in found))
        findings = _findings("TAINTED", found)
        if not found:
            return Judgement(asks=asks, values=read.values)
        why = "tainted argument: " + ", ".join(f"{self.label}.{name}" for name in names)
        if rule.approval == "never":
            return Judgement(blocked=why, findings=findings, tainted=names)
        return Judgement(asks=why, findings=findings, tainted=names, values=read.values)

    def _outside_domains(self, read: Arguments) -> list[Leaf]:
        if not self.domains:
            return []
        return [leaf for leaf in read.leaves if isinstance(leaf.value, str) and self._leads_outside(leaf.value)]

    def _leads_outside(self, text: str) -> bool:
        return any(not is_allowed(host, self.domains) for view in views(text) for host, _, _ in hosts_in(view.text))

    def _broken_argument(self, read: Arguments) -> str:
        """Return the name of the first argument that does not satisfy its rules, or ""."""
        for name in dict.fromkeys((*self.rule.arguments, *self.predicates)):
            for value in _values_at(read.values, name.split(".")):
                limits, predicate = self.rule.arguments.get(name), self.predicates.get(name)
                if limits is not None and not self._satisfies(value, name, limits):
                    return name
                if predicate is not None and predicate(value) is not True:
                    return name
        return ""

    def _satisfies(self, value: Any, name: str, limits: ArgumentRule) -> bool:
        if isinstance(value, list):
            return all(self._satisfies(item, name, limits) for item in cast("list[Any]", value))
        if limits.enum and (isinstance(value, dict | bool) or str(value) not in limits.enum):
            return False
        if limits.minimum is not None or limits.maximum is not None:
            if isinstance(value, bool) or not isinstance(value, int | float):
                return False
            if limits.minimum is not None and not value >= limits.minimum:
                return False
            if limits.maximum is not None and not value <= limits.maximum:
                return False
        if limits.max_length is not None and not (isinstance(value, str) and len(value) <= limits.max_length):
            return False
        pattern = self.patterns.get(name)
        return pattern is None or (isinstance(value, str) and pattern.fullmatch(value) is not None)


def _values_at(values: Any, names: list[str]) -> list[Any]:
    """Return the values at a path; lists on the way are entered."""
    found: list[Any] = [values]
    for name in names:
        inner: list[Any] = []
        for value in found:
            items: list[Any] = [value]
            while items:
                item = items.pop()
                if isinstance(item, list):
                    items += cast("list[Any]", item)
                elif isinstance(item, dict) and name in item:
                    inner.append(cast("dict[str, Any]", item)[name])
        found = inner
    return found


def _findings(kind: str, leaves: list[Leaf]) -> tuple[Finding, ...]:
    return tuple(Finding(kind, leaf.start, leaf.end) for leaf in leaves)


def _places(read: Arguments, name: str) -> tuple[Finding, ...]:
    return _findings("ARGUMENT", [leaf for leaf in read.leaves if is_under(leaf.path, name)])


class ReadyRules:
    """The rules of all tools.

    Args:
        tools: The rules by the tool's name, or "*".
        predicates: Functions by "tool.argument", as in "pay.amount".

    Raises:
        ConfigError: A rule is not valid.
        MissingDependencyError: A rule has a pattern, and google-re2 is not installed.
    """

    def __init__(self, tools: Mapping[str, ToolRule | Mapping[str, Any]], predicates: Mapping[str, Predicate]) -> None:
        rules = {tool: rule if isinstance(rule, ToolRule) else ToolRule(**rule) for tool, rule in tools.items()}
        functions: dict[str, dict[str, Predicate]] = {}
        for key, predicate in predicates.items():
            tool, _, name = key.partition(".")
            if not name or not callable(predicate):
                raise ConfigError(
                    f'predicates[{key!r}]: use "tool.argument" with a function, as in "pay.amount"', key=key
                )
            functions.setdefault(tool, {})[name] = predicate
            rules.setdefault(tool, rules.get(EVERY_TOOL, ToolRule()))
        self._rules = {tool: _ready(tool, rule, functions.get(tool, {})) for tool, rule in rules.items()}
        self.trusted_tools = frozenset(tool for tool, rule in rules.items() if rule.trust_results)
        self.version = _digest(rules, sorted(predicates))

    def of(self, tool: str) -> ReadyRule | None:
        """Return the rule for a tool, or None where no rule covers it."""
        return self._rules.get(tool) or self._rules.get(EVERY_TOOL)

    def covers(self, tool: str) -> bool:
        """Return whether a call of the tool can break a rule."""
        rule = self.of(tool)
        return rule is not None and not rule.demands_nothing

    def check_definition(self, tool: str, parameters: Mapping[str, Any]) -> None:
        """Check that a tool has the arguments that its rule names: a misspelt name would protect nothing.

        Args:
            tool: The tool's name.
            parameters: The JSON schema of its arguments.

        Raises:
            ConfigError: It has not; the error has the nearest name.
        """
        ready = self._rules.get(tool)
        known = parameters.get("properties")
        if ready is None or not isinstance(known, Mapping) or not known or parameters.get("additionalProperties"):
            return
        names = list(cast("Mapping[str, Any]", known))
        for name in dict.fromkeys((*ready.rule.untainted, *ready.rule.arguments, *ready.predicates)):
            first = name.split(".")[0]
            if name not in names and first not in {*names, "*"}:
                near = nearest(first, names)
                raise ConfigError(
                    f"the rule of the tool {tool!r} names the argument {name!r}, which the tool does not have: "
                    + (f"did you mean {near!r}? " if near else "")
                    + f"Its arguments are {', '.join(names)}",
                    key=f"guardrails.tools.{tool}",
                    value=name,
                    nearest=near,
                )


def _ready(tool: str, rule: ToolRule, predicates: Mapping[str, Predicate]) -> ReadyRule:
    key = f"guardrails.tools.{tool}"
    if rule.approval == "tainted" and not rule.untainted:
        raise ConfigError(
            f'the rule of the tool {tool!r} has approval = "tainted" but no `untainted`: name the arguments that must '
            'not come from untrusted content, or use ["*"] for all',
            key=f"{key}.approval",
            value=rule.approval,
        )
    try:
        domains = ascii_domains(rule.allow_domains)
    except ConfigError as error:
        raise ConfigError(
            f"the rule of the tool {tool!r}: {error}", key=f"{key}.allow_domains", value=error.value
        ) from None
    patterns = {
        name: _compiled(tool, name, limits.pattern)
        for name, limits in rule.arguments.items()
        if limits.pattern is not None
    }
    return ReadyRule(rule=rule, label=tool, domains=domains, predicates=predicates, patterns=patterns)


def _compiled(tool: str, name: str, pattern: str) -> Any:
    re2 = require("re2", extra="guards", purpose=f"the pattern of {tool}.{name}")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error:
        raise ConfigError(
            f"the rule of the tool {tool!r}: the pattern of {name!r} is no regular expression of google-re2: change it",
            key=f"guardrails.tools.{tool}.arguments.{name}.pattern",
            value=pattern,
        ) from None


def _digest(rules: Mapping[str, ToolRule], predicates: list[str]) -> str:
    data = {tool: rule.model_dump(mode="json") for tool, rule in rules.items()}
    text = json.dumps([data, predicates], sort_keys=True)
    return "1:" + hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
