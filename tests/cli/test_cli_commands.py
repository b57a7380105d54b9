"""The commands on a small store."""

from __future__ import annotations

import csv
import io
import json
import socket
from contextlib import suppress
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.stats import wilson_interval


def test_sql_writes_every_format(command, store):
    query = "SELECT model, sum(cost) AS usd FROM llm_calls GROUP BY ALL ORDER BY ALL"
    table = command("sql", query, "--store", str(store))
    assert table.status == 0
    assert [line.split() for line in table.out.splitlines()] == [
        ["model", "usd"], ["-----", "----"], ["gpt", "0.75"], ["toy", "9"],
    ]  # fmt: skip
    as_json = command("sql", query, "--store", str(store), "--format", "json")
    assert json.loads(as_json.out) == [{"model": "gpt", "usd": 0.75}, {"model": "toy", "usd": 9.0}]
    as_csv = command("sql", query, "--store", str(store), "--format", "csv")
    assert list(csv.reader(io.StringIO(as_csv.out))) == [["model", "usd"], ["gpt", "0.75"], ["toy", "9.0"]]
    markdown = command("sql", query, "--store", str(store), "--format", "markdown")
    assert markdown.out.splitlines()[2] == "| gpt | 0.75 |"


def test_sql_reads_a_file_or_stdin(command, store, tmp_path, monkeypatch):
    file = tmp_path / "query.sql"
    file.write_text("\ufeffSELECT 41 + 1 AS n", encoding="utf-8")
    assert json.loads(command("sql", "-f", str(file), "--store", str(store), "--format", "json").out) == [{"n": 42}]
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 7 AS n"))
    assert json.loads(command("sql", "-", "--store", str(store), "--format", "json").out) == [{"n": 7}]


def test_sql_reports_the_number_of_omitted_rows(command, store):
    ran = command("sql", "SELECT * FROM range(10)", "--limit", "3", "--store", str(store), "--format", "csv")
    assert len(ran.out.splitlines()) == 4
    assert ran.err == "7 more rows; --limit 0 shows all\n"
    assert len(command("sql", "SELECT * FROM range(150)", "--store", str(store)).out.splitlines()) == 152


@pytest.mark.parametrize("query", ["SELEC 1", "SELECT nothing FROM spans", "DROP VIEW spans", "COPY spans TO 'x.csv'"])
def test_invalid_sql_prints_one_line_and_exits_with_1(command, store, query):
    ran = command("sql", query, "--store", str(store))
    assert ran.status == 1
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("llmops: ")


def test_slow_query_stops_at_its_timeout(command, store):
    slow = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"
    ran = command("sql", slow, "--timeout", "0.2", "--store", str(store))
    assert ran.status == 1
    assert "0.2" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["sql"],
        ["sql", "SELECT 1", "-f", __file__],
        ["sql", "SELECT 1", "--format", "xml"],
        ["sql", "-f", "nowhere.sql"],
        ["sql", "SELECT 1", "--limit", "-1"],
        ["traces", "--since", "yesterday"],
        ["traces", "--until", "3 fortnights"],
        ["traces", "--since", "1h", "--until", "2h"],
        ["stats", "--status", "eror"],
        ["stats", "--score", "<0.5"],
        ["stats", "--score", "helpful<low"],
        ["stats", "--since", "2y"],
        ["show", "not hex"],
        ["stats", "--by", "colour"],
        ["nosuch"],
    ],
)
def test_wrong_usage_exits_with_2(command, store, arguments):
    more = ["--store", str(store)] if arguments != ["nosuch"] else []
    ran = command(*arguments, *more)
    assert ran.status == 2
    assert ran.out == ""
    assert "Error" in ran.err


def test_binary_query_file_is_wrong_usage(command, store, tmp_path):
    file = tmp_path / "query.sql"
    file.write_bytes(b"\xff\xfe\x00")
    assert command("sql", "-f", str(file), "--store", str(store)).status == 2


@pytest.mark.parametrize("arguments", [["sql", "SELECT 1"], ["traces"], ["show", "ab"], ["stats"]])
def test_reading_commands_report_a_missing_store_and_create_none(command, tmp_path, arguments):
    ran = command(*arguments, "--store", str(tmp_path / "nowhere"))
    assert ran.status == 1
    assert "there is no store at" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not (tmp_path / "nowhere").exists()


