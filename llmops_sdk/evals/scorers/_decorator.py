"""`@scorer`: make a scorer of a function."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast, overload

from llmops_sdk._util._callables import call_style_of
from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.evals._types import Case, Score, ScoreValue
from llmops_sdk.evals.identity._callable_identity import callable_digest, callable_name
from llmops_sdk.evals.scorers._values import score_of

__all__ = ["MAX_NAME", "FunctionScorer", "scorer"]

MAX_NAME = 100  # characters
_PARTS = ("output", "expected", "input", "metadata", "item_id", "repeat", "trace_id", "case")


@public("llmops_sdk.evals")
class FunctionScorer:
    """A scorer that calls a function; `@scorer` makes it. Calling it calls the function.

    Attributes:
        name: The column of its scores.
        version: The version that the decorator was given, or None.
        threshold: The value from which on an output passes, or None.
        higher_is_better: Whether a larger value is a better one.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        version: str | None = None,
        higher_is_better: bool = True,
        threshold: float | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = checked_name(callable_name(function) if name is None else name)
        self.version = version
        self.threshold = threshold
        self.higher_is_better = higher_is_better
        self.is_async = call_style_of(function) == "coroutine"
        self._function = function
        self._parts = _parts_of(function, self.name)
        self._parameters = dict(parameters or {})
        self.__wrapped__ = function
        self.__doc__ = function.__doc__
        self.__name__ = self.name

    @property
    def identity(self) -> dict[str, Any]:
        """Return what the scores depend on, as JSON: the version, the threshold, and a digest of the code."""
        return {
            "kind": "function",
            "name": self.name,
            "version": self.version,
            "threshold": self.threshold,
            "parameters": self._parameters,
            "code": callable_digest(self._function),
        }

    def score(self, case: Case) -> ScoreValue | Awaitable[ScoreValue]:
        """Score a case.

        Args:
            case: The output, with what belongs to it.

        Raises:
            TypeError: The function returned something that is no score.
            ValueError: It returned a number that is not finite.
        """
        arguments = {part: case if part == "case" else getattr(case, part) for part in self._parts}
        value = self._function(**arguments)
        return self._later(value) if inspect.isawaitable(value) else self._scored(value)

    async def _later(self, value: Awaitable[Any]) -> Score | None:
        return self._scored(await value)

    def _scored(self, value: Any) -> Score | None:
        return score_of(value, self.threshold, higher_is_better=self.higher_is_better)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<scorer {self.name}>"


def checked_name(name: str) -> str:
    """Return a scorer's name.

    Raises:
        ConfigError: It is empty, too long, or has characters that cannot be printed.
    """
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise ConfigError(
            f"{name[:MAX_NAME]!r} is no name of a scorer: give 1 to {MAX_NAME} printable characters",
            key="name",
            value=name,
        )
    return name


def _parts_of(function: Callable[..., Any], name: str) -> tuple[str, ...]:
    """Return the parts of a case that a function takes.

    Raises:
        ConfigError: It takes another argument, or cannot be called by names.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = ()
    parts: list[str] = []
    for one in parameters:
        if one.kind is inspect.Parameter.VAR_KEYWORD or one.kind is inspect.Parameter.VAR_POSITIONAL:
            continue
        if one.name in _PARTS and one.kind is not inspect.Parameter.POSITIONAL_ONLY:
            parts.append(one.name)
        elif one.default is inspect.Parameter.empty:
            raise ConfigError(
                f"the scorer {name} has the argument {one.name!r}: a scorer's arguments are named among "
                f"{', '.join(_PARTS)}",
                key=one.name,
                value=name,
            )
    if not parts:
        raise ConfigError(
            f"the scorer {name} takes nothing to score: name an argument among {', '.join(_PARTS)}",
            key="arguments",
            value=name,
        )
    return tuple(parts)


@overload
def scorer(function: Callable[..., Any], /) -> FunctionScorer: ...
@overload
def scorer(
    *,
    name: str | None = None,
    version: str | None = None,
    higher_is_better: bool = True,
    threshold: float | None = None,
) -> Callable[[Callable[..., Any]], FunctionScorer]: ...
def scorer(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    version: str | None = None,
    higher_is_better: bool = True,
    threshold: float | None = None,
) -> Any:
    """Make a scorer of a function, sync or async.

    The function names what it wants among `output`, `expected`, `input`, `metadata`, `item_id`, `repeat`, `trace_id`
    and `case`. It returns a number, True or False, a label, a `Score`, or None where it does not apply. What it raises
    is a failure of this score alone.

    An edit of the function, of what it calls in the application, or of the version means that stored scores are not
    used again. Files and services that it reads are not seen: change the version with them.

    Args:
        function: The function.
        name: The column of its scores; by default the function's name.
        version: A text that you change when something else that the scores depend on has changed.
        higher_is_better: Whether a larger value is a better one.
        threshold: The value from which on an output passes, or None.

    Raises:
        ConfigError: The function has another argument, or the name is not valid.

    Example:
        >>> from llmops_sdk.evals import Case, scorer
        >>> @scorer(threshold=0.5)
        ... def brevity(output: str) -> float:
        ...     return 1 / (1 + len(output) / 100)
        >>> brevity.score(Case(item_id="1", input="Hello?", output="Hi")).passed
        True
    """

    def decorate(function: Callable[..., Any]) -> FunctionScorer:
        if not callable(cast("object", function)):
            raise ConfigError(f"@scorer expects a function, got {function!r}", key="function", value=function)
        return FunctionScorer(
            function, name=name, version=version, higher_is_better=higher_is_better, threshold=threshold
        )

    return decorate if function is None else decorate(function)
