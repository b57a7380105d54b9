"""What the page changes, and what it shows of changes by others."""

from __future__ import annotations

import json
import subprocess
import sys

import httpx
import pytest
from ui_page import SECOND, START_NS, PlainSpan, call, events, message, put_traces

from llmops_sdk.store import StoreSink, query


@pytest.fixture
def traces(folder) -> list[str]:
    return put_traces(folder)


@pytest.fixture
def page(folder, traces, open_page):
    return open_page(folder)


def test_live_shows_what_ends_and_resumes(page, folder):
    sink = StoreSink(folder)
    with page.client.stream("GET", "/api/v1/live") as answer:
        stream = events(answer)
        assert next(stream)[0] == "ready"
        sink.write([PlainSpan(name="first", trace_id=77, span_id=1)])
        assert [row["name"] for row in next(one for one in stream if one[0] == "traces")[1]["rows"]] == ["first"]
        position = next(one for one in stream if one[0] == "position")[2]
    sink.write([PlainSpan(name="between", trace_id=78, span_id=1)])
    with page.client.stream("GET", "/api/v1/live", headers={"Last-Event-ID": position}) as answer:
        _name, data, _ = next(one for one in events(answer) if one[0] == "traces")
        assert [row["name"] for row in data["rows"]] == ["between"]
    with page.client.stream("GET", "/api/v1/live", params={"position": "wrong"}) as answer:
        assert next(events(answer))[0] == "error"
    sink.close(5.0)


def test_annotations_of_one_person_replace_and_undo_each_other(page, traces, folder):
    for value in (0.25, True):
        body = {"name": "helpful", "value": value, "trace_id": traces[0], "by": "ada", "comment": "why"}
        assert page.post("scores", body).status_code == 200
    page.post("scores", {"name": "helpful", "value": 0, "trace_id": traces[0], "by": "bob"})
    page.post("scores", {"name": "tone", "label": "kind", "session_id": "talk", "by": "ada"})
    page.post("scores", {"name": "right", "value": 1, "trace_id": traces[0], "span_id": f"{2:016x}", "by": "ada"})
    mine = "SELECT name, value, source, target FROM scores WHERE source LIKE 'ui:%' ORDER BY ALL"
    assert query(mine, path=folder).rows() == [
        ("helpful", 0.0, "ui:bob", "trace"), ("helpful", 1.0, "ui:ada", "trace"), ("right", 1.0, "ui:ada", "span"),
        ("tone", None, "ui:ada", "session"),
    ]  # fmt: skip
    assert traces[0] not in [row["trace_id"] for row in page.get("queue", judge="helpful", by="ada")["data"]["rows"]]

    page.post("scores", {"name": "helpful", "trace_id": traces[0], "by": "bob", "undo": True})

    assert [row[2] for row in query(mine, path=folder) if row[0] == "helpful"] == ["ui:ada"]
    assert page.get("traces", limit=1)["data"]["rows"][0]["scores"] == {"helpful": 1.0, "right": 1.0}
    assert query("SELECT count(*) FROM store.scores WHERE source = 'ui:bob'", path=folder).scalar() == 2


@pytest.mark.parametrize(
    ("target", "count", "keys"),
    [("traces", 12, ["trace_id"]), ("spans", 36, ["trace_id", "span_id"]), ("calls", 12, ["trace_id", "span_id"]),
     ("sessions", 4, ["session_id"])],
)  # fmt: skip
def test_the_queue_gives_what_a_person_has_not_judged(page, target, count, keys):
    def rows(**more) -> list[dict[str, object]]:
        ask = {"judge": "good", "by": "ada", "limit": 50, "since": "3650d", "target": target, **more}
        return page.get("queue", **ask)["data"]["rows"]

    listed = rows()
    assert [sorted(row["score_target"]) for row in listed] == [sorted(keys)] * count
    page.post("scores", {**listed[1]["score_target"], "name": "good", "value": 1, "by": "ada"})

    assert [row["score_target"] for row in rows()] == [row["score_target"] for row in (listed[0], *listed[2:])]
    assert len(rows(by="bob")) == len(rows(judge="tone")) == count
    # A score of one target judges no other.
    for other, number in (("traces", 12), ("spans", 36), ("sessions", 4)):
        if other != target and (target, other) != ("calls", "spans"):
            assert len(rows(target=other)) == number
    page.post("scores", {**listed[1]["score_target"], "name": "good", "undo": True, "by": "ada"})
    assert rows() == listed


def test_an_item_of_the_queue_has_its_content(page, folder):
    sink = StoreSink(folder)
    sink.write([
        call(1, 99, said=[message("user", "x" * 150_000)], answer="long", start_ns=START_NS + 86_400 * SECOND),
        PlainSpan(name="tool", kind="tool", trace_id=99, span_id=3, start_ns=START_NS, input=b'{"a": 1}'),
    ])  # fmt: skip
    sink.close(5.0)

    found = page.get("queue", judge="good", target="spans", name="tool")["data"]["rows"]
    assert [(row["input"], row["is_call"]) for row in found] == [({"a": 1}, False)]
    [long, short] = page.get("queue", judge="good", target="calls", limit=2)["data"]["rows"]
    assert (long["input"]["chars"] > 150_000, long["input"]["cut"], len(long["input"]["text"])) == (True, True, 20_000)
    assert long["output"][0]["parts"][0]["content"] == "long"
    assert short["input"][-1]["parts"][0]["content"] == "question 11"
    assert short["model"] == "claude-y"


