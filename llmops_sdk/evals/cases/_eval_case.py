"""`@eval_case`: a test function that runs on each item of a data set, with scorers and a verdict over repeats."""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast

from llmops_sdk.errors import ConfigError
from llmops_sdk.evals.cases._repeats import CaseVerdict, checked_repeats
from llmops_sdk.evals.cases._rule import checked_threshold

if TYPE_CHECKING:
    from llmops_sdk.datasets import Dataset, Item
    from llmops_sdk.evals.cases._suite import CaseSuite

__all__ = ["ITEM_ARGUMENT", "EvalCase", "EvalCaseFunction", "case_of", "eval_case"]

ITEM_ARGUMENT = "llmops_case_item"
"""The argument that pytest sees instead of those that an item gives."""
_ATTRIBUTE = "__llmops_eval_case__"

_P = ParamSpec("_P")
_R_co = TypeVar("_R_co", covariant=True)
_R = TypeVar("_R")


class EvalCaseFunction(Protocol[_P, _R_co]):
    """A function under `@eval_case`. Calling it calls the function."""

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co: ...

    def run(self, **arguments: Any) -> dict[str, CaseVerdict]:
        """Run all cases, and return the verdict of each by its item's id.

        Args:
            arguments: The arguments that pytest's fixtures would give.

        Raises:
            ConfigError: The decorator's arguments are not valid.
            DatasetError: The items cannot be read.
        """
        ...


def eval_case(
    *,
    cases: Iterable[Any] | None = None,
    dataset: Dataset | str | Path | None = None,
    scorers: Any = (),
    threshold: float | Mapping[str, float] | None = None,
    repeats: int = 1,
    id: str | Callable[[Item], str] | None = None,  # noqa: A002 - the public contract
) -> Callable[[Callable[_P, _R]], EvalCaseFunction[_P, _R]]:
    """Make a test function run on each item: under pytest as one test an item, elsewhere by its method `run`.

    If every input is a mapping with a key for a parameter of the function, the function gets these keys as keyword
    arguments, as a task of `evaluate` does. Otherwise its first parameter gets the input. Parameters called `expected`,
    `metadata` and `item_id` get those of the item. All others are fixtures of pytest. The function returns the output,
    which the scorers judge, or asserts by itself; it may be async, and then runs in an event loop of its own.

    A case passes if each score does. It runs again, at most `repeats` times, until its verdict is clear: once where it
    agrees with what it has always done, twice without such a history, and as often as allowed where runs disagree. Then
    it is undecided: pytest reports it as flaky.

    Args:
        cases: Rows with `input`, `expected` and more, or inputs. Give this or `dataset`.
        dataset: A `Dataset`, the name of a saved one, or a file, relative to that of the function.
        scorers: As for `evaluate`: functions under `@scorer`, judges, or names such as "exact_match".
        threshold: The value from which on a score passes, for all scorers or by name. Without one, the scorer decides.
        repeats: The most runs of a case, from 1 to 1,000.
        id: The column of the items' ids, or a function that returns an item's id.

    Raises:
        ConfigError: An argument is not valid.

    Example:
        >>> import llmops_sdk as llmops
        >>> rows = [{"id": "paris", "input": "Paris", "expected": "PARIS"}]
        >>> @llmops.eval_case(cases=rows, scorers=["equals"])
        ... def test_shout(city: str) -> str:
        ...     return city.upper()
        >>> test_shout.run()["paris"].outcome
        'pass'
    """
    if (cases is None) == (dataset is None):
        raise ConfigError("@eval_case: give one of cases and dataset", key="cases")
    if isinstance(cases, str | bytes | Mapping):
        raise ConfigError("@eval_case: cases is a list of rows or inputs", key="cases")
    checked = EvalCase(
        cases=None if cases is None else list(cases),
        dataset=dataset,
        scorers=scorers,
        threshold=checked_threshold(threshold),
        repeats=checked_repeats(repeats),
        id=id,
    )

    def decorate(function: Callable[_P, _R]) -> EvalCaseFunction[_P, _R]:
        return checked.decorate(function)

    return decorate