def test_invalid_configuration_prints_one_line(command, own_surroundings):
    Path("llmops.toml").write_text("modle = 'x'\n")
    ran = command("traces")
    assert ran.status == 1
    assert len(ran.err.splitlines()) == 1
    assert "modle" in ran.err


def test_debug_raises_the_original_error(command, tmp_path):
    with pytest.raises(llmops.StoreError):
        command("traces", "--debug", "--store", str(tmp_path / "nowhere"))


def names(ran):
    return [row["name"] for row in json.loads(ran.out)]


def test_traces_are_listed_newest_first(command, store):
    ran = command("traces", "--store", str(store), "--format", "json")
    latest, simulated, oldest = json.loads(ran.out)
    assert (latest["name"], latest["status"], latest["errors"]) == ("=1+1", "error", 1)
    assert (simulated["name"], simulated["simulated"], simulated["user_id"]) == ("chat toy", True, "bob")
    assert (oldest["name"], oldest["spans"], oldest["cost"]) == ("checkout", 3, 0.75)
    assert (oldest["input_tokens"], oldest["output_tokens"], oldest["session_id"]) == (20, 10, "s1")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "gpt"], ["checkout"]),
        (["--session", "s1"], ["checkout"]),
        (["--user", "bob"], ["chat toy"]),
        (["--status", "error"], ["=1+1"]),
        (["--search", "NEEDLE"], ["=1+1"]),
        (["--search", "hello", "--user", "bob"], ["chat toy"]),
        (["--since", "1h", "--limit", "2"], ["=1+1", "chat toy"]),
        (["--user", "'; DROP TABLE spans; --"], []),
    ],
)
def test_traces_match_the_filter_options(command, store, arguments, expected):
    assert names(command("traces", *arguments, "--store", str(store), "--format", "json")) == expected


def test_trace_names_cannot_become_csv_formulas(command, store):
    ran = command("traces", "--store", str(store), "--format", "csv")
    assert "'=1+1" in [row[3] for row in csv.reader(io.StringIO(ran.out))]


@pytest.fixture
def checkout(command, store):
    [row] = json.loads(command("traces", "--model", "gpt", "--store", str(store), "--format", "json").out)
    return row["trace_id"]


def test_show_draws_a_tree_with_details(command, store, checkout):
    ran = command("show", checkout[:-1].upper(), "--store", str(store))
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert lines[0] == f"trace {checkout}"
    assert lines[1].startswith("checkout  [chain]  ")
    assert "session s1  user ada  tags shop" in lines[2]
    assert "\\u001b[31mred" in lines[3].lower()
    assert sum(line.startswith(("├─ chat gpt", "└─ chat gpt")) for line in lines) == 2
    assert "10 → 5 tokens  $0.250000" in ran.out
    assert "cache: exact" in ran.out
    assert "• attempt  attempt=1  provider=p" in ran.out
    assert "\x1b" not in ran.out


def test_show_json_contains_content_and_events(command, store, checkout):
    shown = json.loads(command("show", checkout, "--store", str(store), "--format", "json").out)
    assert shown["trace_id"] == checkout
    root, first, _second = shown["spans"]
    assert root["input"] == {"order": 7, "note": "\x1b[31mred"}
    assert first["parent_span_id"] == root["span_id"]
    assert first["events"][0]["attributes"]["model"] == "gpt"
    rows = list(csv.DictReader(io.StringIO(command("show", checkout, "--store", str(store), "--format", "csv").out)))
    assert [row["name"] for row in rows] == ["checkout", "chat gpt", "chat gpt"]


def test_show_cuts_content_unless_full(command, tmp_path):
    llmops.configure(store={"path": tmp_path / "s"})
    with llmops.span("long", input="x" * 5000) as span:
        pass
    llmops.flush()
    cut = command("show", span.trace_id, "--store", str(tmp_path / "s")).out
    full = command("show", span.trace_id, "--full", "--store", str(tmp_path / "s")).out
    assert "…" in cut
    assert "x" * 200 not in cut
    assert "x" * 5000 in full


