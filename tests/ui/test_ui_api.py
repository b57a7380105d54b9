"""What the API answers over a real store."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from span_writer import START_NS, PlainSpan
from ui_page import MODELS, SECOND, Page, events, message, put_traces, trace_ids

from llmops_sdk.cli._app import run
from llmops_sdk.store import StoreSink, query
from llmops_sdk.ui._pages import PAGES, READS


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return a page that no test changes."""
    folder = tmp_path_factory.mktemp("ui") / "store"
    put_traces(folder)
    opened = Page(folder)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def traces() -> list[str]:
    return trace_ids()


SINCE = "2026-01-01"


def test_every_page_answers_and_says_how(page, traces):
    ids = {"{trace}": traces[0], "{span}": f"{2:016x}", "{session}": "talk"}
    more = {
        "text": {"trace": traces[0], "span": ids["{span}"], "field": "input"},
        "queue": {"judge": "helpful"},
        "compare": {"a": traces[0], "b": traces[1]},
    }
    for read in READS:
        if read.path in {"evals/compare", "doctor"}:
            continue  # experiments have a test of their own; doctor starts a process
        path = read.path
        for name, value in ids.items():
            path = path.replace(name, value)
        answer = page.get(path, **({"since": SINCE} if "since" in read.takes else {}), **more.get(read.path, {}))
        assert set(answer) == {"data", "sql", "command", "next", "notes"}, path
        assert path in {"pages", "filters"} or answer["command"].startswith("llmops "), path
        for shown in [answer, *answer["data"].get("tables", []), *answer["data"].get("charts", [])]:
            if shown.get("sql"):
                query(shown["sql"], path=page.folder)  # it runs as it is


def test_a_page_without_rows_answers_too(tmp_path, open_page):
    page = open_page(tmp_path / "none")
    for read in READS:
        if "{" not in read.path and read.path not in {"text", "queue", "compare", "evals/compare", "doctor"}:
            page.get(read.path)
    assert page.get("traces")["data"]["rows"] == []


def test_pages_of_the_list_have_each_trace_once(page, traces):
    found, cursor = [], ""
    for _ in range(10):
        answer = page.get("traces", limit=5, **({"cursor": cursor} if cursor else {}))
        found += [row["trace_id"] for row in answer["data"]["rows"]]
        cursor = answer["next"]
        if cursor is None:
            break
    assert found == traces


def test_a_line_of_the_list(page, traces):
    row = page.get("traces", limit=2)["data"]["rows"][0]

    assert row["trace_id"] == traces[0]
    assert row["start_time"] == "2026-11-18T11:17:40Z" or row["start_time"].endswith("Z")
    assert (row["duration_s"], row["status"], row["error_type"]) == (11.0, "error", "TimeoutError")
    assert (row["models"], row["spans"], row["tokens"], row["input"]) == (["claude-y"], 3, 26, "needle in 11")
    assert (row["session_id"], row["user_id"], row["simulated"]) == ("s2", "user-1", False)


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("traces", {"since": "yesterday"}, 400), ("traces", {"limit": "0"}, 400), ("traces", {"limit": "1e3"}, 400),
        ("traces", {"cursor": "x"}, 400), ("traces", {"min_cost": "nan"}, 400), ("traces", {"status": "bad"}, 400),
        ("traces", {"user": "x" * 2_000}, 400), ("trace/none", {}, 404), ("trace/%3Cx%3E", {}, 400),
        ("span/1/2", {}, 404), ("text", {}, 400), ("session/none", {}, 404), ("compare", {"a": "1"}, 400),
        ("compare", {"of": "x", "a": "1", "b": "2"}, 400), ("search", {}, 400), ("queue", {}, 400),
        ("queue", {"judge": "a", "target": "x"}, 400),
        ("evals/compare", {"a": "none", "b": "none"}, 400), ("live", {"limit": "1"}, 400), ("doctor", {"a": "1"}, 400),
    ],
)  # fmt: skip
def test_bad_requests_get_a_typed_error(page, path, params, status):
    answer = page.client.get(f"/api/v1/{path}", params=params)

    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"type", "message"}


@pytest.mark.parametrize(
    ("path", "name", "said"),
    [
        ("traces", "statu", 'did you mean "status"'), ("traces", "min-cost", 'did you mean "min_cost"'),
        ("search", "serach", 'did you mean "search"'), ("traces", "<b>", "Known are since, until"),
        ("trace/1", "since", "There are none here"), ("facets", "limit", '"limit" here'),
    ],
)  # fmt: skip
def test_an_unknown_parameter_gets_the_nearest_known_one(page, path, name, said):
    answer = page.client.get(f"/api/v1/{path}", params={name: "x"})

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "UnknownParameterError"
    assert said in answer.json()["error"]["message"]


def test_a_change_takes_no_parameters_in_its_address(page):
    assert page.post("scores?name=helpful", {}).json()["error"]["type"] == "UnknownParameterError"


