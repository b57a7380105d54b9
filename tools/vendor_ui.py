"""Renew llmops_sdk/ui/static/vendor: the libraries of the page, their licences, and a manifest of SHA-512 digests.

Run it with `make ui-vendor` on a development machine. It needs npm, only to fetch the packed archives: no script of a
package runs. Each archive must have the digest below. To update a library, change its version, run, and copy
the digest of the error message after you have compared the archive with the project's release.

Changes to the files: the reference to a source map goes, `hooks.js` imports its neighbour, and the script of uPlot
exports its one variable, because its own module is not minified.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent.parent / "llmops_sdk" / "ui" / "static" / "vendor"
SOURCE_MAP = re.compile(r"\n?//# sourceMappingURL=\S+\s*$")


class Package(NamedTuple):
    """One library: where it comes from, and its files by the names that they get here."""

    version: str
    licence: str
    digest: str
    files: Mapping[str, str]


PACKAGES = {
    "preact": Package(
        "11.2.0",
        "MIT",
        "sha512-/HfHI/7N84e6GrWBJ3J280z3mLaRJiDcSvj/A+y/4AbLnND/1UlGHe1sR6oYuTGwId0nP7dqDU9OnLxMPZ7xBg==",
        {"preact.js": "dist/preact.mjs", "hooks.js": "hooks/dist/hooks.mjs"},
    ),
    "htm": Package(
        "3.1.1",
        "Apache-2.0",
        "sha512-983Vyg8NwUE7JkZ6NmOqpCZ+sh1bKv2iYTlUkzlWmA5JD2acKoxd4KVxbMmxX/85mtfdnDmTFoNKcg5DGAvxNQ==",
        {"htm.js": "dist/htm.mjs"},
    ),
    "uplot": Package(
        "1.6.32",
        "MIT",
        "sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        {"uplot.js": "dist/uPlot.iife.min.js", "uplot.css": "dist/uPlot.min.css"},
    ),
}


def main() -> int:
    """Fetch each package, write its files, and write the manifest."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, dict[str, str]] = {}
    licences: list[str] = []
    for name, package in PACKAGES.items():
        contents = fetch(name, package)
        licences.append(f"{name} {package.version} ({package.licence})\n\n{contents['LICENSE'].strip()}\n")
        for target, source in package.files.items():
            content = adapt(target, contents[source]).encode()
            (FOLDER / target).write_bytes(content)
            manifest[target] = {
                "package": name,
                "version": package.version,
                "licence": package.licence,
                "source": source,
                "sha512": sha512(content),
            }
    (FOLDER / "LICENSES.txt").write_text(("\n" + "-" * 78 + "\n\n").join(licences))
    (FOLDER / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"{len(manifest)} files in {FOLDER}")
    return 0


def fetch(name: str, package: Package) -> dict[str, str]:
    """Return the text files of the packed archive, by path, after its digest is compared."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("make ui-vendor needs npm on this machine; the page itself needs neither npm nor Node")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--silent", "--ignore-scripts", f"{name}@{package.version}"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(folder).glob("*.tgz")
        found = sha512(archive.read_bytes())
        if found != package.digest:
            sys.exit(f"{name} {package.version} has the digest {found}, not {package.digest or 'one that is known'}")
        wanted = {"LICENSE", *package.files.values()}
        with tarfile.open(archive) as members:
            return {path: members.extractfile(f"package/{path}").read().decode() for path in wanted}  # type: ignore[union-attr]


def adapt(target: str, text: str) -> str:
    """Return the text of a file as it stands in the folder."""
    text = SOURCE_MAP.sub("", text)
    if target == "hooks.js":
        text = text.replace('from"preact"', 'from"./preact.js"')
    if target == "uplot.js":
        text = text.rstrip() + "\nexport default uPlot;"
    return text.rstrip() + "\n"


def sha512(content: bytes) -> str:
    """Return the digest of the content as package managers write it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


if __name__ == "__main__":
    sys.exit(main())
