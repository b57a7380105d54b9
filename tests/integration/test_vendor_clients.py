"""The real openai and anthropic clients of an environment of their own, under `@retry` and `@fallback`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from real_backends import environment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]  # the first use installs the clients

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
def test_vendor_client_is_retried_or_falls_back(vendor: str, tmp_path: Path):
    faults = ROOT / "tests" / "faults"
    paths = [str(ROOT), str(ROOT / "tests" / "loopback"), str(faults)]
    done = subprocess.run(
        [str(environment("instrumentors") / "python"), str(faults / "vendor_calls.py"), vendor],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)

    assert said["wrong"] == []
    assert said["made"] > 600
