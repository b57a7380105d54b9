"""Mark the larger cases of a parametrised test."""

from __future__ import annotations

from typing import Any

import pytest


def thorough(*values: Any) -> Any:
    """Return a case that `make test` leaves out and `make test-integration` runs."""
    return pytest.param(*values, marks=pytest.mark.thorough)
