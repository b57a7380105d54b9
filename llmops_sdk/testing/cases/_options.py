"""The options of a test run that are about cases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from llmops_sdk.errors import ConfigError

__all__ = ["CaseOptions", "read_options"]

_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOptions:
    """What the command line and the settings say.

    Attributes:
        repeats: The most runs of each case, or None for what the case says.
        strict: Whether a flaky case fails.
        gate: The baseline to compare with, or None.
        save: Where to write the results, or None.
        markdown: Where to write the summary, or None.
        quarantine: The tests that never fail, by id, or by the part before the bracket for all cases of a function.
        quarantine_file: The file that lists them, as people write it.
    """

    repeats: int | None
    strict: bool
    gate: str | None
    save: Path | None
    markdown: Path | None
    quarantine: frozenset[str]
    quarantine_file: str

    def is_quarantined(self, test: str) -> bool:
        """Return whether a test never fails.

        Args:
            test: The test's id.
        """
        return test in self.quarantine or test.partition("[")[0] in self.quarantine


def read_options(config: pytest.Config) -> CaseOptions:
    """Return the options of a test run.

    Args:
        config: Of pytest.

    Raises:
        UsageError: One of them is not valid.
    """
    repeats = config.getoption("llmops_repeats")
    if repeats is not None:
        from llmops_sdk.evals.cases._repeats import checked_repeats

        try:
            checked_repeats(repeats)
        except ConfigError as error:
            raise pytest.UsageError(f"--llmops-repeats: {error}") from error
    folder = config.invocation_params.dir
    gate = config.getoption("llmops_gate")
    if gate is not None and gate.endswith(".json"):
        gate = str(folder / gate)
        if not Path(gate).is_file():
            raise pytest.UsageError(f"--llmops-gate: there is no file {gate}; write one with --llmops-save")
    listed = config.getini("llmops_quarantine")
    return CaseOptions(
        repeats=repeats,
        strict=bool(config.getoption("llmops_strict")),
        gate=gate,
        save=_below(folder, config.getoption("llmops_save")),
        markdown=_below(folder, config.getoption("llmops_markdown")),
        quarantine=_quarantine(config.rootpath / listed) if listed else frozenset(),
        quarantine_file=listed,
    )


def _below(folder: Path, name: str | None) -> Path | None:
    return None if name is None else folder / name


def _quarantine(path: Path) -> frozenset[str]:
    """Return the lines of a quarantine file without comments; none if there is no such file yet."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise pytest.UsageError(f"llmops_quarantine: {path} has more than {_MAX_BYTES:,} bytes")
        lines = content.decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise pytest.UsageError(f"llmops_quarantine: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise pytest.UsageError(f"llmops_quarantine: {path} is no valid UTF-8: save it as UTF-8") from error
    # A test's id may have "#" in it: a comment is a line of its own.
    return frozenset(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
