"""Data sets of traces: `prune --user` reaches their items and results, and a split does not leak."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.datasets import Dataset
from llmops_sdk.evals import evaluate


def files_with(text: str, folder: Path) -> list[str]:
    """Return the files of the store that have a text, also in Parquet."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    ]


def record(user, session, text):
    with llmops.context(user_id=user, session_id=session), llmops.span("answer", input=text) as span:
        span.output = f"about {text}"
    return span.trace_id


def test_prune_reaches_data_sets_and_results(store, command):
    """Erase ada from every version and part of the data sets, and from the experiments over them."""
    ada, bob = "zanzibarquestion", "helsinkiquestion"
    trace = record("ada", "s1", ada)
    record("bob", "s2", bob)
    llmops.flush()
    sql = "SELECT trace_id, input, output AS expected FROM spans WHERE name = 'answer'"
    first = Dataset.from_query(sql).save("asked")
    first.add([{"input": "later", "expected": "x"}]).save("asked")
    first.split({"train": 0.5, "test": 0.5}, by=["user"]).save("asked")
    Dataset.from_rows([{"input": f"typed {ada}", "user_id": "ada"}, {"input": f"typed {bob}", "user_id": "bob"}]).save(
        "typed"
    )
    # Without the columns that name the user: only the trace tells.
    stripped = [{"input": one.input, "source_trace_id": one.source_trace_id} for one in first.items]
    Dataset.from_rows(stripped).save("stripped")
    for name in ("asked", "typed", "stripped"):
        evaluate(lambda text: f"echo {text}", name, "not_empty", name=f"run-{name}", progress=False)
    llmops.flush()
    assert files_with(ada, store)
    status, out, err = command("prune", "--user", "ada", "--yes")
    assert status == 0, out + err

    assert Dataset.load("asked").erased == 1
    for name, texts in (
        ("asked", ["helsinkiquestion", "later"]),
        ("typed", ["typed helsinkiquestion"]),
        ("stripped", ["helsinkiquestion"]),
    ):
        loaded = Dataset.load(name)
        assert [one.input for one in loaded.items] == texts
        assert loaded.erased == 1
    parts = [Dataset.load(f"asked-{part}") for part in ("train", "test")]
    assert sorted(one.input for part in parts for one in part.items) == ["helsinkiquestion"]
    assert llmops.query("SELECT count(*) FROM dataset_items WHERE input::VARCHAR LIKE '%zanzibar%'").scalar() == 0

    for view in ("experiment_items", "experiment_scores", "spans", "scores"):
        assert llmops.query(f"SELECT count(*) FROM {view} AS v WHERE v::VARCHAR LIKE '%zanzibar%'").scalar() == 0, view
        assert llmops.query(f"SELECT count(*) FROM {view} AS v WHERE v::VARCHAR LIKE '%{trace}%'").scalar() == 0, view
    items = llmops.query("SELECT count(*) FROM experiment_items WHERE input::VARCHAR LIKE '%helsinki%'").scalar()
    assert items == 3
    assert files_with(ada, store) == []
    # It does not come back: neither by a rerun, nor by saving the version that had it.
    assert (
        len(evaluate(lambda text: f"echo {text}", "asked", "not_empty", name="run-asked", progress=False).results) == 2
    )
    with pytest.raises(llmops.LLMOpsError, match="erased"):
        first.save("asked")


def test_a_split_keeps_duplicates_sessions_and_users_together():
    rows = []
    for user in range(60):
        for session in range(2):
            rows += [
                {"input": f"question {user} {session} {n}", "user_id": f"u{user}", "session_id": f"s{user}-{session}"}
                for n in range(2)
            ]
    # A chain: users 0 to 9 are linked by questions that differ in case, width, spaces and accents' form.
    for user in range(9):
        rows.append({"input": f"Où est  la CARTE {user}?", "user_id": f"u{user}"})
        rows.append({"input": unicodedata.normalize("NFD", f"où est la carte {user} !"), "user_id": f"u{user + 1}"})
    # Two users share a session.
    rows += [
        {"input": "shared 1", "user_id": "u20", "session_id": "shared"},
        {"input": "shared 2", "user_id": "u40", "session_id": "shared"},
    ]
    data = Dataset.from_rows([{**row, "id": str(number)} for number, row in enumerate(rows)])
    for seed in range(8):
        parts = data.split({"train": 0.6, "dev": 0.2, "test": 0.2}, seed=seed)
        where = {one.id: name for name, part in dict(parts).items() for one in part.items}

        assert len(where) == len(rows)
        for column in ("user_id", "session_id"):
            by_value: dict[str, set[str]] = {}
            for number, row in enumerate(rows):
                if column in row:
                    by_value.setdefault(row[column], set()).add(where[str(number)])
            assert all(len(found) == 1 for found in by_value.values())
        of_chain = {
            where[str(number)] for number, row in enumerate(rows) if row.get("user_id") in {f"u{n}" for n in range(10)}
        }
        assert len(of_chain) == 1
        assert len({where[str(number)] for number, row in enumerate(rows) if row["user_id"] in {"u20", "u40"}}) == 1
        shuffled = Dataset.from_rows([{**rows[int(n)], "id": str(n)} for n in reversed(range(len(rows)))])
        again = shuffled.split({"train": 0.6, "dev": 0.2, "test": 0.2}, seed=seed)
        assert {one.id: name for name, part in dict(again).items() for one in part.items} == where