def test_a_page_says_that_a_parameter_is_unknown_and_known_ones_pass(page):
    said = page.client.get("/traces", params={"statu": "ok", "user": '"a&b"', "<x>": "1"}).text
    assert 'data-problem="there is no parameter &quot;statu&quot; here: did you mean &quot;status&quot;?' in said
    assert 'data-without="?user=%22a%26b%22"' in said
    for address in (
        "/traces?live=1&since=1d&tag=a&tag=b&token=x",
        "/trace/1?span=2&show=errors&find=a",
        "/sql?q=SELECT+1",
    ):
        assert "data-problem" not in page.client.get(address, follow_redirects=True).text
    assert page.client.get("/?since=2h").headers["location"] == "/traces?since=2h"


def test_one_trace_and_its_spans(page, traces):
    data = page.get(f"trace/{traces[1]}")["data"]

    assert [(one["name"], one["depth"], one["own_ns"]) for one in data["spans"]] == [
        ("plan" if 10 % 4 == 0 else "ask", 0, 10 * SECOND - 1_500_004), ("chat gpt-x", 1, 1_500_000),
        ("lookup", 1, 1_500_000),
    ]  # fmt: skip
    assert data["spans"][0]["start_ns"] == str(START_NS + 600 * SECOND)
    span = page.get(f"span/{traces[1]}/{2:016x}")["data"]
    assert span["call"]["messages"]["input"][0] == message("user", "question 0")
    assert span["call"]["cost"] == pytest.approx(0.011)


def test_a_long_text_is_cut_and_read_in_parts(folder, open_page):
    text = "äb" * 15_000
    sink = StoreSink(folder)
    sink.write([PlainSpan(trace_id=5, span_id=6, input=json.dumps(text, ensure_ascii=False).encode())])
    sink.close(5.0)
    page = open_page(folder)
    ids = {"trace": f"{5:032x}", "span": f"{6:016x}", "field": "input"}

    shown = page.get(f"span/{ids['trace']}/{ids['span']}")["data"]["input"]
    assert (len(shown["text"]), shown["chars"], shown["cut"]) == (20_000, 30_002, True)
    first = page.get("text", **ids)
    rest = page.get("text", **ids, offset=first["next"])
    assert json.loads(first["data"]["text"] + rest["data"]["text"]) == text
    assert rest["next"] is None


def test_a_session_shows_each_message_once(page):
    data = page.get("session/talk")["data"]

    said = [part["content"] for turn in data["turns"] for one in turn["said"] for part in one["parts"]]
    assert said == [f"question {number}" for number in range(4)]
    assert [turn["answered"][0]["parts"][0]["content"] for turn in data["turns"]] == [
        f"answer {number}" for number in range(4)
    ]
    assert data["turns"][3]["repeated"] == 6
    first = page.get("session/talk", limit=3)
    rest = page.get("session/talk", limit=3, cursor=first["next"])
    assert [*first["data"]["turns"], *rest["data"]["turns"]] == data["turns"]
    assert rest["next"] is None


def test_facets_and_histogram_count_what_the_list_has(page, traces):
    facets = page.get("facets", since=SINCE, status="error")["data"]
    histogram = page.get("histogram", since=SINCE, model="claude-y", bucket=3_600)["data"]

    assert {one["value"]: one["count"] for one in facets["status"]} == {"ok": 8, "error": 4}
    assert {one["value"]: one["count"] for one in facets["user"]} == {"user-0": 2, "user-1": 2}
    assert (sum(histogram["ok"]), sum(histogram["error"])) == (4, 2)
    assert len(page.get("traces", model="claude-y")["data"]["rows"]) == 6


def test_errors_are_grouped_by_their_shape(page):
    [table] = page.get("errors", since=SINCE)["data"]["tables"]

    assert len(table["rows"]) == 1
    assert table["rows"][0][:4] == ["TimeoutError", "no answer in # s", 8, 4]


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "since": st.integers(-2, 12).map(lambda minute: _iso(minute)),
        "until": st.integers(13, 15).map(lambda minute: _iso(minute)),
        "name": st.sampled_from(["ask", "plan", "none", "it's"]),
        "model": st.sampled_from([*MODELS, "none"]),
        "user": st.sampled_from(["user-0", "user-1", "'; --"]),
        "session": st.sampled_from(["talk", "s1", "--limit"]),
        "status": st.sampled_from(["ok", "error"]),
        "kind": st.sampled_from(["tool", "llm"]),
        "search": st.sampled_from(["needle in 1", "ANSWER 3", "$name", "100%", "a b 'c' \"d\" $(x)"]),
        "tag": st.lists(st.sampled_from(["red", "blue"]), min_size=1, max_size=2),
        "score": st.lists(st.sampled_from(["helpful", "helpful>0.5", "none<1"]), min_size=1, max_size=1),
        "min_cost": st.sampled_from([0, 0.004, 0.0075]),
        "min_duration": st.sampled_from([0, 3, 7.5]),
    },
)


def _iso(minute: int) -> str:
    moment = datetime.fromtimestamp(START_NS / 1e9, UTC) + timedelta(minutes=minute)
    return moment.replace(tzinfo=None).isoformat()


