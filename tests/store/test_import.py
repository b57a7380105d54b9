"""Imports are complete or leave nothing, double nothing, and name the place of an error."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import pytest
from otlp_requests import simple_request, simple_span
from thorough_cases import thorough

import llmops_sdk as llmops
from llmops_sdk.errors import StoreError
from llmops_sdk.store import StoreSink, compact, export, import_file, prune, query

FORMS = ["parquet", "jsonl", "csv", "json"]


@pytest.fixture
def filled(tmp_path: Path, make_span: Any) -> Path:
    """A store with 1,500 spans."""
    sink = StoreSink(tmp_path / "filled")
    sink.write([make_span(span_id=number, input=b"%d" % number) for number in range(1, 1501)])
    sink.close(1.0)
    return tmp_path / "filled"


def count(store: Path, view: str = "spans") -> int:
    return query(f"SELECT count(*) FROM {view}", path=store).scalar()


def nothing_left(store: Path) -> bool:
    """Whether no import has left anything but what is in the store."""
    return not (store / "import").exists() and not list(store.rglob("*.rest"))


@pytest.mark.parametrize("form", FORMS)
def test_second_import_doubles_nothing_unless_forced(filled, store, tmp_path, form):
    file = export(tmp_path / f"spans.{form}", path=filled).file
    half = export(tmp_path / f"half.{form}", where="span_id < '00000000000002ee'", path=filled)
    assert import_file(half.file, path=store).spans == half.rows == 749
    done = import_file(file, path=store)
    assert (done.spans, done.present) == (751, 749)
    assert count(store) == 1500
    assert query("SELECT count(DISTINCT span_id) FROM spans", path=store).scalar() == 1500
    again = import_file(file, path=store)
    assert (again.spans, again.present, count(store)) == (0, 1500, 1500)
    forced = import_file(file, path=store, force=True)
    assert (forced.spans, forced.present, count(store)) == (1500, 0, 3000)
    assert nothing_left(store)
    assert [path.name for path in store.glob("wal/*") if path.stat().st_mode & 0o777 != 0o600] == []


def test_import_finds_known_spans_in_parquet_files(filled, store, tmp_path):
    file = export(tmp_path / "spans.jsonl", path=filled).file
    assert import_file(file, path=store).spans == 1500
    assert compact(path=store).rows == 1500
    again = import_file(file, path=store)
    assert (again.spans, again.present, count(store)) == (0, 1500, 1500)
    assert import_file(export(tmp_path / "spans.csv", path=store).file, path=filled).present == 1500


@pytest.mark.parametrize("form", FORMS)
def test_dry_run_counts_and_writes_nothing(filled, store, tmp_path, form):
    file = export(tmp_path / f"spans.{form}", path=filled).file
    done = import_file(file, path=store, dry_run=True)
    assert (done.spans, done.present, store.exists()) == (1500, 0, False)
    before = sorted(filled.rglob("*"))
    assert import_file(file, path=filled, dry_run=True).present == 1500
    assert sorted(filled.rglob("*")) == before


@pytest.mark.parametrize("form", ["jsonl", "csv", "json"])
def test_compressed_files_are_read(filled, store, tmp_path, form):
    file = export(tmp_path / f"spans.{form}", path=filled).file
    packed = tmp_path / f"packed.{form}.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert import_file(packed, path=store).spans == 1500
    packed.write_bytes(gzip.compress(file.read_bytes())[:-9])
    with pytest.raises(StoreError, match="torn"):
        import_file(packed, path=store)


def test_otlp_json_of_other_tools_is_imported(store, tmp_path):
    lines = tmp_path / "traces.json"
    lines.write_text("".join(json.dumps(simple_request([simple_span(number)])) + "\n" for number in (1, 2)))
    whole = tmp_path / "whole.json"
    whole.write_text(json.dumps(simple_request([simple_span(3), simple_span(4)]), indent=2))
    packed = tmp_path / "traces-2026.11.jsonl.gz"
    packed.write_bytes(gzip.compress((json.dumps(simple_request([simple_span(5)])) + "\n\n").encode()))
    log = {"eventName": "gen_ai.evaluation.result", "traceId": "1" * 32, "timeUnixNano": "5", "attributes": [
        {"key": "gen_ai.evaluation.name", "value": {"stringValue": "good"}}]}  # fmt: skip
    logs = tmp_path / "logs.json"
    logs.write_text(json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [log, {}]}]}]}))
    metrics = tmp_path / "metrics.json"
    metrics.write_text('{"resourceMetrics": []}')
    assert [import_file(file, path=store).spans for file in (lines, whole, packed, metrics)] == [2, 2, 1, 0]
    done = import_file(logs, path=store)
    assert (done.scores, done.ignored) == (1, 1)
    rows = query("SELECT name, service, kind, scope FROM spans", path=store).rows()
    assert rows == [("work", "tests", "chain", "a.library")] * 5
    assert count(store, "scores") == 1


def test_bad_span_is_skipped_and_counted(store, tmp_path):
    file = tmp_path / "traces.json"
    file.write_text(json.dumps(simple_request([simple_span(1), simple_span(2, traceId="0" * 32)])))
    done = import_file(file, path=store)
    assert (done.spans, done.rejected) == (1, 1)
    assert done.problems == ("line 1 resourceSpans[0].scopeSpans[0].spans[1]: traceId is missing or all zeros",)
    found = query("SELECT what, reason, count FROM losses", path=store).rows()
    assert found == [("span", "not_decodable", 1)]
    import_file(file, path=store)
    assert query("SELECT sum(count) FROM losses", path=store).scalar() == 1


def torn(text: str) -> str:
    return text[: len(text) * 2 // 3]


ROW = json.dumps({"trace_id": "1" * 32, "span_id": "2" * 16, "start_ns": 5, "name": "n"}) + "\n"
REFUSED = {
    "torn.jsonl": (ROW + torn(ROW), r"torn\.jsonl, line 2: invalid JSON .*remove that line"),
    "array.jsonl": (ROW + "[1]\n", "line 2: not a JSON object"),
    "id.jsonl": (ROW + ROW.replace("2" * 16, "short"), "line 2: span_id is not 16 hex digits: 'short'"),
    "zero.jsonl": (ROW.replace("1" * 32, "0" * 32), "line 1: trace_id is missing or all zeros"),
    "time.jsonl": (ROW.replace('"start_ns": 5', '"start_ns": "noon"'), "line 1: start_ns is not a 64-bit integer"),
    "late.jsonl": (ROW.replace('"start_ns": 5', f'"start_ns": {2**63 - 1}, "duration_ns": 1'), "not a time between"),
    "near.jsonl": (ROW + ROW.replace('"name"', '"nane"'), 'line 2: .*no column "nane", did you mean "name"'),
    "mixed.jsonl": (ROW + '{"what": "a", "count": 1}\n', "line 2: losses among spans"),
    "other.jsonl": ('{"some": "log"}\n', r"line 1: the columns \(some\) are not those of an exported file"),
    "events.jsonl": (ROW.replace('"n"', '"n", "events": "x"'), "events is not a list of JSON objects"),
    "torn.json": (json.dumps(simple_request([simple_span(1)])) + "\n" + '{"resourceSpans": [{', "line 2: invalid JSON"),
    "whole.json": (torn(json.dumps(simple_request([simple_span(1)]), indent=1)), "neither one JSON request a line"),
    "foreign.json": ('{"some": "thing"}', "line 1: not an OTLP request"),
    "shape.json": ('{"resourceSpans": {}}', "line 1: not a valid OTLP request: resourceSpans is not a list"),
    "columns.csv": ('trace_id,span_id,start_ns,colour\n"1","2",3,"red"\n', 'no column "colour"'),
    "cells.csv": ('trace_id,span_id,start_ns\n"' + "1" * 32 + '","' + "2" * 16 + '",noon\n', "row 1: start_ns is not"),
    "torn.csv": ('trace_id,span_id,start_ns\n"' + "1" * 32 + '","' + "2" * 16, "torn"),
    "unended.csv": ('trace_id,span_id,start_ns\n"' + "1" * 32 + '","' + "2" * 16 + '",12', "torn"),
    "foreign.csv": ("a,b\n1,2\n", "are not those of an exported file"),
    "foreign.parquet": ("no parquet", "torn, or has another form"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_torn_or_foreign_file_raises_with_place_and_leaves_nothing(filled, tmp_path, name):
    text, says = REFUSED[name]
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(StoreError, match=says) as caught:
        import_file(file, path=filled)
    assert "Nothing of this file was imported" in str(caught.value)
    assert caught.value.path == str(file)
    assert (count(filled), nothing_left(filled)) == (1500, True)


@pytest.mark.parametrize("form", FORMS)
def test_truncated_file_raises(filled, store, tmp_path, form):
    file = export(tmp_path / f"spans.{form}", path=filled).file
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(StoreError, match="torn"):
        import_file(file, path=store)
    assert count(store) == 0
    packed = tmp_path / "spans.jsonl.gz"
    packed.write_bytes(gzip.compress(ROW.encode() * 100)[:-9])
    with pytest.raises(StoreError, match="torn"):
        import_file(packed, path=store)
    assert (count(store), nothing_left(store)) == (0, True)


def test_missing_file_or_unknown_form_raises(store, tmp_path):
    with pytest.raises(StoreError, match="does not exist or is not a file"):
        import_file(tmp_path / "none.csv", path=store)
    with pytest.raises(StoreError, match="does not exist or is not a file"):
        import_file(tmp_path, path=store)
    (tmp_path / "spans.txt").write_text(ROW)
    for more in ({}, {"form": "xml"}):
        with pytest.raises(ValueError, match=r"\.parquet, \.jsonl"):
            import_file(tmp_path / "spans.txt", path=store, **more)
    assert import_file(tmp_path / "spans.txt", form="jsonl", path=store).spans == 1
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "empty.csv").write_text("")
    assert import_file(tmp_path / "empty.jsonl", path=store).spans == 0
    assert import_file(tmp_path / "empty.csv", path=store).spans == 0


def test_glob_characters_in_names_and_foreign_columns_are_read(store, tmp_path):
    file = tmp_path / "a*[b]?.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"""COPY (SELECT '{"1" * 32}' AS trace_id, '{"2" * 16}' AS span_id, 7::UBIGINT AS start_ns,
            {{'a': 1}}::JSON AS attributes, ['x'] AS tags, 'n' AS name) TO '{file}'""")
    assert import_file(file, path=store).spans == 1
    assert query("SELECT name, start_ns, attributes, tags FROM spans", path=store).rows() == [
        ("n", 7, '{"a":1}', ["x"])
    ]


def test_import_follows_redaction_and_content_settings(store, tmp_path):
    secret = "sk-proj-" + "aB3dE5gH7jK9" * 4
    file = tmp_path / "traces.json"
    attributes = {"input.value": f"my key is {secret}", "note": f"Bearer {secret}"}
    file.write_text(json.dumps(simple_request([simple_span(1, attributes=attributes)])))
    import_file(file, path=store)
    stored = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    assert secret.encode() not in stored
    assert query("SELECT sum(count) FROM losses WHERE what = 'secret'", path=store).scalar() >= 2
    llmops.configure(capture={"content": False})
    import_file(file, path=store, force=True)
    assert query("SELECT count(*) FROM spans WHERE input IS NULL", path=store).scalar() == 1


def test_too_large_line_is_cut_and_counted(store, tmp_path):
    file = tmp_path / "spans.jsonl"
    file.write_text(ROW.replace('"n"', '"n", "input": "%s"' % ("x" * 9_000_000)))
    assert import_file(file, path=store).spans == 1
    assert query("SELECT input FROM spans", path=store).scalar().startswith('{"llmops.truncated":true')
    assert query("SELECT what, reason FROM losses", path=store).rows() == [("input", "too_large")]


def test_import_larger_than_max_bytes_raises(filled, store, tmp_path):
    file = export(tmp_path / "spans.jsonl", path=filled).file
    llmops.configure(store={"max_bytes": 100_000})
    with pytest.raises(StoreError, match="max_bytes"):
        import_file(file, path=store)
    assert (count(store), nothing_left(store)) == (0, True)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_progress_is_reported(filled, store, tmp_path, form):
    file = export(tmp_path / f"spans.{form}", path=filled).file
    told: list[tuple[int, int, int]] = []
    import_file(file, path=store, progress=lambda *now: told.append(now))
    assert [records for records, _, _ in told] == [512, 1024, 1500]
    sizes = {size for _, _, size in told}
    assert sizes == ({file.stat().st_size} if form == "jsonl" else {0})
    assert all(0 < read <= size for _, read, size in told if size)


def test_exception_during_import_leaves_nothing(filled, store, tmp_path):
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    file = export(tmp_path / "spans.jsonl", path=filled).file
    with pytest.raises(KeyboardInterrupt):
        import_file(file, path=store, progress=stop)
    assert (count(store), nothing_left(store)) == (0, True)


def test_second_concurrent_import_raises(filled, store, tmp_path):
    file = export(tmp_path / "spans.jsonl", path=filled).file
    refused: list[str] = []

    def meanwhile(*_: int) -> None:
        if not refused:
            with pytest.raises(StoreError, match="another import") as caught:
                import_file(file, path=store)
            refused.append(str(caught.value))

    assert import_file(file, path=store, progress=meanwhile).spans == 1500
    assert refused != []
    assert count(store) == 1500


def test_unwritable_store_raises(filled, tmp_path):
    file = export(tmp_path / "spans.jsonl", path=filled).file
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreError, match="is a file, not a folder"):
        import_file(file, path=tmp_path / "taken")


@pytest.mark.thorough
def test_prune_removes_leftovers_of_killed_imports_only(filled, store, tmp_path):
    left = filled / "import" / ("a" * 32) / "wal"
    left.mkdir(parents=True)
    (left / "a.v1.ndjson").write_text('{"user_id": "ada"}')
    prune(user_id="ada", path=filled, dry_run=True)
    assert left.exists()
    prune(user_id="ada", path=filled)
    assert nothing_left(filled)
    file = export(tmp_path / "spans.jsonl", path=filled).file
    assert import_file(file, path=store, progress=lambda *_: prune(user_id="ada", path=store) and None).spans == 1500
    assert count(store) == 1500


@pytest.mark.parametrize(
    "size",
    [1, thorough(3_000_000), thorough(12_000_000)],
)
def test_killed_import_leaves_nothing_in_the_store(filled, tmp_path, size):
    file = tmp_path / "many.jsonl"
    row = ROW.replace('"n"', f'"{"x" * 400}"')
    with file.open("w") as out:
        for number in range(40_000):
            out.write(row.replace("2" * 16, f"{number + 10_000:016x}"))
    program = "import sys; from llmops_sdk.store import import_file; import_file(sys.argv[1], path=sys.argv[2])"
    pause = threading.Event()
    with subprocess.Popen([sys.executable, "-c", program, str(file), str(filled)]) as process:
        while process.poll() is None:
            if sum(path.stat().st_size for path in filled.glob("import/*/wal/*.ndjson")) >= size:
                os.kill(process.pid, signal.SIGKILL)
                break
            pause.wait(0.001)
        assert process.wait(60) == -signal.SIGKILL
    assert count(filled) == 1500
    assert import_file(file, path=filled).spans == 40_000
    assert (count(filled), nothing_left(filled)) == (41_500, True)


@pytest.mark.parametrize("name", ["zeros.jsonl.gz", "zeros.json.gz", "zeros.csv.gz", "lines.jsonl.gz"])
def test_a_small_file_that_unpacks_to_very_much_is_refused_before_it_is_written(store, tmp_path, name):
    file = tmp_path / name
    content = {
        "zeros": b"0" * 1_000_000,
        "lines": b"\n" * 1_000_000,
    }[name.partition(".")[0]]
    heading = b"trace_id,span_id,start_ns\n" if ".csv" in name else b""
    # Packed pieces in a row are one file.
    file.write_bytes(gzip.compress(heading) + gzip.compress(content) * 300)
    assert file.stat().st_size < 3_000_000
    with pytest.raises(StoreError, match=r"unpacks to more than|more than [\d,]+ (bytes|empty lines)") as caught:
        import_file(file, path=store)
    assert "Nothing of this file was imported" in str(caught.value)
    assert nothing_left(store)


def test_an_import_larger_than_the_store_is_refused_while_it_is_read(store, tmp_path):
    llmops.configure(store={"max_bytes": 200_000})
    file = tmp_path / "many.jsonl"
    seen: list[int] = []
    file.write_text(ROW * 20_000)
    with pytest.raises(StoreError, match="more than the store's limit"):
        import_file(file, path=store, progress=lambda records, *_: seen.append(records))
    assert seen[-1] < 5_000


@pytest.mark.parametrize(
    "heading", [b"trace_id,sp\xff\xfean_id\n", b"\xff\xfet\x00r\x00\n", b'"' + b"x" * 200_000 + b'"\n']
)
def test_a_heading_that_is_no_text_says_so(store, tmp_path, heading):
    file = tmp_path / "a.csv"
    file.write_bytes(heading + b'"1","2"\n')
    with pytest.raises(StoreError, match=r"Nothing of this file was imported"):
        import_file(file, path=store)
