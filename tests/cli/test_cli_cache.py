"""`llmops cache stats`, `clear`, `invalidate`, `inspect` and `shadow`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import llmops_sdk as llmops

QUESTIONS = ("What is a span in tracing?", "what is a span in tracing", "What is a trace in tracing?")


@pytest.fixture
def asked(command) -> None:
    """Three questions with both tiers on, in shadow mode."""
    for question in QUESTIONS:
        llmops.chat(question, model="offline/echo", cache={"semantic": "shadow", "tags": ["spans", "web"]})
    llmops.flush()


def rows(ran) -> list[dict]:
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


@pytest.mark.usefixtures("asked")
def test_stats_of_each_tier(command) -> None:
    found = {row["tier"]: row for row in rows(command("cache", "stats", "--format", "json"))}
    assert (found["exact"]["entries"], found["exact"]["lookups"], found["exact"]["hit_rate"]) == (3, 3, 0.0)
    assert (found["semantic"]["entries"], found["semantic"]["lookups"]) == (3, 3)
    assert found["semantic"]["bytes"] > 0


@pytest.mark.usefixtures("asked")
def test_inspect_lists_entries_and_no_answers(command) -> None:
    listed = rows(command("cache", "inspect", "--format", "json"))
    assert [row["question"] for row in listed if row["tier"] == "semantic"] == list(reversed(QUESTIONS))
    assert {row["tags"] for row in listed} == {"spans, web"}
    exact = next(row for row in listed if row["tier"] == "exact")
    (one,) = rows(command("cache", "inspect", exact["key"][:14], "--format", "json"))
    assert one == exact
    assert len(rows(command("cache", "inspect", "-n", "1", "--format", "json"))) == 2


@pytest.mark.usefixtures("asked")
def test_invalidate_by_tag_reaches_both_tiers_and_by_key_the_exact_one(command) -> None:
    key = rows(command("cache", "inspect", "--format", "json"))[0]["key"]
    assert command("cache", "invalidate", "--key", key[:16]).out == "1 removed\n"
    assert command("cache", "invalidate", "--tag", "spans").out == "5 removed\n"
    assert rows(command("cache", "inspect", "--format", "json")) == []


@pytest.mark.parametrize("arguments", [(), ("--tag", "a", "--key", "b"), ("--key", "short")])
def test_invalidate_without_one_clear_target_is_a_usage_error(command, asked, arguments) -> None:
    assert command("cache", "invalidate", *arguments).status == 2


@pytest.mark.usefixtures("asked")
def test_clear_empties_every_tier(command) -> None:
    (row,) = rows(command("cache", "clear", "--format", "json"))
    assert row["removed"] == 6
    assert rows(command("cache", "inspect", "--format", "json")) == []


@pytest.mark.usefixtures("asked")
def test_shadow_tells_what_would_have_been_served_and_how_often_it_was_wrong(command) -> None:
    found = rows(command("cache", "shadow", "--format", "json"))
    assert found[0]["served if"] == "as configured"
    assert (found[0]["lookups"], found[0]["judged"]) == (3, 1)
    assert found[0]["hit_rate"] == pytest.approx(1 / 3, abs=1e-3)
    assert found[0]["latest"] == 0.0  # the last of the three asks for something else
    assert found[0]["error"] in {0.0, 1.0}
    assert 0 < found[0]["error_at_most"] <= 1
    assert rows(command("cache", "shadow", "--since", "2d", "--format", "json")) == found


def test_cache_that_does_not_exist_is_empty(command) -> None:
    assert rows(command("cache", "stats", "--format", "json")) == []
    assert rows(command("cache", "inspect", "--format", "json")) == []
    assert rows(command("cache", "shadow", "--format", "json")) == []


def test_semantic_cache_of_functions_is_listed_and_emptied_too(command) -> None:
    @llmops.cache(semantic="serve")
    def answer(question: str) -> str:
        return question

    answer("What is a span in tracing?")
    listed = rows(command("cache", "inspect", "--format", "json"))
    assert [row["tier"] for row in listed] == ["functions", "functions-semantic/semantic"]
    (cleared,) = rows(command("cache", "clear", "--format", "json"))
    assert cleared["removed"] == 2
    assert rows(command("cache", "inspect", "--format", "json")) == []


COMMANDS = [("stats",), ("inspect",), ("clear",), ("invalidate", "--tag", "spans"), ("invalidate", "--key", "0" * 16)]


def file_in_its_place(cache: Path) -> None:
    shutil.rmtree(cache)
    cache.write_text("x")


def tier_elsewhere(cache: Path) -> None:
    (cache / "exact").rename(cache.parent / "elsewhere")
    (cache / "exact").symlink_to(cache.parent / "elsewhere")


def tier_of_a_missing_folder(cache: Path) -> None:
    shutil.rmtree(cache / "exact")
    (cache / "exact").symlink_to("missing")


def database_elsewhere(cache: Path) -> None:
    (cache / "exact" / "cache.db").rename(cache.parent / "other.db")
    (cache / "exact" / "cache.db").symlink_to(cache.parent / "other.db")


def folder_as_database(cache: Path) -> None:
    (cache / "exact" / "cache.db").unlink()
    (cache / "exact" / "cache.db").mkdir()


def pipe_as_database(cache: Path) -> None:
    (cache / "exact" / "cache.db").unlink()
    os.mkfifo(cache / "exact" / "cache.db")


def no_database(cache: Path) -> None:
    for path in (cache / "exact").glob("cache.db*"):
        path.write_bytes(b"These are no pages of a database. " * 200)


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    "break_it",
    [
        file_in_its_place,
        tier_elsewhere,
        tier_of_a_missing_folder,
        database_elsewhere,
        folder_as_database,
        pipe_as_database,
        no_database,
    ],
)
def test_unusable_folder_of_the_cache_is_an_error_that_names_it(command, break_it) -> None:
    cache = llmops.settings().store.path / "cache"
    break_it(cache)
    for arguments in COMMANDS:
        ran = command("cache", *arguments)
        assert ran.status == 1, arguments
        assert str(cache) in ran.err, arguments


@pytest.mark.usefixtures("asked")
def test_unreadable_folder_of_the_cache_is_an_error() -> None:
    store = llmops.settings().store.path
    (store / "cache" / "exact").chmod(0)
    # Root may read everything: the process gives that up.
    code = (
        "import os\n"
        "from pathlib import Path\n"
        "from llmops_sdk.caching import count_answers, erase\n"
        "from llmops_sdk.caching._listing import list_entries, list_tiers\n"
        "from llmops_sdk.caching.backends._erase import remove\n"
        "from llmops_sdk.errors import StoreError\n"
        f"folder = Path({str(store / 'cache')!r})\n"
        "if os.getuid() == 0:\n    os.setuid(65534)\n"
        "listed = lambda f: list_entries(f, limit=1)\n"
        "for use in (list_tiers, listed, count_answers, erase, lambda f: remove(f, tag='x')):\n"
        "    try:\n        use(folder)\n"
        "    except StoreError as error:\n        print(str(folder) in str(error))\n"
    )
    above = [path for path in (*store.parents, store, store / "cache") if path.stat().st_uid == os.getuid()]
    modes = {path: path.stat().st_mode for path in above}
    try:
        for path, mode in modes.items():
            path.chmod(mode | 0o055)
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
        (store / "cache" / "exact").chmod(0o700)
    assert ran.stdout.split() == ["True"] * 5, ran.stderr


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("arguments", COMMANDS)
def test_database_without_tables_holds_nothing(command, arguments) -> None:
    """A process that is killed while it makes the database leaves an empty file: nothing is to be removed there."""
    exact = llmops.settings().store.path / "cache" / "exact"
    for path in exact.glob("cache.db*"):
        path.unlink()
    (exact / "cache.db").touch()
    ran = command("cache", *arguments)
    assert (ran.status, ran.err) == (0, "")