def test_a_selection_becomes_a_data_set_with_its_lineage(page, traces, folder):
    made = page.post("datasets", {"name": "picked", "trace_ids": traces[:2]}).json()
    assert made["data"]["items"] == 2
    more = page.post("datasets", {"name": "picked", "trace_ids": traces[1:4], "add": True}).json()
    assert more["data"]["items"] == 4
    tuned = page.post("datasets", {"name": "tuned", "trace_ids": traces, "form": "sft"}).json()
    assert tuned["data"]["items"] == 8  # the calls that did not fail
    rows = query("SELECT DISTINCT source_trace_id FROM dataset_items WHERE dataset = 'picked' AND latest", path=folder)
    assert {row[0] for row in rows} == set(traces[:4])
    for body in ({"name": "x"}, {"name": "x", "trace_ids": ["'"]}, {"name": "../x", "trace_ids": traces[:1]}):
        assert page.post("datasets", body).status_code == 400


def test_a_read_only_page_refuses_every_change_but_answers_sql(folder, traces, open_page):
    page = open_page(folder, read_only=True)

    for path in ("scores", "datasets", "replay", "filters"):
        assert page.post(path, {}).status_code == 403
    assert page.post("sql", {"sql": "SELECT 1"}).status_code == 200


@pytest.mark.thorough
def test_two_pages_show_one_store_and_kill_9_leaves_it_whole(folder, traces, page, tmp_path):
    command = [sys.executable, "-m", "llmops_sdk", "ui", "--store", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        address = other.stdout.readline().strip()
        with httpx.Client(trust_env=False, follow_redirects=True) as browser:
            assert browser.get(address).status_code == 200
            url = address.split("/?")[0]
            listed = browser.get(f"{url}/api/v1/traces").json()["data"]["rows"]
            assert [row["trace_id"] for row in listed] == traces
            given = {"name": "good", "value": 1, "trace_id": traces[0], "by": "ada"}
            posted = browser.post(f"{url}/api/v1/scores", json=given, headers={"X-LLMOps": "1", "Origin": url})
            assert posted.status_code == 200
        other.kill()

    assert len(page.get("traces")["data"]["rows"]) == 12
    assert query("SELECT value FROM scores WHERE source = 'ui:ada'", path=folder).scalar() == 1.0
    assert page.post("scores", given).status_code == 200


HOSTILE = "<img src=x onerror=alert(1)> '\"; DROP"


def test_a_filter_gets_a_name_and_is_kept_in_the_store(page, folder, open_page):
    page.post("filters", {"name": " slow ", "query": "?min_duration=5&tag=a%26b&tag=c&status="})
    saved = page.post("filters", {"name": HOSTILE, "query": "user=ada"}).json()["data"]["rows"]

    assert saved == [
        {"name": HOSTILE, "query": "user=ada"},
        {"name": "slow", "query": "min_duration=5&tag=a%26b&tag=c"},
    ]
    page.post("filters", {"name": "slow", "query": "min_duration=6"})
    assert page.post("filters", {"name": HOSTILE, "remove": True}).status_code == 200
    assert open_page(folder).get("filters")["data"]["rows"] == [{"name": "slow", "query": "min_duration=6"}]
    file = folder / "ui" / "filters.json"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert query("SELECT count(*) FROM spans", path=folder).scalar() == 36


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "a"}, 400), ({"name": "", "query": "user=a"}, 400), ({"name": "x" * 61, "query": "user=a"}, 400),
        ({"name": "a\u202eb", "query": "user=a"}, 400), ({"name": "a\nb", "query": "user=a"}, 400),
        ({"name": 1, "query": "user=a"}, 400), ({"name": "a", "query": "live=1"}, 400),
        ({"name": "a", "query": ""}, 400), ({"name": "a", "query": "user=" + "x" * 4_000}, 400),
        ({"name": "a", "query": "since=never"}, 400), ({"name": "a", "query": "tag=a&" * 200}, 400),
        ({"name": "../a", "remove": True}, 404),
    ],
)  # fmt: skip
def test_a_filter_that_is_not_valid_is_not_saved(page, folder, body, status):
    assert page.post("filters", body).status_code == status
    assert page.get("filters")["data"]["rows"] == []


def test_saved_filters_have_bounds_and_a_damaged_file_is_named(page, folder):
    place = folder / "ui"
    place.mkdir(mode=0o700)
    file = place / "filters.json"
    file.write_text(json.dumps({str(number): "user=a" for number in range(150)} | {"bad": "nothing=1"}))
    assert len(page.get("filters")["data"]["rows"]) == 100
    assert "remove one" in page.post("filters", {"name": "one more", "query": "user=a"}).json()["error"]["message"]
    file.write_text("[")
    answer = page.client.get("/api/v1/filters")
    assert (answer.status_code, str(file) in answer.json()["error"]["message"]) == (503, True)
    file.unlink()
    file.symlink_to("/etc/passwd")
    assert page.client.get("/api/v1/filters").status_code == 503