def check_same_traces(page, filters: dict[str, object], capsys) -> None:
    answer = page.get("traces", limit=100, **filters)
    shown = [row["trace_id"] for row in answer["data"]["rows"]]

    by_sql = query(answer["sql"], path=page.folder)
    assert [row[0] for row in by_sql] == shown
    words = shlex.split(answer["command"])
    capsys.readouterr()
    assert run([*words[1:], "--format", "json", "--store", str(page.folder)]) == 0
    assert [row["trace_id"] for row in json.loads(capsys.readouterr().out)] == shown
    if "min_cost" not in filters:
        histogram = page.get("histogram", **{"since": SINCE, **filters})["data"]
        assert sum(histogram["ok"]) + sum(histogram["error"]) == len(shown)


@pytest.mark.parametrize("examples", [3, pytest.param(200, marks=[pytest.mark.thorough, pytest.mark.timeout(900)])])
def test_the_copied_command_and_sql_give_the_same_traces(page, capsys, examples):
    @settings(max_examples=examples, deadline=None, database=None)
    @given(FILTERS)
    def check(filters):
        check_same_traces(page, filters, capsys)

    check()


def test_search_streams_what_it_finds_and_goes_on(page, traces):
    with page.client.stream("GET", "/api/v1/search", params={"search": "NEEDLE", "limit": 5}) as answer:
        first = list(events(answer))
    assert first[-1][0] == "done"
    done = first[-1][1]
    assert (done["complete"], done["rows"]) == (False, 5)
    with page.client.stream("GET", "/api/v1/search", params={"search": "NEEDLE", "cursor": done["next"]}) as answer:
        rest = list(events(answer))
    found = [row["trace_id"] for name, data, _ in [*first, *rest] if name == "rows" for row in data["rows"]]
    assert list(dict.fromkeys(found)) == traces
    assert rest[-1][1]["complete"]
    assert rest[-1][1]["next"] is None
    with page.client.stream("GET", "/api/v1/search", params={"search": "needle in 7", "user": "user-0"}) as answer:
        assert list(events(answer))[-1][1]["rows"] == 0
    # Spans after `until` come last, but a trace before it is found by them too.
    for text, count in (("needle", 2), ('answer 1"', 1), ("answer 5", 0)):
        params = {"search": text, "until": _iso(2)}
        with page.client.stream("GET", "/api/v1/search", params=params) as answer:
            name, done, _ = list(events(answer))[-1]
            assert (name, done["rows"], done["complete"]) == ("done", count, True)


@pytest.mark.thorough
def test_seven_streams_and_a_list_all_answer(page):
    import contextlib

    with contextlib.ExitStack() as opened:
        for _ in range(7):
            client = opened.enter_context(httpx.Client(base_url=page.url, headers=page.client.headers, trust_env=False))
            stream = events(opened.enter_context(client.stream("GET", "/api/v1/live")))
            assert next(stream)[0] == "ready"
        assert len(page.get("traces")["data"]["rows"]) == 12


def test_sql_is_confined_bounded_and_one_at_a_time(page):
    def ask(sql: str):
        return page.post("sql", {"sql": sql})

    found = ask("SELECT start_ns, tags, trace_id FROM spans ORDER BY start_ns LIMIT 1").json()["data"]
    assert found["rows"][0][0] == str(START_NS)
    assert [one["type"] for one in found["columns"]] == ["BIGINT", "VARCHAR[]", "VARCHAR"]
    cut = ask("SELECT * FROM range(5000)").json()
    assert (len(cut["data"]["rows"]), cut["data"]["total"]) == (1_000, 1_000)
    for sql in (
        "DELETE FROM spans",
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY spans TO '/tmp/x'",
        "",
        "SELECT 1; SELECT 2",
    ):
        assert ask(sql).status_code == 400, sql
    assert page.post("sql", []).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {}, {"name": "a", "value": 1}, {"name": "a", "value": float("1e400") if False else "x", "trace_id": "0" * 32},
        {"name": "", "value": 1, "trace_id": "0" * 32}, {"name": "a", "value": 1, "trace_id": "zz"},
        {"name": "a", "value": 1, "trace_id": "0" * 32, "session_id": "s"}, {"name": "a", "trace_id": "0" * 32},
        {"name": "a", "value": 1, "trace_id": "0" * 32, "by": "<b>"},
        {"name": "a", "value": 1, "trace_id": "0" * 32, "comment": "x" * 5_000},
    ],
)  # fmt: skip
def test_wrong_annotations_are_refused(page, body):
    answer = page.post("scores", body)

    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "UsageError")


@pytest.mark.thorough
def test_doctor_gives_what_the_command_finds(page):
    answer = page.get("doctor")

    assert any(row[0] == "store" for row in answer["data"]["tables"][0]["rows"])


def test_every_page_has_its_shell(page):
    for one in PAGES:
        path = one.path.replace("{trace}", "1").replace("{span}", "2").replace("{session}", "a%20b")
        answer = page.client.get(path)
        assert answer.status_code == 200
        assert '<script type="module" src="/static/app.js">' in answer.text
        assert "style=" not in answer.text
        assert len(answer.content) < 2_048
    assert page.client.get("/none").status_code == 404
