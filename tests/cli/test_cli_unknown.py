"""Names that the store does not have, folders that are no store, and `prune` of nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk import StoreError


@pytest.mark.parametrize(
    ("option", "name", "part"),
    [
        ("--kind", "lllm", "the nearest is llm"),
        ("--model", "gpd", "the nearest is gpt"),
        ("--tag", "shopp", "the nearest is shop"),
        ("--user", "adda", "the nearest is ada"),
        ("--session", "s11", "the nearest is s1"),
        ("--score", "helpfull", "it has none"),
    ],
)
@pytest.mark.parametrize("what", ["traces", "stats", "tail"])
def test_name_that_does_not_occur_is_told(command, store: Path, what: str, option: str, name: str, part: str) -> None:
    more = ["--no-follow"] if what == "tail" else []
    ran = command(what, option, name, *more, "--store", store)
    assert ran.status == 0
    assert f'"{name}"; ' in ran.err
    assert part in ran.err


def test_score_that_does_not_occur_names_the_nearest(command, store: Path) -> None:
    with llmops.span("judged"):
        llmops.score("helpful", 1.0)
    llmops.flush()
    assert "the nearest is helpful" in command("traces", "--score", "helpfull<0.5", "--store", store).err


def test_known_name_without_rows_is_not_told(command, store: Path) -> None:
    assert command("traces", "--user", "ada", "--status", "cancelled", "--store", store).err == ""


@pytest.mark.parametrize("what", [("traces",), ("stats",), ("sql", "FROM spans"), ("doctor",), ("tail", "--no-follow")])
def test_commands_that_look_write_nothing_into_a_folder(command, tmp_path: Path, what: tuple[str, ...]) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    command(*what, "--store", folder)
    assert list(folder.iterdir()) == []
    (folder / "chapter.txt").write_text("one")
    ran = command(*what, "--store", folder)
    assert [one.name for one in folder.iterdir()] == ["chapter.txt"]
    if what[0] in {"traces", "stats", "sql"}:
        assert ran.status == 1
        assert "is no store of traces" in ran.err
    with pytest.raises(StoreError, match=r"is not a store: it holds chapter\.txt"):
        llmops.connect(path=folder)
    assert [one.name for one in folder.iterdir()] == ["chapter.txt"]


def test_prune_of_nobody_keeps_everybodys_answers(command, tmp_path: Path) -> None:
    folder = tmp_path / "cached"
    llmops.configure(store={"path": folder}, cache={"exact": True}, model="offline/echo")
    with llmops.context(user_id="ada"):
        llmops.chat("hello")
    llmops.shutdown()

    def answers() -> str:
        return command("prune", "--user", "ada", "--dry-run", "--store", folder).err

    assert "1 answers would be deleted from the response cache, for all users" in answers()
    ran = command("prune", "--user", "nobody", "--yes", "--store", folder)
    assert ran.status == 0
    assert "the response cache stays" in ran.err
    assert "would stay" in command("prune", "--user", "nobody", "--dry-run", "--store", folder).err
    assert "1 answers would be" in answers()
    command("prune", "--user", "nobody", "--yes", "--clear-cache", "--store", folder)
    assert "0 answers would be" in answers()


def test_schema_prints_views_and_columns(command) -> None:
    assert "llm_calls" in command("schema").out
    rows = json.loads(command("schema", "traces", "--format", "json").out)
    assert {"trace_id", "cost"} <= {row["column"] for row in rows}
    ran = command("schema", "llmcalls")
    assert ran.status == 2
    assert "llm_calls" in ran.err