def test_show_prints_messages_by_role(command, tmp_path):
    llmops.configure(store={"path": tmp_path / "s"}, model="offline/echo")
    first = llmops.chat("one\ntwo", system="Be brief.")
    stored = {
        "gen_ai.input.messages": '["odd", {"role": "tool", "parts": [{"type": "tool_call", "id": "7"}]}, {"a": 1}]'
    }
    with llmops.span("foreign", kind="llm", attributes=stored) as span:
        pass
    llmops.flush()
    cut = command("show", first.trace_id, "--store", str(tmp_path / "s")).out
    assert "system: Be brief." in cut
    assert "user: one↵two" in cut
    assert "assistant: one↵two" in cut
    full = command("show", first.trace_id, "--full", "--store", str(tmp_path / "s")).out
    assert "user: one\n" in full
    odd = command("show", span.trace_id, "--store", str(tmp_path / "s"))
    assert odd.status == 0
    assert '"id": "7"' in odd.out


def test_show_draws_deep_and_orphaned_spans(command, tmp_path):
    llmops.configure(store={"path": tmp_path / "s"})

    def nest(depth: int) -> None:
        with llmops.span(f"level {depth}"):
            if depth:
                nest(depth - 1)

    with llmops.extract({"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}):
        nest(150)
    llmops.flush()
    ran = command("show", "ab" * 16, "--store", str(tmp_path / "s"))
    assert ran.status == 0
    assert sum("level " in line for line in ran.out.splitlines()) == 151


def test_show_rejects_an_ambiguous_or_unknown_id(command, store):
    ran = command("show", "0", "--store", str(store))
    assert ran.status == 1
    assert "more than one trace" in ran.err
    missing = command("show", "f" * 32, "--store", str(store))
    assert missing.status == 1
    assert "no trace" in missing.err


def test_stats_total_excludes_simulated_cost(command, store):
    ran = command("stats", "--store", str(store))
    rows = {line.split()[0]: line.split() for line in ran.out.splitlines()}
    assert rows["gpt"][1:8] == ["false", "2", "0", "0.0", "%", "(0.0–65.8)", "1"]
    assert rows["toy"][1] == "true"
    assert rows["total"][-1] == "0.75"
    assert "█" not in ran.out  # plain columns: nobody looks at a pipe
    assert "simulated" in ran.err
    with_simulated = command("stats", "--simulated", "--store", str(store))
    assert with_simulated.out.splitlines()[-1].split()[-1] == "9.75"


@pytest.mark.parametrize("by", ["model", "provider", "day", "user", "session", "prompt"])
def test_stats_supports_every_grouping(command, store, by):
    rows = json.loads(command("stats", "--by", by, "--store", str(store), "--format", "json").out)
    assert sum(row["calls"] for row in rows) == 3
    assert next(iter(rows[0])) == by


def error_rates(ran):
    assert ran.status == 0, ran.err
    return [(row["calls"], row["errors"], row["error_rate"], row["error_rate_low"], row["error_rate_high"])
            for row in json.loads(ran.out)]  # fmt: skip


def failing_call(error: bool) -> None:
    with suppress(ValueError), llmops.span("call", kind="llm", attributes={"gen_ai.request.model": "m"}):
        if error:
            raise ValueError


def test_stats_shows_the_wilson_interval_of_the_error_rate(command, tmp_path):
    llmops.configure(store={"path": tmp_path / "s"})
    for number in range(20):
        failing_call(error=number < 3)
    llmops.flush()
    low, high = wilson_interval(3, 20)
    arguments = ("stats", "--store", str(tmp_path / "s"), "--format")
    assert error_rates(command(*arguments, "json")) == [(20, 3, 0.15, pytest.approx(low), pytest.approx(high))]
    [row] = csv.DictReader(io.StringIO(command(*arguments, "csv").out))
    assert float(row["error_rate_low"]) == pytest.approx(low)
    assert f"15.0 % ({100 * low:.1f}–{100 * high:.1f})" in command(*arguments, "table").out


def test_stats_weights_the_error_rate_of_thinned_traces(command, tmp_path):
    # Compaction keeps both errors and about one in ten of 200 successful calls, each with the weight 10.
    settings = {"path": tmp_path / "s", "thinning": {"share": 0.1, "after_days": 1e-9}}
    llmops.configure(store=settings)
    for number in range(202):
        failing_call(error=number < 2)
    llmops.shutdown()
    assert command("compact", "--store", str(tmp_path / "s")).status == 0
    [(calls, errors, rate, low, high)] = error_rates(command("stats", "--store", tmp_path / "s", "--format", "json"))
    kept = calls - errors
    assert 2 == errors < calls < 100
    assert rate == pytest.approx(2 / (2 + 10 * kept))
    effective = (2 + 10 * kept) ** 2 / (2 + 100 * kept)
    assert (low, high) == pytest.approx(wilson_interval(rate * effective, effective))


def test_stats_of_an_empty_store_prints_only_a_header(command, tmp_path):
    (tmp_path / "empty").mkdir()
    ran = command("stats", "--store", str(tmp_path / "empty"))
    assert ran.status == 0
    assert len(ran.out.splitlines()) == 2


def test_doctor_passes_on_a_working_installation(command, store):
    ran = command("doctor", "--store", str(store), "--format", "json")
    assert ran.status == 0, ran.err
    findings = {(row["part"], row["what"]): row for row in json.loads(ran.out)}
    assert findings["store", "folder"]["value"] == str(store)
    assert findings["store", "spans"]["value"].startswith("5,")
    assert findings["setting", "retry.attempts"]["source"] == "default"
    assert findings["privacy", "content leaves this machine"]["value"].startswith("no")
    assert findings["installation", "duckdb"]["state"] == "ok"


def test_doctor_names_the_source_of_a_quoted_key(command):
    Path("llmops.toml").write_text('[models."gpt-4.1"]\nmodel = "openai/gpt-4.1"\n')
    rows = json.loads(command("doctor", "--format", "json").out)
    [row] = [row for row in rows if row["what"] == 'models."gpt-4.1".model']
    assert row["source"].startswith("llmops.toml")


def test_doctor_reports_an_unreachable_exporter_without_secrets(command, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    password = f"very{port}secret"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://user:{password}@127.0.0.1:{port}/?key={password}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization={password}")
    ran = command("doctor")
    assert ran.status == 1
    assert "cannot be reached" in ran.err
    assert password not in ran.out + ran.err


def test_doctor_reports_a_reachable_exporter_and_exported_content(command, monkeypatch):
    monkeypatch.setenv("LLMOPS_CONFIG_FILE", "llmops.toml")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        Path("llmops.toml").write_text(f'[export]\nendpoint = "http://127.0.0.1:{port}"\ncontent = true\n')
        ran = command("doctor", "--format", "json")
    assert ran.status == 0, ran.err
    findings = {(row["part"], row["what"]): row for row in json.loads(ran.out)}
    assert findings["exporter", "endpoint"]["value"].endswith("accepts connections")
    privacy = findings["privacy", "content leaves this machine"]
    assert privacy["value"].startswith("YES")
    assert privacy["source"].startswith("llmops.toml")
    assert findings["configuration", "files in use"]["value"].endswith("llmops.toml")


def test_doctor_reports_console_export_and_separate_metrics(command, monkeypatch):
    monkeypatch.setenv("LLMOPS_CONFIG_FILE", "llmops.toml")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/in"
        text = f'[export]\nexporters = ["console"]\ncontent = true\n[export.metrics]\nendpoint = "{url}"\n'
        Path("llmops.toml").write_text(text)
        ran = command("doctor", "--format", "json")
    assert ran.status == 0, ran.err
    findings = {(row["part"], row["what"]): row["value"] for row in json.loads(ran.out)}
    assert findings["exporter", "endpoint"] == "none"
    assert findings["exporter", "metrics"] == f"{url} accepts connections"
    assert findings["exporter", "console"] == "spans are written to stdout"
    assert findings["privacy", "content leaves this machine"].startswith("YES")


def test_doctor_reports_a_bad_configuration_and_a_store_that_is_a_file(command, tmp_path):
    Path("llmops.toml").write_text("[retry]\nattempts = 'many'\n")
    (tmp_path / "file").write_text("")
    ran = command("doctor", "--store", str(tmp_path / "file"))
    assert ran.status == 1
    assert "retry.attempts" in ran.err
    assert "is a file, not a folder" in ran.err


def test_doctor_reports_a_store_with_a_newer_schema(command, store):
    manifest = store / "MANIFEST.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "schema_version": 99}))
    ran = command("doctor", "--store", str(store))
    assert ran.status == 1
    assert "99" in ran.err


def test_doctor_accepts_a_store_that_does_not_exist_yet(command, tmp_path):
    ran = command("doctor", "--store", str(tmp_path / "new"), "--format", "json")
    assert ran.status == 0
    assert "the first span creates it" in ran.out
    assert not (tmp_path / "new").exists()
