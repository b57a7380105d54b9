"""Public names are importable and documented, type checkers see the same names, and async twins match."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import inspect
import pickle
from pathlib import Path
from pkgutil import iter_modules, walk_packages
from types import FunctionType
from typing import Any, get_type_hints

import pytest

import llmops_sdk
from llmops_sdk import errors

NAMES = sorted(name for name in llmops_sdk.__all__ if name != "__version__")
# Functions need an example; errors and records appear in the examples of the functions that raise or return them.
CALLED = [name for name in NAMES if name[0].islower()] + ["LLM", "Timeout"]
# The pairs of the public contract.
PAIRS = [
    ("chat", "achat"),
    ("stream", "astream"),
    ("embed", "aembed"),
    ("flush", "aflush"),
    ("query", "aquery"),
]


def _names_for_type_checkers() -> set[str]:
    tree = ast.parse(Path(llmops_sdk.__file__).read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            imports = [part for part in node.body if isinstance(part, ast.ImportFrom)]
            return {alias.asname or alias.name for part in imports for alias in part.names}
    return set()


def test_program_and_type_checker_see_the_same_names():
    assert len(NAMES) == len(set(NAMES))
    assert _names_for_type_checkers() == set(NAMES)
    assert set(dir(llmops_sdk)) >= set(NAMES)


def test_unknown_name_raises_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        llmops_sdk.no_such_name  # noqa: B018 - looking it up is what is tested


PACKAGES = [
    "llmops_sdk",
    *(f"llmops_sdk.{one.name}" for one in iter_modules(llmops_sdk.__path__) if one.name[0] != "_"),
]


@pytest.mark.parametrize("package", PACKAGES)
def test_public_classes_name_a_public_module(package: str):
    module = importlib.import_module(package)
    classes = [value for name in getattr(module, "__all__", ()) if inspect.isclass(value := getattr(module, name))]

    for cls in classes:
        assert not any(part.startswith("_") for part in cls.__module__.split(".")), cls
        # A pickle finds the class by this name.
        assert pickle.loads(pickle.dumps(cls)) is cls
        if dataclasses.is_dataclass(cls):
            assert set(get_type_hints(cls)) >= {one.name for one in dataclasses.fields(cls)}


def test_error_classes_are_importable_from_the_sdk():
    for module in walk_packages(llmops_sdk.__path__, "llmops_sdk."):
        importlib.import_module(module.name)
    known = {llmops_sdk.LLMOpsError}
    while (more := known | {child for cls in known for child in cls.__subclasses__()}) != known:
        known = more

    assert [cls for cls in known if getattr(llmops_sdk, cls.__name__, None) is not cls] == []


def test_errors_are_public():
    assert set(errors.__all__) <= set(llmops_sdk.__all__)
    assert all(issubclass(getattr(llmops_sdk, name), llmops_sdk.LLMOpsError) for name in errors.__all__)


def _undocumented_members(cls: type) -> list[str]:
    return [
        name
        for name, member in vars(cls).items()
        if not name.startswith("_")
        and isinstance(member, FunctionType | property | classmethod | staticmethod)
        and not inspect.getdoc(member)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_public_name_is_documented(name: str):
    value = getattr(llmops_sdk, name)
    text = inspect.getdoc(value) or ""

    assert text.split("\n\n")[0].rstrip().endswith((".", ":")), f"the docstring of {name} begins with a sentence"
    assert not text.startswith(f"{name}("), "a dataclass's generated docstring is no documentation"
    if inspect.isclass(value):
        assert _undocumented_members(value) == []


@pytest.mark.parametrize("name", CALLED)
def test_public_function_has_an_example(name: str):
    assert ">>>" in (inspect.getdoc(getattr(llmops_sdk, name)) or "")


def test_page_of_public_names_is_up_to_date(root: Path):
    spec = importlib.util.spec_from_file_location("api_page", root / "tools" / "api_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    page = module.page()
    assert (root / "docs" / "api.md").read_text("utf-8") == page, "run `make docs`"
    assert all(f"`{name}`" in page for name in NAMES)
    classes = [*module.subpackage_types(), *((name, getattr(llmops_sdk, name)) for name in NAMES)]
    bare = [
        f"{name}.{field}"
        for name, cls in classes
        if inspect.isclass(cls)
        for field, _, text in module.fields_of(cls)
        if not text or f"- `.{field}" not in page
    ]
    assert bare == [], "document these fields in the docstring, under `Attributes:`"


def _twins(cls: type) -> list[tuple[str, str]]:
    names = {name for name in dir(cls) if callable(inspect.getattr_static(cls, name, None))}
    return [(name, f"a{name}") for name in sorted(names) if f"a{name}" in names and not name.startswith("_")]


def _parameters(function: Any) -> list[tuple[str, Any, Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(one.name, one.kind, one.default, one.annotation) for one in parameters]


def test_module_has_the_sync_async_pairs():
    found = {(name, f"a{name}") for name in NAMES if f"a{name}" in NAMES}

    assert found == set(PAIRS)


@pytest.mark.parametrize(("plain", "asynchronous"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_function_and_async_twin_have_the_same_parameters(plain: str, asynchronous: str):
    first, second = getattr(llmops_sdk, plain), getattr(llmops_sdk, asynchronous)

    assert _parameters(first) == _parameters(second)
    assert not inspect.iscoroutinefunction(first)


def test_model_methods_and_async_twins_have_the_same_parameters():
    pairs = _twins(llmops_sdk.LLM)

    assert {pair[0] for pair in pairs} >= {"chat", "stream", "embed", "close"}
    for plain, asynchronous in pairs:
        assert _parameters(getattr(llmops_sdk.LLM, plain)) == _parameters(getattr(llmops_sdk.LLM, asynchronous))


def test_functions_and_model_methods_have_the_same_parameters():
    for name in ("chat", "achat", "stream", "astream", "embed", "aembed"):
        of_method = _parameters(getattr(llmops_sdk.LLM, name))[1:]  # without self
        of_function = _parameters(getattr(llmops_sdk, name))
        assert [one for one in of_function if one[0] != "model"] == [one for one in of_method if one[0] != "model"]


def test_provider_methods_and_async_twins_have_the_same_parameters():
    from llmops_sdk.providers import Provider

    pairs = _twins(Provider)

    assert pairs != []
    for plain, asynchronous in pairs:
        assert _parameters(getattr(Provider, plain)) == _parameters(getattr(Provider, asynchronous))
