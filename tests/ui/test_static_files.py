"""The files of the page: what is vendored is what was reviewed, nothing parses text as HTML, and all of it is small."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "llmops_sdk" / "ui" / "static"
VENDOR = STATIC / "vendor"
OWN = sorted(path for path in STATIC.rglob("*") if path.is_file() and VENDOR not in path.parents)
SCRIPTS = [path for path in OWN if path.suffix == ".js"]

SINKS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySetInnerHTML|DOMParser|createContextualFragment|srcdoc|"
    r"setHTML|parseHTML|\beval\(|new Function|setTimeout\(\s*[\"'`]|createPolicy|javascript:(?!\|)|document\.domain"
)
INLINE = re.compile(r"<style|<script|\sstyle=[\"']|\son[a-z]+=[\"']")
IMPORT = re.compile(r"(?:\bfrom\s*|\bimport\s*\(?\s*)[\"']([^\"']+)[\"']")


def _named(path: Path) -> str:
    return str(path.relative_to(STATIC))


def test_vendored_files_have_the_digests_of_the_manifest():
    manifest = json.loads((VENDOR / "manifest.json").read_text())
    digests = {
        name: "sha512-" + base64.b64encode(hashlib.sha512((VENDOR / name).read_bytes()).digest()).decode()
        for name in manifest
    }
    assert digests == {name: entry["sha512"] for name, entry in manifest.items()}
    assert {path.name for path in VENDOR.iterdir()} == {*manifest, "manifest.json", "LICENSES.txt"}
    licences = (VENDOR / "LICENSES.txt").read_text()
    for entry in manifest.values():
        assert f"{entry['package']} {entry['version']} ({entry['licence']})" in licences


def test_all_files_together_are_small():
    files = [
        path for path in STATIC.rglob("*") if path.is_file() and path.name not in {"LICENSES.txt", "manifest.json"}
    ]
    packed = sum(len(gzip.compress(path.read_bytes(), 6, mtime=0)) for path in files)
    assert packed <= 120 * 1024
    assert len(files) <= 20


@pytest.mark.parametrize("path", SCRIPTS, ids=_named)
def test_script_has_no_way_to_turn_text_into_markup_or_code(path: Path):
    text = path.read_text()
    assert [found[0] for found in SINKS.finditer(text)] == []
    assert [found[0] for found in INLINE.finditer(text)] == []


@pytest.mark.parametrize("path", [*OWN, *VENDOR.glob("*.js"), *VENDOR.glob("*.css")], ids=_named)
def test_file_loads_nothing_from_elsewhere_and_ships_no_source_map(path: Path):
    text = path.read_text()
    assert "sourceMappingURL" not in text
    assert "url(" not in text or path.suffix == ".js"
    for target in IMPORT.findall(text) if path.suffix == ".js" else ():
        assert target.startswith("."), f"{target} is not a file of the page"
        assert (path.parent / target).is_file(), f"{target} is missing"


def test_every_module_is_reached_from_the_first_one():
    reached: set[Path] = set()
    waiting = [STATIC / "app.js"]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += [(path.parent / target).resolve() for target in IMPORT.findall(path.read_text())]
    assert {*SCRIPTS, *VENDOR.glob("*.js")} == reached
