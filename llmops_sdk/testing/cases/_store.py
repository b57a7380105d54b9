"""The project's own store, which the plugin replaces by a temporary one in tests."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["project_store", "temporary_store"]

_STORE = "LLMOPS_STORE__PATH"
_TEMPORARY = "PYTEST_LLMOPS_STORE"


def temporary_store() -> str | None:
    """Return the temporary store that the plugin has put in force, or None."""
    made = os.environ.get(_TEMPORARY)
    return made if made is not None and os.environ.get(_STORE) == made else None


def project_store(temporary: str | None) -> Path | None:
    """Return the folder of the project's store, where saved data sets and experiments are; None if it is in force.

    Args:
        temporary: The temporary store that is in force, or None.
    """
    if temporary is None:
        return None
    from llmops_sdk.config import load

    del os.environ[_STORE]
    try:
        return load().store.path.absolute()
    finally:
        os.environ[_STORE] = temporary
