"""Every file of the store is its owner's alone from the moment it exists."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from llmops_sdk.caching.backends._disk import DiskBackend
from llmops_sdk.caching.backends._store import CacheStore
from llmops_sdk.errors import StoreError
from llmops_sdk.store import StoreSink, connect, prune, query
from llmops_sdk.store.maintenance._compact import compact_store

pytestmark = pytest.mark.redteam


@pytest.mark.thorough
def test_files_are_their_owners_alone_under_any_umask(tmp_path):
    program = """
import functools
import os, re, sys
os.umask(int(sys.argv[2], 8))
import llmops_sdk as llmops
from llmops_sdk.store import StoreSink, compact, export, prune, query, snapshot
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from span_writer import PlainSpan
seen = {}
PRIVATE = re.compile(r"[0-9]+-[0-9a-f]{32}|[.][a-z.]+[.][0-9a-f]{32}")  # checked by their own modes, 0700
def audit(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)) and args[0] and str(args[0]).startswith(sys.argv[1]):
        for file in Path(sys.argv[1]).rglob("*"):
            try:
                mode = file.lstat().st_mode
            except FileNotFoundError:
                continue
            if mode & 0o077 and not any(PRIVATE.fullmatch(one.name) for one in file.parents):
                seen[str(file)] = oct(mode)
store = Path(sys.argv[1]) / "store"
sys.addaudithook(audit)
for number in (1, 2):
    sink = StoreSink(store, compaction="manual", destinations=("default",))
    sink.write([PlainSpan(trace_id=number, span_id=number)])
    sink.close(1.0)
    compact(path=store)
query("FROM spans", path=store)
prune(trace_id=f"{1:032x}", path=store)
snapshot(Path(sys.argv[1]) / "s.duckdb", path=store)
for form in ("parquet", "jsonl", "csv", "json"):
    export(Path(sys.argv[1]) / f"e.{form}", path=store)
audit("open", (sys.argv[1],))
print(seen)
"""
    for umask in ("000", "022", "077"):
        folder = tmp_path / umask
        folder.mkdir(mode=0o700)
        done = subprocess.run(
            [sys.executable, "-c", program, folder, umask, Path(__file__).parent],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout.strip(), done.stderr, done.returncode) == ("{}", "", 0)


SPILLING = """
import sys
from llmops_sdk.store import connect
connection = connect(path=sys.argv[1], trusted=True)
connection.execute("SET memory_limit = '60MB'; SET threads = 1")
connection.execute("CREATE TEMP TABLE t AS SELECT range i, md5(range::VARCHAR) m FROM range(2000000)")
print("spilled", flush=True)
sys.stdin.readline()
"""


@pytest.mark.thorough
@pytest.mark.parametrize("sweep", [compact_store, lambda store: prune(user_id="ada", path=store)])
def test_what_does_not_fit_into_memory_is_private_and_ends_with_its_process(store, make_span, sweep):
    sink = StoreSink(store, compaction="manual")
    sink.write([make_span()])
    sink.close(1.0)
    with subprocess.Popen(
        [sys.executable, "-c", SPILLING, store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "spilled\n"
        (folder,) = [one for one in (store / "tmp").iterdir() if one.name.startswith(f"{process.pid}-")]
        assert [one.name for one in folder.iterdir()]
        assert {one.stat().st_mode & 0o777 for one in (store / "tmp", folder)} == {0o700}
        sweep(store)
        assert folder.exists()
        process.kill()
        process.wait()
    sweep(store)
    assert not folder.exists()


def test_confined_sql_of_a_user_has_no_folder_to_write_to(store, make_span):
    import duckdb

    sink = StoreSink(store, compaction="manual")
    sink.write([make_span()])
    sink.close(1.0)
    query("FROM spans", path=store)  # this process has a folder now
    (folder,) = (store / "tmp").iterdir()
    with connect(path=store) as connection:
        assert connection.execute("SELECT current_setting('temp_directory')").fetchone() == ("",)
        for sql in (f"COPY (SELECT 1) TO '{folder}/x.csv'", f"ATTACH '{folder}/x.duckdb'"):
            with pytest.raises(duckdb.Error):
                connection.execute(sql)
    assert list(folder.iterdir()) == []


def test_a_cache_that_others_can_change_is_not_used(tmp_path):
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "cache.db").touch()
    planted.chmod(0o777)
    link = tmp_path / "link"
    link.symlink_to(planted)
    for folder, why in ((planted, "writable for other users"), (link, "symbolic link")):
        cache = CacheStore(functools.partial(DiskBackend, folder, max_bytes=1_000_000))
        with pytest.raises(StoreError, match=why):  # in an application a warning and a miss
            cache.get("key", lambda data: data)
        cache.close()
    assert planted.stat().st_mode & 0o777 == 0o777
