"""What the installed OpenTelemetry can do: `make test-oldest` runs the tests with the oldest one that is supported."""

from __future__ import annotations

from importlib.metadata import version

import pytest

needs_1_45 = pytest.mark.skipif(
    tuple(map(int, version("opentelemetry-sdk").split(".")[:2])) < (1, 45),
    reason="before 1.45, OpenTelemetry drops structured attributes, and its instrumentor of FastAPI fails on a new one",
)