def case_of(function: object) -> EvalCase | None:
    """Return what `@eval_case` noted on a function, or None for any other object.

    Args:
        function: The function, or a bound method.
    """
    plain = getattr(function, "__func__", function) if inspect.ismethod(function) else function
    found = plain.__dict__.get(_ATTRIBUTE) if inspect.isfunction(plain) else None
    return found if isinstance(found, EvalCase) else None


class EvalCase:
    """What `@eval_case` was given, and the function."""

    def __init__(
        self,
        *,
        cases: list[Any] | None,
        dataset: Dataset | str | Path | None,
        scorers: Any,
        threshold: float | Mapping[str, float] | None,
        repeats: int,
        id: str | Callable[[Item], str] | None,  # noqa: A002 - as in `eval_case`
    ) -> None:
        self._cases = cases
        self._dataset = dataset
        self._scorers = scorers
        self._threshold = threshold
        self._repeats = repeats
        self._id = id

    def decorate(self, function: Callable[..., Any]) -> Any:
        """Return a function that calls the given one, and has the method `run`.

        Raises:
            ConfigError: It is no function.
        """
        if not inspect.isfunction(function):
            raise ConfigError(f"@eval_case expects a function, got {function!r:.100}", key="function")
        self.function = function

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        setattr(call, _ATTRIBUTE, self)
        cast("Any", call).run = self.run
        return call

    def suite(self, *, bound: bool = False, store: Callable[[], Path | None] | None = None) -> CaseSuite:
        """Return the suite, with the items read.

        Args:
            bound: Whether the function is a method, whose `self` comes with the fixtures.
            store: Returns the store's folder for the name of a saved data set.

        Raises:
            ConfigError: A scorer, a threshold or the function's signature is not valid.
            DatasetError: The items cannot be read.
        """
        from llmops_sdk.evals.cases._arguments import CaseArguments
        from llmops_sdk.evals.cases._suite import items_of, suite_of

        folder = Path(self.function.__code__.co_filename).parent
        dataset = items_of(self._cases, self._dataset, folder=folder, id=self._id, store=store)
        arguments = CaseArguments(self.function, dataset.items, skip=1 if bound else 0)
        self.fixtures = arguments.fixtures

        def call(item: Item, fixtures: Mapping[str, Any]) -> Any:
            positional, named = arguments.of(item)
            receiver = (fixtures["self"],) if bound else ()
            given = {name: value for name, value in fixtures.items() if name != "self" or not bound}
            return self.function(*receiver, *positional, **{**given, **named})

        return suite_of(
            self.function.__qualname__,
            dataset,
            call,
            scorers=self._scorers,
            threshold=self._threshold,
            repeats=self._repeats,
        )

    def run(self, **arguments: Any) -> dict[str, CaseVerdict]:
        """Run all cases; see `EvalCaseFunction.run`."""
        import asyncio

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._run(arguments)
        # A thread that runs a loop, as in a notebook, cannot run another one.
        with ThreadPoolExecutor(1, thread_name_prefix="llmops-eval-case") as pool:
            return pool.submit(contextvars.copy_context().run, self._run, arguments).result()

    def _run(self, arguments: Mapping[str, Any]) -> dict[str, CaseVerdict]:
        suite = self.suite(bound="self" in arguments)
        unknown = sorted({*self.fixtures} ^ ({*arguments} - {"self"}))
        if unknown:
            raise ConfigError(
                f"{suite.name}.run: the arguments besides the item's are {', '.join(self.fixtures) or 'none'}, and not "
                f"{', '.join(sorted(arguments)) or 'none'}",
                key=unknown[0],
            )
        return {item.id: suite.run_item(item, fixtures=arguments)[0] for item in suite.dataset.items}
