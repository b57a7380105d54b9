"""Log records with the content of calls: they are merged into their spans, whatever comes first."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import llmops_sdk as llmops
from llmops_sdk.collect import Collector
from llmops_sdk.store import compact, export, import_file, prune, query, snapshot
from llmops_sdk.store.duck._sql import duckdb
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.maintenance._thinning import ThinningPolicy

DETAILS = "gen_ai.client.inference.operation.details"
QUESTION = {"role": "user", "parts": [{"type": "text", "content": "2 + 2?"}]}
ANSWER = {"role": "assistant", "parts": [{"type": "text", "content": "4"}], "finish_reason": "stop"}
CONTENT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}],
    "gen_ai.input.messages": [QUESTION],
    "gen_ai.output.messages": [ANSWER],
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 1,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.request.temperature": 0.5,
    "gen_ai.conversation.id": "s-1",
}
MESSAGES = [("system", "Be brief."), ("user", "2 + 2?"), ("assistant", "4")]
TEMPERATURE = "attributes ->> '$.\"gen_ai.request.temperature\"'"


class Sender:
    """An instrumented program with OpenTelemetry's own exporters."""

    def __init__(self, collector, processor=SimpleLogRecordProcessor):
        self._spans = TracerProvider(shutdown_on_exit=False)
        self._spans.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{collector.url}/v1/traces")))
        self._logs = LoggerProvider(shutdown_on_exit=False)
        self._logs.add_log_record_processor(processor(OTLPLogExporter(f"{collector.url}/v1/logs")))
        self._tracer = self._spans.get_tracer("instrumentor")
        self._logger = self._logs.get_logger("instrumentor")

    def start(self, **attributes):
        given = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", **attributes}
        return self._tracer.start_span("chat m", attributes=given)

    def log(self, span, event, attributes=None, body=None, time_ns=None):
        self._logger.emit(
            event_name=event,
            attributes=attributes,
            body=body,
            timestamp=time_ns,
            context=trace.set_span_in_context(span),
        )

    def flush(self):
        assert self._logs.force_flush()

    def close(self):
        self._logs.shutdown()
        self._spans.shutdown()


@pytest.fixture
def sender(collector):
    made = Sender(collector)
    yield made
    made.close()


def messages(store):
    return query("SELECT role, content FROM messages ORDER BY direction, position", path=store).rows()


def details(store):
    return query("SELECT count(*) FROM store.details", path=store).scalar()


@pytest.mark.parametrize("log_first", [True, False], ids=["log first", "span first"])
@pytest.mark.parametrize("compacted", [False, True], ids=["lines", "Parquet"])
def test_details_reach_their_span_in_either_order(collector, store, sender, log_first, compacted):
    sender.start().end()
    span = sender.start()
    if log_first:
        sender.log(span, DETAILS, CONTENT)
        span.end()
    else:
        span.end()
        sender.log(span, DETAILS, CONTENT)
    assert (collector.counts.spans, collector.counts.details, collector.counts.rejected) == (2, 1, 0)
    if compacted:
        collector.stop()
        compact(path=store)
    assert messages(store) == MESSAGES
    found = query(
        f"SELECT input_tokens, output_tokens, finish_reason, session_id, operation, {TEMPERATURE} FROM llm_calls "
        "ORDER BY input_tokens",
        path=store,
    ).rows()
    assert found == [(12, 1, "stop", "s-1", "chat", "0.5"), (None, None, None, None, "chat", None)]
    assert query("SELECT count(*), sum(input_tokens) FROM traces", path=store).rows() == [(2, 12)]


