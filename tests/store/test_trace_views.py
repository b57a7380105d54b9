"""The views `traces` and `sessions`, and single rows of a result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.store.reading._latest import TraceFilter, latest_traces


@pytest.fixture
def store(tmp_path: Path) -> Path:
    llmops.configure(store={"path": tmp_path / "store"}, model="offline/echo")
    for number in range(2):
        with llmops.context(session_id="s1", user_id="ada", tags=["shop", f"run{number}"]), llmops.span("root") as root:
            llmops.chat("hello")
            llmops.score("helpful", 0.25)
            llmops.score("helpful", 0.5)
        llmops.score("tone", "kind", trace_id=root.trace_id)
    with llmops.span("alone"):
        pass
    assert llmops.flush().pending == 0
    return tmp_path / "store"


def test_traces_have_tags_models_and_the_latest_scores(store: Path) -> None:
    rows = llmops.query("SELECT name, tags, models, scores FROM traces ORDER BY start_time", path=store).rows()
    assert [row[:3] for row in rows] == [
        ("root", ["run0", "shop"], ["echo"]), ("root", ["run1", "shop"], ["echo"]), ("alone", [], []),
    ]  # fmt: skip
    assert [json.loads(row[3]) if row[3] else None for row in rows] == [{"helpful": 0.5, "tone": "kind"}] * 2 + [None]
    assert llmops.query("SELECT count(*) FROM traces WHERE (scores ->> '$.helpful')::DOUBLE < 0.6", path=store)[0] == (
        2,
    )


def test_scores_that_name_only_a_span_count_for_its_trace(store: Path) -> None:
    spans = llmops.query("SELECT span_id FROM spans WHERE name <> 'root' ORDER BY start_time", path=store).rows()
    for span_id, name, value in ((spans[0][0], "helpful", 0.75), (spans[2][0], "tone", 1.0), ("0" * 15 + "1", "no", 1)):
        llmops.score(name, value, span_id=span_id)
    assert llmops.flush().pending == 0
    rows = llmops.query("SELECT scores FROM traces ORDER BY start_time", path=store).rows()
    expected = [{"helpful": 0.75, "tone": "kind"}, {"helpful": 0.5, "tone": "kind"}, {"tone": 1.0}]
    assert [json.loads(row[0]) for row in rows] == expected
    for columns in ("scores", "*"):
        page = latest_traces(store, columns, limit=3)
        assert [json.loads(row[-1]) for row in page.rows] == expected[::-1]
    chosen = TraceFilter(where="(scores ->> '$.helpful')::DOUBLE > 0.6")
    assert [json.loads(row[0]) for row in latest_traces(store, "scores", limit=3, chosen=chosen).rows] == expected[:1]


def test_sessions_roll_up_their_traces(store: Path) -> None:
    (row,) = llmops.query("FROM sessions", path=store).dicts()
    expected = {"session_id": "s1", "user_id": "ada", "traces": 2, "spans": 4, "llm_calls": 2, "errors": 0}
    assert expected.items() <= row.items()
    assert (row["tags"], row["models"], row["simulated"]) == (["run0", "run1", "shop"], ["echo"], True)
    assert row["start_time"] < row["end_time"]


def test_a_result_has_single_rows_and_a_head(store: Path) -> None:
    result = llmops.query("FROM range(10)", path=store)
    assert (result[0], result[9], result[-1], result[-10]) == ((0,), (9,), (9,), (0,))
    for index in (10, -11):
        with pytest.raises(IndexError, match="10 rows"):
            result[index]
    with pytest.raises(TypeError):
        result["name"]
    assert result.head() == [(number,) for number in range(5)]
    assert (result.head(2), result.head(0), result.head(-1)) == ([(0,), (1,)], [], [])
    assert list(result) == [(number,) for number in range(10)]


def test_errors_of_options_and_guards_name_file_and_key(own_surroundings: Path) -> None:
    file = own_surroundings / "settings.toml"
    file.write_text('model = "a"\n[models.a]\nmodel = "offline/echo"\noptions = { latncy = 1 }\n')
    llmops.configure(config_file=file)
    with pytest.raises(llmops.ConfigError, match=r"models\.a\.options\.latncy") as caught:
        llmops.chat("hello")
    assert caught.value.source == str(file)
    file.write_text('model = "offline/echo"\n[guardrails]\noutput = ["crads"]\n')
    llmops.configure(config_file=file)
    with pytest.raises(llmops.ConfigError, match=r"guardrails\.output.*did you mean") as caught:
        llmops.chat("hello")
    assert caught.value.source == str(file)
