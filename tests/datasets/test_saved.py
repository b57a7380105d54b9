"""Saved versions: found by name and digits, whole after kills and races, and safe with hostile names and files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk import DatasetError, StoreError
from llmops_sdk.datasets import Dataset, remove, versions


def files(store: Path) -> list[str]:
    return sorted(
        str(file.relative_to(store / "datasets")) for file in (store / "datasets").rglob("*") if file.is_file()
    )


def test_the_same_content_is_one_version_and_becomes_the_latest(store, numbers):
    first, second = numbers(3).save("faq"), numbers(4).save("faq")
    assert Dataset.load("faq") == second
    numbers(3).save("faq")
    assert Dataset.load("faq") == first
    assert [one.items for one in versions("faq")] == [4, 3]
    assert [one.name for one in versions()] == ["faq", "faq"]
    assert len(files(store)) == 5  # two of each version, and the lock
    loaded = Dataset.load("faq", first.version[:6])
    assert (loaded.name, loaded.items, loaded.source, loaded == first) == ("faq", first.items, "rows", True)
    assert Dataset.load(f"faq@{second.version[:8].upper()}") == second
    assert loaded.save("other").name == "other"


def test_everything_that_an_item_has_is_loaded(store):
    rows = [{"input": {"a": [1, None, "é\u0000"]}, "expected": 2.5, "id": "x", "trace_id": "t", "n": 2**64 - 1}]
    saved = Dataset.from_rows(rows, name="all").save()
    assert Dataset.load("all").items == saved.items
    assert Dataset.from_rows([]).save("empty").version == Dataset.load("empty").version


def test_unknown_and_ambiguous_versions_name_what_is_near(store, numbers):
    with pytest.raises(DatasetError, match="nothing is saved there yet"):
        Dataset.load("faq")
    saved = numbers(3).save("support-2026")
    with pytest.raises(DatasetError, match="the nearest is support-2026") as caught:
        Dataset.load("Suport-2026")
    assert caught.value.nearest == ("support-2026",)
    with pytest.raises(DatasetError, match="there are support-2026"):
        Dataset.load("quite-other")
    wrong = ("0" if saved.version[5] != "0" else "1").join([saved.version[:5], ""])
    with pytest.raises(DatasetError, match=f"nearest are {saved.version[:6]}"):
        Dataset.load("support-2026", wrong)
    for text in ("abcde", "xyzxyz", "../../x", ""):
        with pytest.raises(DatasetError, match="6 to 64 of its hex digits"):
            Dataset.load("support-2026", text)
    # Two versions with the same beginning can only be made by hand here.
    twin = store / "datasets" / "support-2026" / (saved.version[:8] + "0" * 56)
    for suffix in (".json", ".jsonl"):
        twin.with_suffix(suffix).write_bytes((twin.parent / f"{saved.version}{suffix}").read_bytes())
    with pytest.raises(DatasetError, match="2 versions of support-2026 begin with") as caught:
        Dataset.load("support-2026", saved.version[:8])
    assert saved.version in caught.value.nearest


HOSTILE = [
    "../x", "..", ".", "", "a/b", "a\\b", "x\0y", "x" * 300, "-x", ".x", "naïve", "x y", "a@b", "x\n", "\udcff", "*",
    None,
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names_are_refused(store, numbers, name):
    saved = numbers(1).save("fine")
    with pytest.raises(DatasetError, match=r"is not a name|no name"):
        numbers(1).save(name)
    if name is not None:
        for use in (saved.save, Dataset.load, versions, remove):
            with pytest.raises(DatasetError):
                use(name)
    assert {file.split("/")[0] for file in files(store)} == {"compact.lock", "fine"}


def test_names_may_not_differ_in_case_alone(store, numbers):
    numbers(1).save("FAQ")
    with pytest.raises(DatasetError, match="data set 'FAQ'") as caught:
        numbers(1).save("faq")
    assert caught.value.nearest == ("FAQ",)


def test_files_are_private_and_no_links_are_followed(store, numbers, tmp_path):
    os.umask(0o022)
    numbers(1).save("faq")
    modes = {oct(path.stat().st_mode & 0o777) for path in (store / "datasets").rglob("*")}
    assert modes == {"0o700", "0o600"}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (store / "datasets" / "linked").symlink_to(elsewhere)
    with pytest.raises(StoreError, match="symbolic link"):
        numbers(1).save("linked")
    file = store / "datasets" / "faq" / f"{'a' * 64}.jsonl"
    file.symlink_to("/etc/passwd")
    file.with_suffix(".json").symlink_to("/etc/passwd")
    assert [one.version for one in versions("faq")] == [numbers(1).version]
    assert llmops.query("SELECT count(*) FROM dataset_items").scalar() == 1
    assert list(elsewhere.iterdir()) == []


OTHER = b'{"id":"x","input":1,"expected":2,"metadata":{},"source_trace_id":null}\n'


@pytest.mark.parametrize("content", [b"", b"not json\n", b'{"id":1}\n', b"[]\n", OTHER])
def test_a_damaged_file_is_an_error_and_saving_again_repairs_it(store, numbers, content):
    saved = numbers(2).save("faq")
    [stored] = versions("faq")
    stored.path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged"):
        Dataset.load("faq")
    numbers(2).save("faq")
    assert Dataset.load("faq") == saved


def test_a_hostile_description_breaks_nothing(store, numbers):
    numbers(2).save("faq")
    described = versions("faq")[0].path.with_suffix(".json")
    for content in (
        b"{}",
        b"[1",
        b"x" * 100_000,
        b'{"time_ns":1e999,"items":-1}',
        json.dumps({"time_ns": "x"}).encode(),
    ):
        described.write_bytes(content)
        assert versions() == []
        assert llmops.query("SELECT name FROM datasets").rows() == []
    described.unlink()
    described.mkdir()
    assert versions() == []
    with pytest.raises(StoreError):
        numbers(2).save("faq")


def test_a_version_can_be_removed(store, numbers):
    first = numbers(1).save("faq")
    numbers(2).save("faq")
    assert remove("faq", first.version).items == 1
    assert [one.items for one in versions()] == [2]
    remove("faq")
    assert versions() == []
    assert files(store) == ["compact.lock"]


SAVER = """
import sys
from llmops_sdk.datasets import Dataset
print("ready", flush=True)
sys.stdin.readline()
for number in range({rounds}):
    rows = [{{"input": n, "text": "x" * 500}} for n in range({size} + number % 3)]
    Dataset.from_rows(rows).save("shared", path=sys.argv[1])
