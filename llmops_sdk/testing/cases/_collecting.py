"""Make tests of `@eval_case` functions and of case files."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from llmops_sdk.datasets import Item
from llmops_sdk.errors import LLMOpsError
from llmops_sdk.evals.cases._case_file import read_case_file
from llmops_sdk.evals.cases._eval_case import ITEM_ARGUMENT, case_of
from llmops_sdk.evals.cases._import_names import import_from
from llmops_sdk.evals.cases._suite import CaseSuite
from llmops_sdk.testing.cases._session import CaseRunner, session_of

__all__ = ["CasesFile", "parametrize", "prepare_function", "suite_of_function"]

_SUITE = "__llmops_suite__"


def prepare_function(collector: pytest.Module | pytest.Class, name: str, function: Any) -> None:
    """Read the items of a function under `@eval_case`, and show pytest the arguments that it has to give.

    Args:
        collector: The module or class.
        name: The function's name.
        function: The function.

    Raises:
        CollectError: The decorator's arguments are not valid, or the items cannot be read.
    """
    case = case_of(function)
    if case is None or _SUITE in function.__dict__:
        return
    is_method = isinstance(collector, pytest.Class) and not isinstance(
        inspect.getattr_static(collector.obj, name, None), staticmethod
    )
    try:
        suite = case.suite(bound=is_method, store=session_of(collector.config).store)
    except LLMOpsError as error:
        raise collector.CollectError(f"{name}: {error}") from error
    keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
    names = [*(["self"] if is_method else []), ITEM_ARGUMENT, *case.fixtures]
    function.__signature__ = inspect.Signature([inspect.Parameter(one, keyword) for one in names])
    setattr(function, _SUITE, suite)


def suite_of_function(function: Any) -> CaseSuite | None:
    """Return what `prepare_function` made, or None for any other function."""
    return getattr(getattr(function, "__func__", function), "__dict__", {}).get(_SUITE)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Make one test an item.

    Args:
        metafunc: Of pytest.
    """
    suite = suite_of_function(metafunc.function)
    if suite is not None:
        items = suite.dataset.items
        metafunc.parametrize(ITEM_ARGUMENT, items, ids=[item.id for item in items])


class CasesFile(pytest.File):
    """A case file: one test an item."""

    def collect(self) -> Iterator[pytest.Item]:
        """Read the file, import the task, and yield a test for each item.

        Raises:
            CollectError: Something of the file is not valid.
        """
        session = session_of(self.config)
        try:
            with import_from([self.path.parent, self.config.rootpath]):
                suite = read_case_file(self.path).suite(session.store)
        except LLMOpsError as error:
            raise self.CollectError(str(error)) from error
        for item in suite.dataset.items:
            yield FileCase.from_parent(self, name=item.id, suite=suite, case_item=item)  # pyright: ignore[reportUnknownMemberType]


class FileCase(pytest.Item):
    """One item of a case file."""

    def __init__(self, *, suite: CaseSuite, case_item: Item, **more: Any) -> None:
        super().__init__(**more)  # pyright: ignore[reportUnknownMemberType]
        self.suite = suite
        self.case_item = case_item

    def runtest(self) -> None:
        """Run the case."""
        CaseRunner(session_of(self.config), self, self.suite).run(self.case_item, {})

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Return where the test is, and its title."""
        return self.path, None, f"{self.suite.name}[{self.name}]"


def run_function(item: pytest.Function, suite: CaseSuite) -> None:
    """Run the case of a function.

    Args:
        item: The test.
        suite: Its suite.
    """
    arguments: dict[str, Any] = {name: item.funcargs[name] for name in inspect.signature(item.obj).parameters}
    fixtures = {name: value for name, value in arguments.items() if name != ITEM_ARGUMENT}
    receiver = getattr(item.obj, "__self__", None)
    if receiver is not None:
        fixtures["self"] = receiver
    CaseRunner(session_of(item.config), item, suite).run(arguments[ITEM_ARGUMENT], fixtures)
