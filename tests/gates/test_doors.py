"""Packages import other packages, or their doors: the modules that a package's docstring names."""

from __future__ import annotations

import importlib
import re

import grimp
import pytest

_GRAPH = grimp.build_graph("llmops_sdk", cache_dir=None)
_MOST_MODULES = 15


def _doors(package: str) -> set[str]:
    text = importlib.import_module(package).__doc__ or ""
    named = re.search(r"^Doors for other packages: ([^.]*)\.$", text, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", named.group(1))) if named else set()


def _imports_across_packages() -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for importer in _GRAPH.modules - {"llmops_sdk"}:
        for imported in _GRAPH.find_modules_directly_imported_by(importer):
            top, target = importer.split(".")[1], imported.split(".")
            # Every package may import `_util`.
            if len(target) > 2 and target[1] not in {top, "_util"}:
                found.add((importer, imported))
    return found


def test_packages_import_others_through_doors_only():
    packages = {module for module in _GRAPH.modules if _GRAPH.find_children(module)}
    beside_doors = [
        f"{importer} imports {imported}"
        for importer, imported in sorted(_imports_across_packages())
        if imported not in packages and imported.rpartition(".")[2] not in _doors(imported.rpartition(".")[0])
    ]

    assert beside_doors == []


@pytest.mark.parametrize("package", sorted(one for one in _GRAPH.modules if _GRAPH.find_children(one)))
def test_every_door_is_used_and_folders_are_small(package: str):
    modules = [one for one in _GRAPH.find_children(package) if not _GRAPH.find_children(one)]
    used = {imported for _, imported in _imports_across_packages()}

    assert {door for door in _doors(package) if f"{package}.{door}" not in used} == set()
    assert len(modules) + 1 <= _MOST_MODULES