"""


def test_processes_may_save_the_same_versions_at_once(store):
    program = SAVER.format(rounds=9, size=40)
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    for one in running:
        assert one.stdout is not None
        one.stdout.readline()
    for one in running:
        one.communicate(b"go\n", timeout=60)
    assert [one.returncode for one in running] == [0, 0, 0]
    assert sorted(one.items for one in versions("shared")) == [40, 41, 42]
    for one in versions("shared"):
        assert len(Dataset.load("shared", one.version)) == one.items
    assert len(files(store)) == 7


def test_threads_may_save_at_once(store, numbers):
    sets = [numbers(n % 4 + 1) for n in range(12)]
    threads = [threading.Thread(target=one.save, args=("shared",)) for one in sets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(one.items for one in versions("shared")) == [1, 2, 3, 4]


def test_a_killed_save_leaves_no_version_and_the_next_one_cleans_up(store, numbers, monkeypatch):
    program = """
import os, signal, sys
from llmops_sdk.store.datasets import _write
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "in the items":
    _write.os.fsync = kill
else:
    _write.describe = kill
from llmops_sdk.datasets import Dataset
Dataset.from_rows([{"input": "secret of ada"}]).save("faq", path=sys.argv[1])
"""
    numbers(1).save("faq")
    for place in ("in the items", "before the description"):
        done = subprocess.run([sys.executable, "-c", program, str(store), place], check=False)
        assert done.returncode == -9
        left = [file for file in files(store) if "jsonl" in file]
        assert len(left) == 2
        assert [one.items for one in versions("faq")] == [1]
        assert llmops.query("SELECT count(*) FROM dataset_items").scalar() == 1
        numbers(1).save("faq")
        assert len([file for file in files(store) if "jsonl" in file]) == 1


def test_a_store_that_cannot_be_written_is_a_typed_error(store, numbers):
    numbers(1).save("faq")
    (store / "datasets" / "faq").chmod(0o755)
    (store / "datasets" / "faq").chmod(0o777)
    with pytest.raises(StoreError, match="writable for other users"):
        numbers(2).save("faq")
    (store / "datasets" / "other").write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"):
        numbers(2).save("other")


@pytest.mark.thorough
def test_100_000_items_are_saved_and_loaded_within_bounded_memory(store):
    program = """
import resource, sys
from llmops_sdk.datasets import Dataset
rows = ({"input": f"question {n} " + "x" * 100, "expected": "y", "topic": n % 7} for n in range(100_000))
saved = Dataset.from_rows(rows).save("big", path=sys.argv[1])
assert Dataset.load("big", path=sys.argv[1]) == saved
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", program, str(store)], capture_output=True, check=True, text=True)
    assert int(done.stdout) < 600_000


def test_a_folder_of_data_sets_alone_is_a_store_and_a_users_own_is_none(store, numbers, tmp_path):
    saved = numbers(2).save("faq")
    shutil.copytree(store / "datasets", tmp_path / "copy" / "datasets")
    assert Dataset.load("faq", path=tmp_path / "copy") == saved
    for name in ("train.csv", "images/cat.png"):
        own = tmp_path / name.partition("/")[0] / "datasets" / name
        own.parent.mkdir(parents=True)
        own.write_text("mine")
        with pytest.raises(StoreError, match="is not a store: it holds datasets/"):
            numbers(2).save("faq", path=own.parents[name.count("/") + 1])
