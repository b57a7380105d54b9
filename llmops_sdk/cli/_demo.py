"""`llmops demo`: run `examples/support_assistant.py` as it is."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from llmops_sdk.errors import LLMOpsError

__all__ = ["program", "run_demo"]

_NAME = "support_assistant.py"


def program() -> Path:
    """The program's file: beside this module where a wheel was installed, in `examples/` of a source tree.

    Raises:
        LLMOpsError: It is in neither place.
    """
    here = Path(__file__).resolve()
    places = [here.parent / "_program" / _NAME, here.parents[2] / "examples" / _NAME]
    for place in places:
        if place.is_file():
            return place
    raise LLMOpsError(f"the demo's program is missing; looked in {' and '.join(str(p.parent) for p in places)}")


def run_demo(arguments: list[str]) -> int:
    """Run the program with `arguments`; returns its exit status."""
    path = program()
    spec = importlib.util.spec_from_file_location("support_assistant", path)
    if spec is None or spec.loader is None:
        raise LLMOpsError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # as `python examples/support_assistant.py` does, for the module beside it
    spec.loader.exec_module(module)
    try:
        return int(module.main(arguments, prog="llmops demo"))
    except SystemExit as leave:
        # rich leaves with 1 when the reader of its pipe (`head`) has had enough.
        if isinstance(leave.__context__, BrokenPipeError):
            return 0
        raise
