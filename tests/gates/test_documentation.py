"""Run the programs and load the settings in README.md and docs/.

The Python snippets of a page run in order, in one namespace and an empty folder, as a reader would try them. Where a
snippet has `#>` comments, they are what `print` printed. A snippet that needs what a test cannot have (a vendor's key)
opts out with a reason, ```` ```python skip="needs a key" ````, and is counted in SKIPPED.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
import traceback
from pathlib import Path
from typing import Any

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

_ROOT = Path(__file__).parents[2]
PAGES = [_ROOT / "README.md", _ROOT / "SECURITY.md", *sorted((_ROOT / "docs").rglob("*.md"))]
# Number of snippets of a page that opt out.
SKIPPED: dict[str, int] = {"docs/evaluation.md": 1, "docs/frameworks.md": 3}


def _name(page: Path) -> str:
    return page.relative_to(_ROOT).as_posix()


def _snippets(page: Path) -> list[CodeExample]:
    return list(find_examples(page))


def test_readme_starts_with_a_program():
    assert _snippets(_ROOT / "README.md") != []


def test_skipped_snippets_are_counted():
    reasons = {_name(page): [one.prefix_settings().get("skip") for one in _snippets(page)] for page in PAGES}
    counted = {name: sum(reason is not None for reason in page) for name, page in reasons.items()}

    assert {name: count for name, count in counted.items() if count} == SKIPPED


def test_skipped_snippets_are_valid_python():
    for page in PAGES:
        for snippet in _snippets(page):
            assert ast.parse(snippet.source, str(snippet)).body


def _problem(snippet: CodeExample, names: dict[str, Any], eval_example: EvalExample) -> str | None:
    """Run a snippet; return where and how it failed, because pytest cannot show the traceback."""
    run = eval_example.run_print_check if "#>" in snippet.source else eval_example.run
    try:
        names.update(run(snippet, module_globals=names))
    except Exception as error:
        frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        lines = [f"{name}:{line}" for name, line in frames if name.endswith(".md")]
        return f"{lines[-1] if lines else snippet}: {type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize("page", [page for page in PAGES if _snippets(page)], ids=_name)
def test_snippets_of_a_page_run(page: Path, eval_example: EvalExample, monkeypatch: pytest.MonkeyPatch):
    # A snippet runs as the main module; monkeypatch restores the test run's own.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    eval_example.set_config(line_length=120)
    names: dict[str, Any] = {}
    for snippet in _snippets(page):
        if "skip" not in snippet.prefix_settings():
            assert _problem(snippet, names, eval_example) is None

    assert names != {} or all("skip" in one.prefix_settings() for one in _snippets(page))


def _settings(page: Path) -> list[str]:
    return re.findall(r"^```toml[^\n]*\n(.*?)^```", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if _settings(page)], ids=_name)
def test_settings_on_a_page_are_valid(page: Path, tmp_path: Path):
    from llmops_sdk import config

    for text in _settings(page):
        name = "pyproject.toml" if "tool" in tomllib.loads(text) else "llmops.toml"
        (tmp_path / name).write_text(text, "utf-8")

        assert config.load(tmp_path / name).model


LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def test_links_between_pages_resolve():
    broken = [
        f"{_name(page)}: {target}"
        for page in PAGES
        for target in LINK.findall(page.read_text("utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]

    assert broken == []
