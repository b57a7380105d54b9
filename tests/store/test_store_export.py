"""Exports have every value exactly, in every form, and are complete or absent."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llmops_sdk.errors import QueryError, StoreError
from llmops_sdk.store import StoreSink, connect, export
from llmops_sdk.store.schema._views import SPAN_COLUMNS
from llmops_sdk.tracing.records._records import ScoreRecord, Stamp

NAMES = [key.name for key in SPAN_COLUMNS]
JSON_NAMES = {key.name for key in SPAN_COLUMNS if key.type == "JSON"}
MESSAGES = b'[{"role":"user","parts":[{"type":"text","content":"h\\u00e9 \\"x\\""}]}]'


@pytest.fixture
def filled(store: Path, make_span) -> Path:
    everything = make_span(
        name='=HYPERLINK("x")', kind="llm", trace_id=2**127 + 5, span_id=2**63 + 9, parent_id=7,
        start_ns=1_795_000_000_123_456_789, duration_ns=9_007_199_254_740_993, status="error",
        status_message="two\nlines\r\n\ttab, \"quoted\" 'single' \x1b[31m\u2028é😀", error_type="ValueError",
        input=b'{"a":[1,2.5,{"b":null}],"big":9007199254740993}', output=b'"-5 apples"',
        attributes={
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "p", "gen_ai.request.model": "m",
            "gen_ai.response.model": "m-1", "gen_ai.usage.input_tokens": 2**53 + 1, "gen_ai.usage.output_tokens": 0,
            "gen_ai.response.finish_reasons": ["stop"], "gen_ai.input.messages": MESSAGES,
            "gen_ai.output.messages": b"[]", "llmops.simulated": True, "big": 2**63 - 1, "list": [1, 2], "half": 0.1,
            "flag": False, "deep": {"x": [None, "y"]},
        },
        events=[("llmops.attempt", 1_795_000_000_123_456_790, {"attempt": 1, "note": "n"})],
        links=[(3, 4, {"why": "because"})],
        stamp=Stamp(session_id="", user_id="'quoted", tags=("a,b", '"', "=1")),
        otel_kind="client",
    )  # fmt: skip
    sink = StoreSink(store)
    sink.write([everything, *(make_span(span_id=number, input=b"%d" % number) for number in range(1, 1500))])
    sink.write([
        ScoreRecord(trace_id=f"{1:032x}", span_id=None, name="good", value=value, label=None, comment="@c",
                    source="user", time_ns=10_000 + time)
        for time, value in ((1000, 0.25), (2000, 0.1))
    ])  # fmt: skip
    sink.close(1.0)
    return store


def stored(store: Path) -> Counter[tuple[object, ...]]:
    with connect(path=store) as connection:
        rows = connection.execute(f"SELECT {', '.join(NAMES)} FROM store.spans").fetchall()
    assert len(rows) == 1500
    return Counter(map(repr, rows))


def test_parquet_has_every_value(filled, tmp_path):
    done = export(tmp_path / "spans.parquet", path=filled)
    assert (done.rows, done.form, done.bytes) == (1500, "parquet", done.file.stat().st_size)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW it AS FROM '{done.file}'")
        rows = connection.execute(f"SELECT {', '.join(NAMES)} FROM it").fetchall()
        types = {name: kind for name, kind, *_ in connection.execute("DESCRIBE it").fetchall()}
        start, duration = connection.execute("SELECT start_time, duration_ms FROM it WHERE name LIKE '=%'").fetchall()[
            0
        ]
    assert Counter(map(repr, rows)) == stored(filled)
    assert all(types[key.name] == ("VARCHAR" if key.type == "JSON" else key.type) for key in SPAN_COLUMNS)
    assert (start, duration) == (datetime(2026, 11, 18, 11, 6, 40, 123456), 9_007_199_254_740_993 / 1e6)  # noqa: DTZ001


def test_jsonl_has_every_value(filled, tmp_path):
    done = export(tmp_path / "spans.jsonl", path=filled)
    lines = [orjson.loads(line) for line in done.file.read_bytes().splitlines()]
    with connect(path=filled) as connection:
        rows = connection.execute(f"SELECT {', '.join(NAMES)} FROM store.spans").fetchall()
    expected = {
        row[1]: {n: orjson.loads(v) if n in JSON_NAMES else v for n, v in zip(NAMES, row, strict=True) if v is not None}
        for row in rows
    }
    found = {line["span_id"]: {n: v for n, v in line.items() if n in NAMES} for line in lines}
    assert len(lines) == 1500
    assert found == expected
    assert b'{"a":[1,2.5,{"b":null}],"big":9007199254740993}' in done.file.read_bytes()


def test_csv_has_every_value_and_no_formula(filled, tmp_path):
    done = export(tmp_path / "spans.csv", path=filled)
    with duckdb.connect() as connection:
        table = connection.execute(
            f"FROM read_csv('{done.file}', all_varchar = true, header = true, quote = '\"', escape = '\"', "
            "delim = ',', allow_quoted_nulls = false, nullstr = '', auto_detect = false, "
            f"columns = {{{', '.join(f'{n}: $${t}$$' for n, t in [(n, 'VARCHAR') for n in columns_of(done.file)])}}}, "
            "max_line_size = 10000000)"
        )
        head = [column[0] for column in table.description]
        rows = [dict(zip(head, row, strict=True)) for row in table.fetchall()]
    cells = [value for row in rows for value in row.values() if value]
    assert not [cell for cell in cells if cell[0] in "=+@\t\r\n" or (cell[0] == "-" and not cell[1:2].isdigit())]

    def original(name: str, text: str | None) -> object:
        kind = next(key.type for key in SPAN_COLUMNS if key.name == name)
        if text is None:
            return None
        if kind in ("BIGINT", "INTEGER", "DOUBLE"):
            return float(text) if kind == "DOUBLE" else int(text)
        text = text.removeprefix("'")
        return {"BOOLEAN": text == "true", "VARCHAR[]": json.loads(text) if kind == "VARCHAR[]" else None}.get(
            kind, text
        )

    assert Counter(repr(tuple(original(n, row[n]) for n in NAMES)) for row in rows) == stored(filled)


def columns_of(file: Path) -> list[str]:
    with file.open(encoding="utf-8") as opened:
        return opened.readline().strip().split(",")


def hex_ids(value: object) -> object:
    # The one difference between OTLP's JSON and protobuf's own: ids are hex.
    if isinstance(value, list):
        return [hex_ids(item) for item in value]
    if isinstance(value, dict):
        return {key: value[key] if key in ("traceId", "spanId", "parentSpanId") else hex_ids(value[key])
                for key in value}  # fmt: skip
    return value


def test_otlp_export_is_valid_otlp(filled, tmp_path):
    from base64 import b64encode

    from google.protobuf import json_format

    done = export(tmp_path / "spans.json", path=filled)
    spans = []
    for line in done.file.read_bytes().splitlines():
        request = json.loads(line)
        for group in request["resourceSpans"]:
            for scope in group["scopeSpans"]:
                for span in scope["spans"]:
                    for held in (span, *span["links"]):
                        for key in ("traceId", "spanId", "parentSpanId"):
                            if key in held:
                                assert held[key] == held[key].lower()
                                held[key] = b64encode(bytes.fromhex(held[key])).decode()
        # Protobuf's own parser refuses an unknown key, a wrong type and an integer that does not fit.
        parsed = json_format.ParseDict(request, ExportTraceServiceRequest())
        for group in parsed.resource_spans:
            assert {a.key: a.value.string_value for a in group.resource.attributes} == {"service.name": "tests"}
            spans += [span for scope in group.scope_spans for span in scope.spans if scope.scope.name == "llmops_sdk"]
    assert len(spans) == 1500
    span = next(span for span in spans if span.name.startswith("="))
    assert (span.trace_id, span.span_id) == ((2**127 + 5).to_bytes(16, "big"), (2**63 + 9).to_bytes(8, "big"))
    assert (span.parent_span_id, span.kind, span.status.code) == ((7).to_bytes(8, "big"), 3, 2)
    assert span.start_time_unix_nano == 1_795_000_000_123_456_789
    assert span.end_time_unix_nano - span.start_time_unix_nano == 9_007_199_254_740_993
    values = {a.key: a.value for a in span.attributes}
    assert values["gen_ai.usage.input_tokens"].int_value == 2**53 + 1
    assert values["big"].int_value == 2**63 - 1
    assert values["half"].double_value == 0.1
    assert values["flag"].HasField("bool_value")
    assert [v.string_value for v in values["gen_ai.response.finish_reasons"].array_value.values] == ["stop"]
    assert json.loads(values["gen_ai.input.messages"].string_value) == json.loads(MESSAGES)
    assert values["input.value"].string_value == '{"a":[1,2.5,{"b":null}],"big":9007199254740993}'
    assert (values["output.value"].string_value, values["output.mime_type"].string_value) == ("-5 apples", "text/plain")
    assert values["user.id"].string_value == "'quoted"
    assert [(e.name, e.time_unix_nano) for e in span.events] == [("llmops.attempt", 1_795_000_000_123_456_790)]
    assert [(link.trace_id[-1], link.span_id[-1]) for link in span.links] == [(3, 4)]


def test_scores_and_losses_have_the_columns_of_their_views(filled, tmp_path):
    scores = export(tmp_path / "scores.jsonl", what="scores", path=filled)
    assert [orjson.loads(line) for line in scores.file.read_bytes().splitlines()] == [
        {"trace_id": f"{1:032x}", "name": "good", "value": 0.1, "comment": "@c", "source": "user",
         "time": "1970-01-01T00:00:00.000012", "target": "trace"}
    ]  # fmt: skip
    assert '"\'@c"' in export(tmp_path / "scores.csv", what="scores", path=filled).file.read_text()
    assert export(tmp_path / "losses.parquet", what="losses", path=filled).rows == 0


def test_where_since_and_until_select_rows(filled, tmp_path):
    def count(**more: object) -> int:
        return export(tmp_path / "some.csv", path=filled, force=True, **more).rows

    assert count(where="simulated = false -- a comment") == 1499
    assert count(where="model = 'm-1' OR span_id = '0000000000000001'") == 2
    assert count(where="trace_id IN (SELECT trace_id FROM scores WHERE value < 0.2)") == 1499
    start = datetime(2026, 11, 18, 11, 6, 40, 100, tzinfo=UTC)
    assert (count(since=start), count(until=start)) == (1, 1499)


@pytest.mark.parametrize("where", ["nothing = 1", "1 = 1; DROP VIEW spans", "name = $1", "name =", "1) FROM spans --"])
def test_invalid_condition_leaves_no_file(filled, tmp_path, where):
    with pytest.raises(QueryError):
        export(tmp_path / "x.csv", where=where, path=filled)
    assert [file.name for file in tmp_path.iterdir()] == ["store"]


def test_condition_cannot_read_other_files(filled, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with pytest.raises(QueryError, match="may not call read_csv"):
        export(tmp_path / "x.csv", where=f"EXISTS (FROM read_csv('{secret}'))", path=filled)
    assert not (tmp_path / "x.csv").exists()


def test_existing_file_stays_without_force(filled, tmp_path):
    file = tmp_path / "x.csv"
    file.write_text("mine")
    with pytest.raises(StoreError, match="--force"):
        export(file, path=filled)
    assert file.read_text() == "mine"
    assert export(file, path=filled, force=True).rows == 1500
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    with pytest.raises(StoreError, match="cannot be written: No such file"):
        export(tmp_path / "none" / "x.csv", path=filled)
    with pytest.raises(StoreError, match="is inside the store"):
        export(filled / "wal" / "x.csv", path=filled)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["store", "x.csv"]


def test_unfitting_forms_raise(filled, tmp_path):
    for more in ({"form": "xml"}, {}, {"what": "scores", "form": "otlp"}, {"what": "blobs", "form": "csv"}):
        with pytest.raises(ValueError, match=r"form|exported|OTLP"):
            export(tmp_path / "x.txt", path=filled, **more)


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_progress_is_reported_in_rows(store, tmp_path, make_span, form):
    sink = StoreSink(store)
    sink.write([make_span(span_id=number + 1) for number in range(40_000)])
    sink.close(1.0)
    told: list[tuple[int, int]] = []
    rows = export(tmp_path / "x", form=form, path=store, progress=lambda done, total: told.append((done, total))).rows
    assert rows == 40_000
    assert all((done, total) == (0, 0) or 0 <= done <= total == 40_000 for done, total in told)


def test_exception_during_export_leaves_no_file(store, tmp_path, make_span):
    sink = StoreSink(store)
    sink.write([make_span()])
    sink.close(1.0)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    endless = "(SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3) > 0"
    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "x.csv", where=endless, path=store, progress=stop)
    assert [file.name for file in tmp_path.iterdir()] == ["store"]
