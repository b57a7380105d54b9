"""Check an environment's packages: no known-bad release, no unknown code at start-up, no version but the pinned.

`make supply-chain` checks the development environment. `python .ci/supply_chain.py FOLDER` checks another folder of
packages (`site-packages`), without the pins.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

KNOWN_BAD = {
    # Stolen publishing keys; a .pth file sent the machine's credentials away (github.com/BerriAI/litellm/issues/24518).
    "litellm": {"1.82.7", "1.82.8"},
}
"""Releases that must not be installed, by package."""
START_UP = {
    "a1_coverage.pth": "coverage",
    "distutils-precedence.pth": "setuptools",
}
"""Files that may run code whenever Python starts, and the package that installs each."""
PINS = Path(__file__).parent / "requirements-dev.txt"


def problems(folder: Path, pins: Path | None = None) -> Iterator[str]:
    """Yield what is wrong with the packages in a folder.

    Args:
        folder: The folder, `site-packages`.
        pins: A requirements file, or None. Packages that it does not name may have any version.
    """
    found = {_name(one): one for one in distributions(path=[str(folder)])}
    for name, one in sorted(found.items()):
        if one.version in KNOWN_BAD.get(name, ()):
            yield f"{name} {one.version} is a known-bad release: remove it and change every key this machine had"
    yield from _start_up(folder, found)
    if pins is not None:
        pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", pins.read_text("utf-8"), re.MULTILINE))
        for name, one in sorted(found.items()):
            if pinned.get(name, one.version) != one.version:
                yield f"{name} {one.version} is installed, and the pins say {pinned[name]}"


def _name(one: Distribution) -> str:
    return re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower()


def _start_up(folder: Path, found: dict[str, Distribution]) -> Iterator[str]:
    owners = {str(file): name for name, one in found.items() for file in one.files or () if str(file).endswith(".pth")}
    for file in sorted(folder.glob("*.pth")):
        # `site` runs the lines that begin with `import`; the others are folders.
        runs = any(line.startswith((b"import ", b"import\t")) for line in file.read_bytes().splitlines())
        owner = owners.get(file.name)
        if runs and (owner is None or START_UP.get(file.name) != owner):
            yield f"{file.name} runs code whenever Python starts; it comes from {owner or 'no package'}"


def main() -> None:
    """Check the folder that the argument names, or this environment."""
    wanted = [Path(argument) for argument in sys.argv[1:]]
    found = [one for folder in wanted for one in problems(folder)]
    if not wanted:
        found = [*problems(Path(sysconfig.get_path("purelib")), PINS)]
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
