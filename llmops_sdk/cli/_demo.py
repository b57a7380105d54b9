"""`llmops demo` runs `examples/support_assistant.py`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import typer

from llmops_sdk.cli._command import exit_on_error
from llmops_sdk.errors import LLMOpsError

__all__ = ["demo", "program_file"]

_NAME = "support_assistant.py"


def demo(context: typer.Context) -> None:
    """Run an example program and report on it in SQL."""
    with exit_on_error("--debug" in context.args):
        status = _run_program([argument for argument in context.args if argument != "--debug"])
    raise typer.Exit(status)


def program_file() -> Path:
    """Return the program's file: beside this module in a wheel, in `examples/` in a source tree.

    Raises:
        LLMOpsError: Neither file exists.
    """
    here = Path(__file__).resolve()
    places = [here.parent / "_program" / _NAME, here.parents[2] / "examples" / _NAME]
    for place in places:
        if place.is_file():
            return place
    raise LLMOpsError(f"the demo program is missing; looked in {' and '.join(str(p.parent) for p in places)}")


def _run_program(arguments: list[str]) -> int:
    path = program_file()
    spec = importlib.util.spec_from_file_location("support_assistant", path)
    if spec is None or spec.loader is None:
        raise LLMOpsError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # `python examples/support_assistant.py` does so, too
    spec.loader.exec_module(module)
    try:
        return int(module.main(arguments, prog="llmops demo"))
    except SystemExit as leave:
        # rich exits with 1 when the reader of its pipe (`head`) closes it.
        if isinstance(leave.__context__, BrokenPipeError):
            return 0
        raise
