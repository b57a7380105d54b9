"""The index of vectors with the real library usearch."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from real_backends import environment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]  # the first use installs the libraries

_HERE = Path(__file__).parent


def run(name: str, folder: Path) -> dict[str, Any]:
    """Run a function of `vector_index.py` in the environment `models`."""
    done = subprocess.run(
        [str(environment("models") / "python"), str(_HERE / "vector_index.py"), name],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(_HERE.parents[1])},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_graph_grows_with_the_vectors(tmp_path: Path):
    said = run("grown", tmp_path)
    assert said["sizes"] == [0, 500, 1_000, 1_001, 3_000]
    assert not said["exact"]
    assert said["recall"] > 0.97


def test_removed_vectors_are_not_found_and_moved_ones_are(tmp_path: Path):
    said = run("churned", tmp_path)
    assert (said["exact"], said["size"], said["shrunk"], said["again"]) == (False, True, True, 1.0)
    assert said["recall"] > 0.97


def test_an_index_is_filled_at_once(tmp_path: Path):
    said = run("filled", tmp_path)
    assert not said["exact"]
    assert said["recall"] > 0.97


def test_a_graph_is_made_in_parts(tmp_path: Path):
    said = run("filled_in_parts", tmp_path)
    assert (said["recalls"][0], said["parts"], said["exact"]) == (1.0, 3, False)
    assert min(said["recalls"]) > 0.97


def test_threads_share_an_index(tmp_path: Path):
    said = run("shared", tmp_path)
    assert said["size"] == 600 + 2_700
    assert said["recall"] > 0.97
