"""Find an experiment by its name, its id or a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_sdk.errors import ConfigError

if TYPE_CHECKING:
    from llmops_sdk.evals import Experiment

__all__ = ["load_experiment", "save_experiment"]

_MOST_BYTES = 1024**3


def load_experiment(name: str, store: Path | None) -> Experiment:
    """Return an experiment.

    Args:
        name: A JSON file that `llmops eval run --save` wrote, the id of an experiment or its beginning, or the name of
            a series, of which the latest counts.
        store: The store's folder, or None for the configured one.

    Raises:
        ConfigError: The file is no experiment.
        LLMOpsError: There is no such experiment; the message names the nearest.
    """
    from llmops_sdk.evals import Experiment

    path = Path(name)
    if not name.endswith(".json"):
        return Experiment.load(name, path=store)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{name} is larger than 1 GiB: save fewer items", source=name)
        return Experiment.from_dict(json.loads(path.read_bytes()))
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}", source=name) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{name} is no experiment that `llmops eval run --save` wrote: {error}", source=name
        ) from error


def save_experiment(experiment: Experiment, path: Path) -> None:
    """Write an experiment as JSON, as a baseline in the repository.

    Raises:
        ConfigError: The file cannot be written.
    """
    write_text(path, json.dumps(experiment.to_dict(), ensure_ascii=False, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file of a report.

    Raises:
        ConfigError: The file cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", source=str(path)) from error