@pytest.mark.parametrize("log_first", [True, False], ids=["log first", "span first"])
def test_details_with_tokens_and_a_model_have_their_cost(store, log_first):
    llmops.configure(prices={"priced": {"input": 1.0, "output": 2.0}})
    tokens = {"gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 1_000_000}
    with Collector(path=store, port=0) as collector:
        sender = Sender(collector)
        own_cost = {"gen_ai.usage.cost": 0.5}
        agent = {"gen_ai.operation.name": "invoke_agent"}
        for model, given in (("priced", {}), ("unknown", {}), ("priced", own_cost), ("priced", agent)):
            span = sender.start(**{"gen_ai.request.model": model, **given})
            said = {"gen_ai.operation.name": "chat", **given, "gen_ai.request.model": model, **tokens}
            said.pop("gen_ai.usage.cost", None)
            steps = [lambda: sender.log(span, DETAILS, said), span.end]  # noqa: B023 - called in this round
            for step in steps if log_first else reversed(steps):
                step()
        sender.close()
    assert query("SELECT cost FROM llm_calls ORDER BY start_time", path=store).rows() == [(3.0,), (None,), (0.5,)]
    assert query("SELECT sum(cost) FROM traces", path=store).scalar() == 3.5
    compact(path=store)
    assert query("SELECT sum(cost) FROM traces", path=store).scalar() == 3.5


@pytest.mark.parametrize("log_first", [True, False], ids=["log first", "span first"])
def test_details_reach_a_span_that_another_collector_received(store, log_first):
    with Collector(path=store, port=0) as first:
        sender = Sender(first)
        span = sender.start()
        sender.log(span, DETAILS, CONTENT) if log_first else span.end()
        sender.close()
    compact(path=store)
    with Collector(path=store, port=0) as second:
        later = Sender(second)
        if log_first:
            replayed = later.start()
            replayed._context = span.get_span_context()
            replayed.end()
        else:
            later.log(span, DETAILS, CONTENT)
        later.close()
    assert messages(store) == MESSAGES


@pytest.mark.parametrize("processor", [SimpleLogRecordProcessor, BatchLogRecordProcessor])
@pytest.mark.parametrize("event_name_is_attribute", [False, True])
def test_older_message_events_become_messages(collector, store, processor, event_name_is_attribute):
    sender = Sender(collector, processor)
    span = sender.start(**{"gen_ai.system": "openai"})
    span.end()

    def say(event, body):
        attributes = {"gen_ai.system": "openai"}
        if event_name_is_attribute:
            attributes["event.name"] = event
        sender.log(span, None if event_name_is_attribute else event, attributes, body)

    say("gen_ai.system.message", {"content": "Be brief."})
    say("gen_ai.user.message", {"content": "2 + 2?"})
    say("gen_ai.user.message", {"content": "2 + 2?"})
    say("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "4"}})
    sender.flush()
    assert messages(store) == [MESSAGES[0], MESSAGES[1], MESSAGES[1], MESSAGES[2]]
    assert query("SELECT finish_reason FROM messages WHERE direction = 'output'", path=store).scalar() == "stop"
    assert query("SELECT provider, operation FROM llm_calls", path=store).rows() == [("openai", "chat")]
    sender.close()


@pytest.mark.parametrize(
    ("event", "attributes", "body", "expected"),
    [
        (DETAILS, CONTENT, None, MESSAGES),
        (DETAILS, None, CONTENT, MESSAGES),
        ("gen_ai.user.message", None, {"content": "again"}, [("user", "again")]),
    ],
    ids=["attributes", "body", "message"],
)
def test_details_sent_again_add_nothing(store, sender, event, attributes, body, expected):
    span = sender.start()
    span.end()
    for _ in range(3):
        sender.log(span, event, attributes, body, time_ns=7)
    assert (details(store), messages(store)) == (3, expected)
    assert query("SELECT count(*) FROM spans", path=store).scalar() == 1


def test_values_of_the_span_win_and_later_details_win_over_earlier(store, sender):
    span = sender.start(**{"gen_ai.usage.input_tokens": 1, "gen_ai.request.temperature": 0.1})
    sender.log(span, DETAILS, {**CONTENT, "gen_ai.usage.output_tokens": 6}, time_ns=2)
    sender.log(span, DETAILS, {"gen_ai.input.messages": [ANSWER], "gen_ai.usage.output_tokens": 5}, time_ns=1)
    span.end()
    found = query(f"SELECT input_tokens, output_tokens, {TEMPERATURE} FROM llm_calls", path=store).rows()
    assert found == [(1, 6, "0.1")]
    assert messages(store) == MESSAGES


def test_details_of_an_unknown_span_stay_and_are_pruned(collector, store, sender):
    lost = sender.start()
    sender.log(lost, DETAILS, {**CONTENT, "user.id": "ada"})
    sender.log(lost, "app.something", {"a": 1})
    assert query("SELECT count(*) FROM spans", path=store).scalar() == 0
    assert query("SELECT user_id, input_tokens FROM store.details", path=store).rows() == [("ada", 12)]
    assert query("SELECT what, reason, count FROM losses", path=store).rows() == [("log", "not_kept", 1)]
    prune(path=store, user_id="ada")
    assert details(store) == 0
    sender.log(lost, DETAILS, CONTENT)
    collector.stop()
    compact(path=store)
    assert details(store) == 1
    prune(path=store, older_than=datetime(2100, 1, 1, tzinfo=UTC))
    assert details(store) == 0


def test_prune_of_a_user_takes_the_details_of_the_user(store, sender):
    for word in ("one", "two"):
        span = sender.start(**{"user.id": word})
        sender.log(span, DETAILS, {"gen_ai.input.messages": [{"role": "user", "parts": [{"content": word}]}]})
        span.end()
    prune(path=store, user_id="one")
    assert query("SELECT input_messages ->> '$[0].parts[0].content' FROM llm_calls", path=store).rows() == [("two",)]
    assert details(store) == 1
    assert not any(b'"one"' in file.read_bytes() for file in store.rglob("*.ndjson"))


def test_export_import_snapshot_and_views_file_have_the_details(collector, store, sender, tmp_path):
    span = sender.start()
    span.end()
    sender.log(span, DETAILS, CONTENT)
    collector.stop()
    compact(path=store)
    for form in ("jsonl", "json", "parquet"):
        file = tmp_path / f"all.{form}"
        export(file, path=store)
        import_file(file, path=tmp_path / form)
        assert messages(tmp_path / form) == MESSAGES
    for file in (store / "traces.duckdb", snapshot(tmp_path / "all.duckdb", path=store).file):
        with duckdb.connect(str(file), read_only=True) as connection:
            found = connection.execute("SELECT role, content FROM messages ORDER BY direction, position").fetchall()
            assert found == MESSAGES
    with pytest.raises(ValueError, match="cannot be exported"):
        export(tmp_path / "details.jsonl", what="details", path=store)


def test_sampling_takes_the_details_of_dropped_traces(collector, store, sender):
    for _ in range(8):
        span = sender.start()
        sender.log(span, DETAILS, CONTENT)
        span.end()
    collector.stop()
    compact(path=store)
    compact_store(store, thinning=ThinningPolicy(share=0.0, after_days=0.0))
    assert (query("SELECT count(*) FROM spans", path=store).scalar(), details(store)) == (0, 0)


def test_redaction_and_content_rule_apply(store, tmp_path):
    secret = "sk-" + "a1B2" * 12
    said = {"role": "user", "parts": [{"type": "text", "content": f"my key is {secret}"}]}

    def send(path):
        with Collector(path=path, port=0) as collector:
            sender = Sender(collector)
            span = sender.start()
            sender.log(span, DETAILS, {"gen_ai.input.messages": [said], "gen_ai.usage.input_tokens": 3})
            sender.log(span, "gen_ai.choice", body={"message": {"content": f"no {secret}"}})
            span.end()
            sender.close()

    send(store)
    assert [text.partition("[REDACTED")[0] for _, text in messages(store)] == ["my key is ", "no "]
    assert query("SELECT sum(count) FROM losses WHERE what = 'secret'", path=store).scalar() == 2
    bare = tmp_path / "bare"
    llmops.configure(capture={"content": False})
    send(bare)
    assert query("SELECT input_tokens FROM llm_calls", path=bare).rows() == [(3,)]
    for folder in (store, bare):
        assert not any(secret.encode() in file.read_bytes() for file in folder.rglob("*.ndjson"))
    assert not any(b"my key" in file.read_bytes() for file in bare.rglob("*.ndjson"))


def record(number=1, event=DETAILS, attributes=None, **fields):
    pairs = [{"key": key, "value": value} for key, value in (attributes or {}).items()]
    ids = {"traceId": f"{number:032x}", "spanId": f"{number:016x}", "timeUnixNano": str(number)}
    return {**ids, "eventName": event, "attributes": pairs, **fields}


def logs(*records):
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()


def hostile_records():
    text = {"stringValue": json.dumps([QUESTION])}
    deep: dict[str, object] = {"stringValue": "end"}
    for _ in range(60):
        deep = {"kvlistValue": {"values": [{"key": "content", "value": deep}]}}
    return [
        record(1, attributes={"gen_ai.input.messages": {"stringValue": "no json ["}}),
        record(1, attributes={"gen_ai.input.messages": {"intValue": "5"}, "gen_ai.usage.input_tokens": text}),
        record(1, attributes={"gen_ai.input.messages": {"stringValue": '{"a": 1}'}}),
        record(1, event="gen_ai.user.message", body=deep),
        record(1, event="gen_ai.user.message", body={"arrayValue": {"values": [{}, {"intValue": "1"}]}}),
        record(1, event="gen_ai.choice", body={"stringValue": "\ud800 lone \r\n"}),
        record(1, event="gen_ai.choice"),
        record(1, event="gen_ai.assistant.message", body={"bytesValue": "AAA="}),
        record(1, body={"stringValue": "a text"}, attributes={"seal": {"intValue": "3"}}),
        record(2, attributes={'x","trace_id":"': {"stringValue": "y"}}),
    ]


def test_hostile_details_leave_the_store_usable(post, store):
    for one in hostile_records():
        assert post(logs(one), "/v1/logs").json == {}
    for fields in ({"traceId": ""}, {"spanId": ""}, {"traceId": "0" * 32}):
        assert post(logs(record(**fields)), "/v1/logs").json["partialSuccess"]["rejectedLogRecords"] == "1"
    assert query("SELECT sum(count) FROM losses WHERE what = 'detail'", path=store).scalar() == 3
    many = [record(3, event="gen_ai.user.message", body={"stringValue": f"{n}"}) for n in range(5_000)]
    assert post(logs(*many), "/v1/logs").status == 200
    for n in range(300):
        assert post(logs(record(4, "gen_ai.user.message", body={"stringValue": f"{n}"})), "/v1/logs").status == 200
    spans = [
        {"traceId": f"{n:032x}", "spanId": f"{n:016x}", "name": "s", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
        for n in range(1, 5)
    ]
    assert post(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()).status == 200
    assert query("SELECT count(*) FROM spans", path=store).scalar() == 4
    for view in ("spans", "llm_calls", "traces", "messages", "events"):
        query(f"FROM {view}", path=store).rows()
    held = dict(query("SELECT trace_id, count(*) FROM messages GROUP BY ALL", path=store).rows())
    assert (held[f"{3:032x}"], held[f"{4:032x}"]) == (5_000, 256)
    assert query("SELECT lines FROM store.unreadable", path=store).scalar() == 0


def test_content_too_large_for_a_line_is_cut_and_counted(store):
    with Collector(path=store, port=0) as collector:
        sender = Sender(collector)
        span = sender.start()
        sender.log(span, DETAILS, {**CONTENT, "gen_ai.input.messages": [{"content": "x" * 9_000_000}]})
        sender.log(span, "gen_ai.user.message", body={"content": "y" * 9_000_000})
        span.end()
        sender.close()
    assert query("SELECT sum(count) FROM losses WHERE what = 'input_messages'", path=store).scalar() == 2
    assert query("SELECT input_tokens, output_messages IS NULL FROM llm_calls", path=store).rows() == [(12, False)]
    for view in ("spans", "traces", "messages"):
        query(f"FROM {view}", path=store).rows()
