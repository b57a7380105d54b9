"""Run the fast tests of the wheel in environments of its own: other Pythons, the newest and the oldest dependencies.

- `make test-pythons` takes the pinned dependencies on each other supported Python. It looks for interpreters on the
  PATH and among pyenv's versions. A missing one is reported and is no failure. `python .ci/test_versions.py pythons
  3.13` tests one version. A version that fails does not stop the others.
- `make test-newest` takes the newest version of every dependency that pip finds today.
- `make test-oldest` takes each floor in pyproject.toml exactly. pip chooses what these need in turn.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PYTHONS = ("3.12", "3.13")
ROOT = Path(__file__).parents[1]
VENV = Path(sys.prefix)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# Presidio's own floors are above ours, and no fast test runs it: `make test-integration` does. sentence-transformers
# brings gigabytes of PyTorch, and no fast test runs it either.
UNTESTED = {"presidio", "sentence-transformers"}
EXTRAS = {name: extra for name, extra in PROJECT["optional-dependencies"].items() if name not in UNTESTED}
NAMED = [*PROJECT["dependencies"], *(text for extra in EXTRAS.values() for text in extra)]
DIRECT = [Requirement(text) for text in dict.fromkeys(NAMED)]
PRINT_VERSIONS = """
import sys
from importlib.metadata import version
print("== versions:", *(f"{name} {version(name)}" for name in sys.argv[1:]), sep="\\n   ", flush=True)
"""


def _works(python: Path, version: str) -> bool:
    # pyenv puts a name on the PATH for every version it has, and most of them only say that they are not active.
    asked = subprocess.run(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() == version


def find(version: str) -> Path | None:
    """Return an interpreter of this version, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    named = shutil.which(f"python{version}")
    candidates = [Path(named)] if named else []
    candidates += sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)
    return next((python for python in candidates if _works(python, version)), None)


def floors() -> list[str]:
    """Return the floors of the dependencies and of the extras as exact pins."""
    return [f"{one.name}=={spec.version}" for one in DIRECT for spec in one.specifier if spec.operator == ">="]


def _run(*command: str | Path) -> None:
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True)


def _create(python: Path, environment: Path) -> tuple[Path, Path]:
    """Make an empty environment and build the wheel. Return its Python and the wheel."""
    _run(python, "-m", "venv", "--clear", environment)
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", environment / "dist")
    return environment / "bin" / "python", next((environment / "dist").glob("*.whl"))


def _install(own: Path, *what: str | Path) -> None:
    _run(own, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile", *what)


def _test(own: Path, ignored: str) -> None:
    _run(own, "-c", PRINT_VERSIONS, *sorted(one.name for one in DIRECT))
    # -P: test the installed package, not the one in this folder.
    options = ("-q", "-n", "2", "--dist", "loadgroup", "-m", "not thorough", "--ignore", ignored)
    _run(own, "-P", "-m", "pytest", *options, "tests")


def test_python(version: str, python: Path) -> None:
    """Run the tests on another Python, with the pinned dependencies."""
    own, wheel = _create(python, VENV / "pythons" / version)
    # A pinned set has nothing to resolve.
    _install(own, "--no-deps", "--require-hashes", "-r", ".ci/requirements-dev.txt")
    _install(own, "--no-deps", wheel)
    _test(own, "tests/gates")  # They look at the sources, so one Python is enough.


def test_dependencies(name: str, pins: list[str]) -> None:
    """Run the tests with these pins and the newest version of everything else."""
    own, wheel = _create(Path(sys.executable), VENV / name)
    lines = (ROOT / ".ci" / "requirements-dev.in").read_text("utf-8").splitlines()
    tools = [line for line in lines if line and line[0] not in "#-"]  # without the pins of the runtime
    _install(own, f"{wheel}[{','.join(EXTRAS)}]", *pins, *tools)
    _test(own, "tests/gates/test_wheel.py")  # It installs the pins of .ci into an environment of its own.


def test_pythons(versions: list[str]) -> None:
    """Run the tests on these Pythons, or on every other supported one."""
    failed: list[str] = []
    for version in versions or PYTHONS:
        python = find(version)
        print(f"== Python {version}: {python or 'not found'}", flush=True)
        if python:
            try:
                test_python(version, python)
            except subprocess.CalledProcessError as error:
                print(f"== Python {version}: {error}", flush=True)
                failed.append(version)
    if failed:
        sys.exit(f"failed on Python {', '.join(failed)}")


def main() -> None:
    """Run what the first argument names."""
    try:
        match sys.argv[1:]:
            case ["pythons", *versions]:
                test_pythons(versions)
            case ["newest"]:
                test_dependencies("newest", [])
            case ["oldest"]:
                test_dependencies("oldest", floors())
            case _:
                sys.exit(__doc__)
    except subprocess.CalledProcessError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
