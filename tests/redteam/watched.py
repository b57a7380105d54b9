"""Run a program in a process of its own, and note which hosts it asks and which files it changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]
WATCH = """
import atexit, json, os, sys
_hosts, _files = set(), set()
_CHANGES = {{"remove", "rename", "rmdir", "mkdir", "chmod", "truncate", "link", "symlink"}}
_PATHS = (str, bytes, os.PathLike)
_changing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
def _watch(event, args):
    if event == "socket.getaddrinfo":
        _hosts.add(str(args[0]))
    elif event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple):
        _hosts.add(str(args[1][0]))
    elif event == "open" and isinstance(args[2], int) and args[2] & _changing and not isinstance(args[0], int):
        _files.add(os.path.abspath(os.fsdecode(args[0])))
    elif event.partition("os.")[2] in _CHANGES:
        # A name below an open folder (`dir_fd`) is the store's own: tests/store/hostile_store.py follows those.
        below = any(isinstance(one, int) and one >= 0 for one in args[2:] + args[1:2]) and not event.endswith("chmod")
        found = [os.fsdecode(one) for one in args[:2] if isinstance(one, _PATHS)]
        _files.update(os.path.abspath(one) for one in found if os.path.isabs(one) or not below)
sys.addaudithook(_watch)
def _told():
    with open({report!r}, "w") as file:
        json.dump({{"hosts": sorted(_hosts), "files": sorted(_files)}}, file)
atexit.register(_told)
"""


@dataclass(frozen=True)
class Seen:
    """What a program did.

    Attributes:
        hosts: The names and addresses that it asked for or connected to.
        files: The files and folders that it opened for writing, removed, renamed, made or chmodded.
        out: What it printed.
    """

    hosts: frozenset[str]
    files: frozenset[str]
    out: str


def watch(program: str, folder: Path, **environment: str) -> Seen:
    """Run a program in a folder, and return what it did.

    A file that a C library writes (DuckDB's) is not seen: compare the folder's surroundings for that.
    """
    report = folder / "report.json"
    text = WATCH.format(report=str(report)) + program
    paths = os.pathsep.join([str(TESTS / "loopback"), str(TESTS / "receivers"), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(report.read_text())
    return Seen(frozenset(told["hosts"]), frozenset(told["files"]) - {str(report)}, done.stdout)
