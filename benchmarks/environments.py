"""Environments of other libraries, each with what it needs and nothing of ours, made at first use and kept."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

__all__ = ["environment"]


def environment(requirements: Path, folder: Path) -> Path:
    """Return the Python of an environment, creating it if it is missing or outdated.

    Args:
        requirements: The pins, with hashes.
        folder: Where it is kept.
    """
    python, stamp, wanted = folder / "bin" / "python", folder / "installed.txt", requirements.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {requirements.stem}", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        command = [*pip, "--no-deps", "--require-hashes", "-r", str(requirements)]
        subprocess.run(command, check=True, timeout=900, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        stamp.write_text(wanted)
    return python
