"""Run every operation on stores whose files are fuzzed, and exit with 1 when anything outside them is touched.

Run as a program: `hostile_store.py FOLDER COUNT`. An audit hook sees what Python opens, removes and changes. The
content and the mode of the files outside are compared as well, since DuckDB opens files without Python.
"""
# ruff: noqa: E501, PTH115, PTH118, PTH119, PTH120, PERF401 - tables of names; the hook uses what it does not audit

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

import llmops_sdk as llmops
from llmops_sdk._util._private_files import create_file
from llmops_sdk.errors import LLMOpsError
from llmops_sdk.store import StoreSink, compact, discard, export, import_file, prune, query, replay, reprice, snapshot
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.outbox._outbox import SegmentOutbox
from llmops_sdk.store.reading._follow import Follower

sys.path.insert(0, str(Path(__file__).parent))
from span_writer import PlainSpan

CHANGES = {
    "os.remove",
    "os.rename",
    "os.chmod",
    "os.chown",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.utime",
    "os.mkdir",
    "os.rmdir",
}
touched: list[str] = []
allowed: list[str] = []


def audit(event: str, args: tuple[Any, ...]) -> None:
    if not allowed:
        return
    if event == "open":
        path, _, flags = args
        if isinstance(path, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            return
        paths = [os.path.realpath(path)]
    elif event in CHANGES:
        number = 2 if event in {"os.rename", "os.link"} else 1
        at = next((one for one in args[number:] if isinstance(one, int) and one > 2), None)
        base = os.readlink(f"/proc/self/fd/{at}") if at is not None and event in {"os.remove", "os.rmdir"} else ""
        # The entry itself changes, so its folder counts.
        found = [os.path.join(base, os.fsdecode(one)) for one in args[:number] if not isinstance(one, int)]
        paths = [os.path.join(os.path.realpath(os.path.dirname(one)), os.path.basename(one)) for one in found]
    else:
        return
    for path in paths:
        if not path.startswith((*allowed, "/dev/", "/proc/")) and "__pycache__" not in path:
            touched.append(f"{event} {path}")


def state(folder: Path) -> dict[str, Any]:
    return {
        str(file): (stat.S_IMODE(file.lstat().st_mode), file.lstat().st_mtime_ns, file.read_bytes() if file.is_file() else b"")
        for file in sorted(folder.rglob("*"))
    }  # fmt: skip


def make(store: Path) -> None:
    for number in range(1, 5):
        sink = StoreSink(store, compaction="manual", destinations=("default",))
        sink.write([PlainSpan(trace_id=number, span_id=number, name=f"n{number}")])
        sink.close(1.0)
        if number < 4:
            compact_store(store)
    create_file(store / "blobs" / f"{'a' * 64}.png", b"x") if (store / "blobs").mkdir() is None else None


def hostile(chance: random.Random, victim: Path, store: Path) -> Any:
    token = f"{chance.getrandbits(128):032x}"
    return chance.choice([
        str(victim), os.path.relpath(victim, store), f"wal/../../victims/{victim.name}", f"spans/../../victims/{victim.name}",
        f"wal/h-1-{token}-1.v2.ndjson/../../../victims/{victim.name}", f"/wal/h-1-{token}-1.v2.ndjson", "", "..", "wal", "wal/",
        f"wal/h-1-{token}-1.v2.ndjson", f"spans/L0-00000001-{token}.parquet", f"spans/L0-00000001-{token}.parquet\n",
        "MANIFEST.json", "\0", 1, None, -1, 2**70, 1e400, True, [], {}, "x" * 5000, "wal/\u0661.v1.ndjson",
    ])  # fmt: skip


def replaced(chance: random.Random, value: Any, give: Any) -> Any:
    """Return JSON with one random part, or key, replaced."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(sorted(value))
        if chance.random() < 0.3:
            return {**{k: v for k, v in value.items() if k != key}, str(give()): value[key]}
        return {**value, key: replaced(chance, value[key], give)}
    if isinstance(value, list) and value and chance.random() < 0.85:
        at = chance.randrange(len(value))
        return [*value[:at], replaced(chance, value[at], give), *value[at + 1 :]]
    return give()


def fuzz(chance: random.Random, store: Path, victims: Path) -> None:
    def give() -> Any:
        return hostile(chance, chance.choice(sorted(victims.iterdir())), store)

    manifest = store / "MANIFEST.json"
    content = json.loads(manifest.read_text())
    for _ in range(chance.randrange(3)):
        content = replaced(chance, content, give)
    manifest.write_text(json.dumps(content))
    if chance.random() < 0.4:
        journal = {"traces": ["x"], "spans": [], "sessions": [], "blobs": ["a"], "words": ["w"], "before_ns": None}
        (store / "PRUNE.json").write_text(json.dumps(replaced(chance, journal, give)))
    outbox = store / "outbox" / "default"
    for cursor in outbox.glob("*.cursor"):
        if chance.random() < 0.5:
            cursor.write_text(f"{chance.choice(['5', '-1', '9' * 20, 'x'])} {give()}\n")
    links = ["wal", "blobs", "readers", "outbox", "import", "tmp", "damaged", "compact.lock", "import.lock", "traces.duckdb",
             f"wal/h-1-{'c' * 32}-1.v2.ndjson", f"outbox/default/h-1-{'c' * 32}-1.v2.ndjson", f"readers/1-{'c' * 32}",
             f"blobs/{'c' * 64}.png", f"spans/L0-00000009-{'c' * 32}.parquet", f"tmp/1-{'c' * 32}", ".gitignore"]  # fmt: skip
    for name in chance.sample(links, chance.randrange(3)):
        place = store / name
        if place.parent.is_dir() and not place.parent.is_symlink():
            if place.is_dir():
                shutil.rmtree(place)
            place.unlink(missing_ok=True)
            place.symlink_to(chance.choice([victims, *sorted(victims.iterdir())]))


def operate(store: Path, out: Path) -> None:
    spans = [PlainSpan(trace_id=9, span_id=9)]

    def write() -> None:
        sink = StoreSink(store, compaction="manual", destinations=("default",), max_bytes=50_000)
        sink.write(spans)
        sink.close(1.0)

    def adopt() -> None:
        outbox = SegmentOutbox(store, "default", max_bytes=1, max_days=1.0, lose=lambda *_: None)
        begin = outbox.adopt()
        if begin is not None:
            outbox.read_adopted(begin, 1000)
            outbox.acknowledge(begin)
        outbox.close()

    for work in (
        lambda: query("SELECT count(*) FROM spans", path=store),
        write,
        lambda: Follower(store, ["spans"]).read(),
        lambda: compact(path=store),
        lambda: prune(user_id="w", path=store),
        lambda: prune(trace_id=f"{1:032x}", path=store),
        lambda: snapshot(out / "s.duckdb", path=store, force=True),
        lambda: export(out / "e.jsonl", path=store, force=True),
        lambda: import_file(out / "e.jsonl", path=store, force=True),
        adopt,
        lambda: replay(path=store),
        lambda: reprice(path=store),
        lambda: compact_store(store, grace=0.0),
        lambda: prune(max_bytes=1, path=store),
        lambda: discard("default", path=store),
        lambda: llmops.query("FROM losses", path=store),
    ):
        # Only errors that say what to do; any other fails the program.
        with contextlib.suppress(LLMOpsError):
            work()


def main() -> None:
    folder, count = Path(sys.argv[1]).resolve(), int(sys.argv[2])
    logging.getLogger("llmops_sdk").addHandler(logging.NullHandler())
    victims, out, template = folder / "victims", folder / "out", folder / "template"
    for one in (victims, out):
        one.mkdir()
    make(template)
    for name in ("thesis.txt", f"h-1-{'b' * 32}-1.v2.ndjson", f"L0-00000001-{'b' * 32}.parquet", f"{'b' * 64}.png"):
        (victims / name).write_text('{"trace_id":"00000000000000000000000000000001","user_id":"w"}\n' * 3)
    before = state(victims)
    tempfile.gettempdir()  # tries folders by writing into them, once
    sys.addaudithook(audit)
    os.chdir(out)
    for number in range(count):
        store = folder / f"store{number}"
        shutil.copytree(template, store)
        fuzz(random.Random(number), store, victims)
        allowed[:] = [f"{store}/", str(store), f"{out}/"]
        operate(store, out)
        allowed.clear()
        if touched or state(victims) != before:
            sys.exit(f"store {number} led out of its folder: {touched[:5]}")
        shutil.rmtree(store)
    print(count, "stores")


if __name__ == "__main__":
    main()
