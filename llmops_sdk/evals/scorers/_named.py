"""Named scorers: strings such as "exact_match" or "regex:^[A-Z]", for the command line and for files."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from llmops_sdk.errors import ConfigError
from llmops_sdk.evals._types import Scorer
from llmops_sdk.evals.scorers._decorator import FunctionScorer

__all__ = ["named_scorer", "scorer_names", "scorers_of"]

_VERSION = "1"
"""Of the functions below: it changes with them."""


def scorers_of(scorers: Any) -> list[Scorer]:
    """Return scorers: named ones for texts, and `@scorer` of plain functions.

    Args:
        scorers: A scorer, function or text, or several.

    Raises:
        ConfigError: One of them is no scorer, or its name is not known.
    """
    if isinstance(scorers, str | Scorer) or callable(scorers):
        scorers = [scorers]
    if not isinstance(scorers, Iterable) or isinstance(scorers, Mapping):
        raise ConfigError(
            f"scorers = {repr(cast('object', scorers))[:100]} is not valid: give a list of scorers", key="scorers"
        )
    return [_scorer_of(one) for one in cast("Iterable[Any]", scorers)]


def _scorer_of(value: Any) -> Scorer:
    if isinstance(value, str):
        return named_scorer(value)
    if isinstance(value, Scorer):
        return value
    if callable(value):
        return FunctionScorer(value)
    raise ConfigError(
        f'{repr(value)[:100]} is no scorer: give a function under @scorer, a Judge, or a name such as "exact_match"',
        key="scorers",
        value=value,
    )


def scorer_names() -> list[str]:
    """Return the names of `named_scorer`."""
    return sorted([*_PLAIN, *_WITH_PARAMETER, *_METRICS, "judge"])


def named_scorer(text: str) -> Scorer:
    """Return a scorer by its name, with a parameter after a colon where it takes one.

    Args:
        text: The name, such as `exact_match`, `regex:^[A-Z]`, `levenshtein:0.8` (a threshold) or `judge:correctness`.

    Raises:
        ConfigError: The name is not known, or the parameter is missing or not valid.

    Example:
        >>> from llmops_sdk.evals import Case
        >>> from llmops_sdk.evals.scorers._named import named_scorer
        >>> named_scorer("max_length:10").score(Case(item_id="1", input="", output="Hello")).value
        1.0
    """
    name, _, parameter = text.partition(":")
    name = name.strip()
    if name == "judge":
        from llmops_sdk.evals.judges._judge import Judge

        return Judge(name=parameter or "correctness")
    if name in _WITH_PARAMETER:
        if not parameter:
            raise ConfigError(f'the scorer "{name}" needs a parameter, as in "{name}:…"', key="scorers", value=text)
        return _made(text, _WITH_PARAMETER[name](parameter), None)
    threshold = _threshold(text, parameter) if parameter else None
    if name in _PLAIN:
        return _made(name, _PLAIN[name], threshold)
    if name in _METRICS:
        return _made(name, _metric(name), threshold)
    close = difflib.get_close_matches(name[:100], scorer_names(), 1)
    hint = f'; did you mean "{close[0]}"?' if close else "."
    raise ConfigError(
        f'there is no scorer "{name[:100]}"{hint} The names are {", ".join(scorer_names())}',
        key="scorers",
        value=text,
        nearest=close[0] if close else None,
    )


def _made(name: str, function: Callable[..., Any], threshold: float | None) -> FunctionScorer:
    return FunctionScorer(function, name=name[:100], version=_VERSION, threshold=threshold, parameters={"named": name})


def _threshold(text: str, parameter: str) -> float:
    try:
        return float(parameter)
    except ValueError:
        raise ConfigError(
            f'the parameter of the scorer "{text[:100]}" is no number: it is the value from which on an output passes; '
            "give a number, or look for a text with regex:PATTERN",
            key="scorers",
            value=text,
        ) from None


# --- plain functions --------------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    import orjson

    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _equals(output: Any, expected: Any) -> bool | None:
    return None if expected is None else output == expected


def _contains(output: Any, expected: Any) -> bool | None:
    return None if expected is None else _text(expected) in _text(output)


def _not_empty(output: Any) -> bool:
    return bool(output.strip() if isinstance(output, str) else output)


def _json(output: Any) -> bool:
    if not isinstance(output, str):
        return True
    import orjson

    try:
        orjson.loads(output)
    except orjson.JSONDecodeError:
        return False
    return True


def _regex(pattern: str) -> Callable[..., bool]:
    from llmops_sdk.evals.metrics import matches

    try:
        matches("", pattern)
    except ValueError as error:
        raise ConfigError(f"{error}", key="scorers", value=pattern) from None

    def regex(output: Any) -> bool:
        # In linear time, whatever the model wrote.
        return matches(_text(output), pattern, whole=False) == 1.0

    return regex


def _max_length(limit: str) -> Callable[..., bool]:
    most = _threshold(f"max_length:{limit}", limit)

    def max_length(output: Any) -> bool:
        return len(_text(output)) <= most

    return max_length


_PLAIN: Mapping[str, Callable[..., Any]] = {
    "equals": _equals,
    "contains": _contains,
    "not_empty": _not_empty,
    "json": _json,
}
_WITH_PARAMETER: Mapping[str, Callable[[str], Callable[..., Any]]] = {"regex": _regex, "max_length": _max_length}


# --- metrics ----------------------------------------------------------------------------------------------------------

_METRICS = ("bleu", "chrf", "exact_match", "groundedness", "levenshtein", "rouge", "semantic_similarity", "token_f1")


def _metric(name: str) -> Callable[..., Any]:
    def compute(output: Any, expected: Any, metadata: Mapping[str, Any]) -> Any:
        from llmops_sdk.evals import metrics

        return _adapted(name, getattr(metrics, name), _text(output), expected, metadata)

    return compute


def _adapted(name: str, function: Any, output: str, expected: Any, metadata: Mapping[str, Any]) -> Any:
    if name == "groundedness":
        found = metadata.get("context", metadata.get("documents", expected))
        return None if found is None else function(output, found).score
    if expected is None:
        return None
    # Several expected answers are all right.
    several = isinstance(expected, list) and all(isinstance(one, str) for one in cast("list[Any]", expected))
    value: Any = function([output], [expected if several else _text(expected)])
    return value["rougeL"] if name == "rouge" else value
