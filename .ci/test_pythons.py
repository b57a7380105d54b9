"""Install the wheel on every other supported Python that is installed, and run the tests there.

`make test-pythons` runs this. It searches the PATH and pyenv's versions for interpreters, and skips missing ones with a
message. `python .ci/test_pythons.py 3.13` tests one version. A failure on one version does not stop the others.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSIONS = ("3.12", "3.13")
ROOT = Path(__file__).parents[1]
HOME = Path(sys.prefix) / "pythons"


def _works(python: Path, version: str) -> bool:
    # pyenv puts a name on the PATH for every version, but most of them only print that they are not active.
    asked = subprocess.run(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() == version


def find(version: str) -> Path | None:
    """Find an interpreter of this version, or return None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    named = shutil.which(f"python{version}")
    candidates = [Path(named)] if named else []
    candidates += sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)
    return next((python for python in candidates if _works(python, version)), None)


def _run(*command: str | Path) -> None:
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True)


def test(version: str, python: Path, wheel: Path) -> None:
    """Set up an environment with the pinned dependencies and the wheel, and run the tests in it."""
    environment = HOME / version
    own = environment / "bin" / "python"
    if not own.exists():
        _run(python, "-m", "venv", environment)
    # Pins need no resolution, and pip does not download installed ones again.
    install = (own, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile", "--no-deps")
    _run(*install, "--require-hashes", "-r", ".ci/requirements-dev.txt")
    _run(*install, "--force-reinstall", wheel)
    # -P: test the installed package, not this folder. The gates check sources, so one version is enough.
    _run(own, "-P", "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "--ignore", "tests/gates", "tests")


def main() -> None:
    """Test the given versions, or all that are installed."""
    shutil.rmtree(HOME / "dist", ignore_errors=True)
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", HOME / "dist")
    wheel = next((HOME / "dist").glob("*.whl"))
    failed: list[str] = []
    for version in sys.argv[1:] or VERSIONS:
        python = find(version)
        print(f"== Python {version}: {python or 'not installed'}", flush=True)
        if python:
            try:
                test(version, python, wheel)
            except subprocess.CalledProcessError as error:
                print(f"== Python {version}: {error}", flush=True)
                failed.append(version)
    if failed:
        sys.exit(f"failed on Python {', '.join(failed)}")


if __name__ == "__main__":
    main()
