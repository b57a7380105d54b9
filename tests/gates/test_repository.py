"""Files name no registry or machine; pins match the dependencies."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

# Joined at run time, so that this file does not contain the names.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("conda", "anaconda", "org"),
    )
]
INDEX_OPTIONS = [
    "--index" + "-url",
    "--extra-index" + "-url",
    "--find" + "-links",
    "--trusted" + "-host",
    "/simp" + "le/",
]


def _texts(files: list[Path]) -> dict[Path, str]:
    texts: dict[Path, str] = {}
    for path in files:
        data = path.read_bytes()
        # A table of vectors begins with its words.
        if path.suffix != ".bin" and b"\0" not in data[:1024]:
            texts[path] = data.decode("utf-8")
    return texts


def test_no_file_names_a_registry_or_this_machine(repository_files: list[Path], root: Path):
    machine = {"../" + "shared", f"{root}/", f"{Path.home()}/", f"{sys.base_prefix}/"} - {"//", "/usr/"}
    forbidden = [*REGISTRIES, *INDEX_OPTIONS, *sorted(machine)]

    named = [
        f"{path.relative_to(root)}: {word}"
        for path, text in _texts(repository_files).items()
        for word in forbidden
        if word in text
    ]

    assert named == []
    assert len(repository_files) > 20


def test_top_folder_stays_small(repository_files: list[Path], root: Path):
    top = {path.relative_to(root).parts[0] for path in repository_files}

    assert top <= {
        ".ci",
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "SECURITY.md",
        "Makefile",
        "README.md",
        "benchmarks",
        "docs",
        "examples",
        "integrations",
        "llmops_sdk",
        "pyproject.toml",
        "tests",
        "tools",
    }


def _pins(path: Path) -> dict[str, Version]:
    lines = path.read_text("utf-8").replace("\\\n", " ").splitlines()
    pins: dict[str, Version] = {}
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(
            r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?P<hashes>(?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", line
        )
        assert match is not None, f"not a pin with hashes: {line[:80]}"
        pins[_normal(match["name"])] = Version(match["version"])
    return pins


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_pins_satisfy_the_dependencies(name: str, root: Path):
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [Requirement(text) for text in project["dependencies"]]
    pins = _pins(root / ".ci" / name)

    assert [str(one) for one in wanted if pins[_normal(one.name)] not in one.specifier] == []
    assert len(pins) > len(wanted)


def test_development_pins_include_the_runtime_pins(root: Path):
    runtime = _pins(root / ".ci" / "requirements.txt")
    development = _pins(root / ".ci" / "requirements-dev.txt")

    assert runtime.items() < development.items()


def test_modules_import_only_declared_dependencies(sources: list[Path], root: Path):
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    texts = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    declared = {_normal(Requirement(text).name) for text in texts}
    homes = {"google": "protobuf", "opentelemetry": "opentelemetry-api", "stdnum": "python-stdnum"}

    foreign = {
        f"{path.relative_to(root)}: {name}"
        for path in sources
        if path.is_relative_to(root / "llmops_sdk")
        for name in _imported(path) - sys.stdlib_module_names - {"llmops_sdk"}
        if homes.get(name, _normal(name)) not in declared
    }

    assert foreign == set()


def _imported(path: Path) -> set[str]:
    """Return the top-level packages that a module imports, at its head or inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.xdist_group("grouping")
def test_grouped_tests_go_to_one_worker(request: pytest.FixtureRequest):
    # A pytest that this pytest-xdist does not know drops the groups in silence; then slow fixtures run twice.
    if request.config.getoption("loadgroup", default=False):
        assert request.node.nodeid.endswith("@grouping")


def test_one_function_opens_every_database(root: Path):
    opened = [path.name for path in (root / "llmops_sdk").rglob("*.py") if "duckdb.connect(" in path.read_text()]

    assert opened == ["_sql.py"]
