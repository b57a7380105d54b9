"""docs/querying.md: each question's SQL on three days of a bank's assistant, against counts made here from the lines.

What is expected comes from the store's raw lines and from what the calls returned, in plain Python: no view is asked.
"""

from __future__ import annotations

import datetime
import json
import math
import re
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from schema_page import example

from llmops_sdk.store import query
from llmops_sdk.store.schema._views import VIEWS

PAGE = Path(__file__).parents[2] / "docs" / "querying.md"
SCHEMA = (PAGE.parent / "schema.md").read_text("utf-8")
PROGRAM = Path(__file__).with_name("bank_assistant.py")
QUESTIONS: dict[str, str] = dict(
    re.findall(r"^## ([^\n]*)\n(?:(?!^## ).)*?^```sql\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
)
AGES = (0, 2, 9)
"""Days before today on which the assistant ran."""
DAY_NS = 86_400_000_000_000

Row = dict[str, Any]


@dataclass
class Days:
    """The store, its lines, and what the program said of its calls."""

    path: Path
    spans: list[Row]
    scores: list[Row]
    losses: list[Row]
    said: list[Row]

    @property
    def calls(self) -> list[Row]:
        return [span for span in self.spans if span.get("kind") in {"llm", "embedding"}]


def _older(value: Any, by: int) -> Any:
    if isinstance(value, dict):
        return {
            key: item - by if key in {"start_ns", "time_ns"} and isinstance(item, int) else _older(item, by)
            for key, item in value.items()
        }
    return [_older(item, by) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    """Three runs of the program, the lines of two of them made days older."""
    root = tmp_path_factory.mktemp("days")
    made = Days(root / "store", [], [], [], [])
    for age in AGES:
        run = root / f"day{age}"
        ran = subprocess.run([sys.executable, PROGRAM, run, str(age)], capture_output=True, text=True, check=True)
        made.said += [{**json.loads(line), "age": age} for line in ran.stdout.splitlines()]
        for file in run.glob("*/*.ndjson"):
            lines = [_older(json.loads(line), age * DAY_NS) for line in file.read_text("utf-8").splitlines()]
            kept = {"wal": made.spans, "scores": made.scores, "losses": made.losses}[file.parent.name]
            kept += [line for line in lines if "seal" not in line]
            copy = made.path / file.relative_to(run)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return made


def day_of(line: Row) -> datetime.date:
    return moment(line.get("start_ns") or line["time_ns"]).date()


def moment(ns: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(ns // 1000 / 1e6, datetime.UTC).replace(tzinfo=None)


def ms(span: Row) -> float:
    return span["duration_ns"] / 1e6


def model_of(span: Row) -> str | None:
    return span.get("model", span.get("request_model"))


def quantile(values: Iterable[float], at: float) -> float | None:
    ordered = sorted(values)
    if not ordered:
        return None
    place = at * (len(ordered) - 1)
    low = math.floor(place)
    return ordered[low] + (ordered[math.ceil(place)] - ordered[low]) * (place - low)


def mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def total(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def failed(span: Row) -> float:
    return float(span["status"] == "error")


def grouped(lines: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for line in lines:
        groups[key(line)].append(line)
    return groups


def descending(rows: Iterable[Sequence[Any]], *columns: int, then: Sequence[int] = ()) -> list[tuple[Any, ...]]:
    """By columns downwards, NULL last, and then by others upwards, NULL last too."""

    def order(row: Sequence[Any]) -> tuple[Any, ...]:
        down = [(row[c] is None, -row[c] if row[c] is not None else 0) for c in columns]
        return (*down, *((row[c] is None, row[c] if row[c] is not None else "") for c in then))

    return sorted(map(tuple, rows), key=order)


def events(spans: Iterable[Row], name: str) -> list[tuple[Row, Row]]:
    return [(span, e) for span in spans for e in span.get("events", ()) if e["name"] == name]


def prompts(days: Days) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    # Nine days ago is the week before; the other two days are of the last seven.
    ends = max(day_of(call) for call in days.calls) - datetime.timedelta(days=5)
    for name, calls in grouped(days.calls, lambda call: call.get("prompt_name")).items():
        before, recent = [c for c in calls if day_of(c) < ends], [c for c in calls if day_of(c) >= ends]
        rows.append((
            name, len(recent), quantile(map(ms, before), 0.95), quantile(map(ms, recent), 0.95),
            mean(c.get("cost") for c in before), mean(c.get("cost") for c in recent),
            mean(map(failed, before)), mean(map(failed, recent)),
        ))  # fmt: skip
    return descending(rows, 3)


def latency(days: Days) -> list[tuple[Any, ...]]:
    groups = grouped(days.calls, lambda call: (day_of(call), model_of(call)))
    return sorted(
        (*key, len(calls), quantile(map(ms, calls), 0.5), quantile(map(ms, calls), 0.95))
        for key, calls in groups.items()
    )


def configured(days: Days) -> list[tuple[Any, ...]]:
    groups = grouped(days.calls, lambda call: call.get("attributes", {}).get("llmops.model.name"))
    return sorted(
        (
            (name, len(calls), mean(map(ms, calls)), total(c.get("cost") for c in calls))
            for name, calls in groups.items()
        ),
        key=lambda row: (row[0] is None, row[0] or ""),
    )


def users(days: Days) -> list[tuple[Any, ...]]:
    rows = [
        (
            user, len(calls), total(c.get("cost") for c in calls),
            total(c["input_tokens"] + c["output_tokens"] if "output_tokens" in c else None for c in calls),
            sum("cost" not in c for c in calls),
        )
        for user, calls in grouped(days.calls, lambda call: call.get("user_id")).items()
    ]  # fmt: skip
    return descending(rows, 2, then=[0])


def tags(days: Days) -> list[tuple[Any, ...]]:
    pairs = [{"tag": tag, "cost": call.get("cost")} for call in days.calls for tag in call.get("tags", ())]
    rows = [
        (tag, len(found), total(f["cost"] for f in found)) for tag, found in grouped(pairs, lambda p: p["tag"]).items()
    ]
    return descending(rows, 2, then=[0])


def failures(days: Days) -> list[tuple[Any, ...]]:
    rows = [
        (
            model, len(calls), mean(map(failed, calls)),
            dict(Counter(call["error_type"] for call in calls if failed(call))) or None,
        )
        for model, calls in grouped(days.calls, model_of).items()
    ]  # fmt: skip
    return descending(rows, 2, then=[0])


def retries(days: Days) -> list[tuple[Any, ...]]:
    tries = [(s, e["attributes"]) for s, e in events(days.calls, "llmops.attempt")]
    groups: dict[Any, list[tuple[Row, Row]]] = defaultdict(list)
    for span, tried in tries:
        if tried["reason"] != "first":
            groups[tried["reason"], tried["provider"], tried["model"]].append((span, tried))
    rows = [
        (
            *key, len(found), sum(t["status"] == "ok" for _, t in found),
            len({s["span_id"] for s, _ in found if failed(s)}),
            sorted({t["status_code"] for _, t in found if "status_code" in t}) or None,
        )
        for key, found in groups.items()
    ]  # fmt: skip
    return descending(rows, 3, then=[0, 2])


def cache(days: Days) -> list[tuple[Any, ...]]:
    lookups = [{**e["attributes"], "time_ns": e["time_ns"]} for _, e in events(days.calls, "llmops.cache.lookup")]
    return sorted(
        (*key, len(found), mean(f["hit"] for f in found), total(f.get("saved_cost") for f in found))
        for key, found in grouped(lookups, lambda f: (day_of(f), f["tier"])).items()
    )


def guards(days: Days) -> list[tuple[Any, ...]]:
    verdicts = [{**e["attributes"], "time_ns": e["time_ns"]} for _, e in events(days.spans, "llmops.guard.verdict")]
    rows = [
        (*key, len(found), mean(f["duration_ms"] for f in found), moment(max(f["time_ns"] for f in found)))
        for key, found in grouped(verdicts, lambda f: (f["guard"], f["rail"], f["action"])).items()
    ]
    return descending(rows, 3, then=[0, 1, 2])


def root_of(spans: Sequence[Row]) -> Row:
    return next(span for span in spans if "parent_span_id" not in span)


def tokens(days: Days) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for trace_id, spans in grouped(days.spans, lambda span: span["trace_id"]).items():
        calls = [span for span in spans if span in days.calls]
        used = sum(c.get("input_tokens", 0) + c.get("output_tokens", 0) for c in calls)
        if calls:
            cost = total(c.get("cost") for c in calls)
            rows.append((trace_id, root_of(spans)["name"], len(calls), used, cost))
    return descending(rows, 3, then=[0])[:10]


def steps(days: Days) -> list[tuple[Any, ...]]:
    inner: dict[Any, float] = defaultdict(float)
    for span in days.spans:
        inner[span["trace_id"], span.get("parent_span_id")] += ms(span)
    rows = [
        (
            *key, len(spans), mean(map(ms, spans)),
            sum(max(ms(s) - inner[s["trace_id"], s["span_id"]], 0) for s in spans),
        )
        for key, spans in grouped(days.spans, lambda span: (span["name"], span["kind"])).items()
    ]  # fmt: skip
    return descending(rows, 4)


def tools(days: Days) -> list[tuple[Any, ...]]:
    calls = [span for span in days.spans if span["name"] == "balance"]
    assert [c["input"] for c in calls if failed(c)] == [{"account": "unknown"}] * len(AGES)
    return [("balance", 9, 3 / 9, "LookupError: no such account", '{"account":"unknown"}')]


def conversation(days: Days) -> list[tuple[Any, ...]]:
    calls = sorted((c for c in days.calls if c.get("session_id") == "ada-1"), key=lambda c: c["start_ns"])
    asked = ["Where is my card?", "And my balance?"] * len(AGES)
    answers = [line["text"] for age in reversed(AGES) for line in days.said if age == line["age"]
               and line["what"] == "support" and line["model"] == "gpt-4.1-mini"]  # fmt: skip
    rows: list[tuple[Any, ...]] = []
    for call, question, answer in zip(calls, asked, answers, strict=True):
        at = moment(call["start_ns"])
        rows += [(at, "user", question, None), (at, "assistant", answer, None)]
    return rows


def cut(days: Days) -> list[tuple[Any, ...]]:
    said = {line["span_id"] for line in days.said if line.get("finish_reason") == "length"}
    calls = sorted((c for c in days.calls if c["span_id"] in said), key=lambda c: c["start_ns"])
    return [(moment(c["start_ns"]), "script", "classify", 3, "3", c["trace_id"]) for c in calls]


def judged(days: Days) -> list[tuple[Any, ...]]:
    assert [(s["name"], s["value"]) for s in days.scores[:3]] == [("helpful", 1), ("helpful", 0), ("tone", 0.9)]
    helpful = [1.0, 0.0] * len(AGES)
    return [
        ("helpful", "gpt-4.1-mini", 6, 0.5, statistics.stdev(helpful)),
        ("tone", "gpt-4.1-mini", 3, 0.9, 0.0),
    ]


def versions(days: Days) -> list[tuple[Any, ...]]:
    values = {score.get("span_id"): score["value"] for score in days.scores if score["name"] == "helpful"}
    rows: list[tuple[Any, ...]] = []
    calls = [call for call in days.calls if "prompt_version" in call]
    for key, found in grouped(calls, lambda call: (call["prompt_name"], call["prompt_version"])).items():
        marks = [values[c["span_id"]] for c in found if c["span_id"] in values]
        rows.append((
            *key, min(map(day_of, found)), len(found), mean(c["cost"] for c in found),
            quantile(map(ms, found), 0.95), mean(map(failed, found)), mean(marks), len(marks),
        ))  # fmt: skip
    return sorted(rows, key=lambda row: (row[0], row[2]))


def again(days: Days) -> list[tuple[Any, ...]]:
    asked: dict[str, list[Row]] = defaultdict(list)
    for call in days.calls:
        texts = [p["content"] for m in call.get("input_messages", ()) if m["role"] == "user" for p in m["parts"]]
        if texts:
            asked[" ".join(re.sub(r"[\W_]+", " ", texts[-1].lower()).split())].append(call)
    rows = [
        (
            question, len(calls), len({c["session_id"] for c in calls if "session_id" in c}),
            total(c.get("cost") for c in calls),
        )
        for question, calls in asked.items()
        if len(calls) > 1
    ]  # fmt: skip
    assert asked["where is my card"][0] is not asked["where is my card"][1]
    return descending(rows, 1, then=[0])


def first_token(days: Days) -> list[tuple[Any, ...]]:
    waits = [call["ttft_ms"] for call in days.calls if "ttft_ms" in call]
    assert len(waits) == 2 * len(AGES)
    return [("echo", len(waits), quantile(waits, 0.5), quantile(waits, 0.95), len(AGES))]


def unanswered(days: Days) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for call in days.calls:
        if call["kind"] == "llm" and "output_messages" not in call:
            asked = call.get("input_messages")
            text = None if asked is None else json.dumps(asked, separators=(",", ":"))
            rows.append((moment(call["start_ns"]), call["trace_id"], call["name"], "error", 1, text))
    assert len(rows) == sum("error" in line for line in days.said)
    return sorted(rows, reverse=True)


def others(days: Days) -> list[tuple[Any, ...]]:
    spans = [span for span in days.spans if span["name"] == "GET /vectors"]
    return [("vector.store", "GET /vectors", 9, mean(map(ms, spans)), 9)]


def own(days: Days) -> list[tuple[Any, ...]]:
    tenants = {"ada": "acme", "bob": "globex"}
    rows: list[tuple[Any, ...]] = []
    for tenant, spans in grouped(days.spans, lambda s: tenants.get(s.get("user_id", ""))).items():
        asked = {"acme": [17, 15], "globex": [20]}.get(tenant or "")
        rows.append((tenant, len(spans), mean(asked) if asked else None))
    return sorted(rows, key=lambda row: (row[0] is None, row[0]))


def lost(days: Days) -> list[tuple[Any, ...]]:
    rows = [
        (*key, sum(f["count"] for f in found), total(f.get("bytes") for f in found))
        for key, found in grouped(days.losses, lambda f: (day_of(f), f["what"], f["reason"])).items()
    ]
    assert {row[2] for row in rows} == {"too_large", "openai_key"}
    return sorted(rows)


def examples(days: Days) -> list[tuple[Any, ...]]:
    messages = [{"role": "user", "content": "Judge 1"}, {"role": "assistant", "content": "Yes."}]
    assert sum(line["text"] == "Yes." for line in days.said if line["what"] == "judged") == len(AGES)
    return [(json.dumps({"messages": messages}, separators=(",", ":")),)] * len(AGES)


EXPECTED: dict[str, Callable[[Days], list[tuple[Any, ...]]]] = {
    "Which prompts got slow, costly or wrong last week?": prompts,
    "How long do calls take, by model and day?": latency,
    "How do two configured models compare?": configured,
    "What does each user cost?": users,
    "What does each tag cost?": tags,
    "How often do calls fail, and with what?": failures,
    "How many retries and fallbacks were there, and did they help?": retries,
    "What does the cache save?": cache,
    "What did the guards do?": guards,
    "Which traces use most tokens?": tokens,
    "Which step of a trace takes the time?": steps,
    "Which tools fail, and on what?": tools,
    "What was said in a session, in order?": conversation,
    "Which answers were cut by their length?": cut,
    "How are the models judged?": judged,
    "Is the new version of a prompt better?": versions,
    "Which questions come again and again?": again,
    "How long until the first token?": first_token,
    "Which traces ended without an answer?": unanswered,
    "What did other libraries do?": others,
    "How can an attribute or metadata of my own be used?": own,
    "What was lost?": lost,
    "How do I export examples for fine-tuning?": examples,
}


def test_every_question_of_the_page_has_a_count():
    assert list(QUESTIONS) == list(EXPECTED)
    assert len(QUESTIONS) >= 20


def close(found: Any, expected: Any) -> bool:
    if isinstance(expected, float) and isinstance(found, (int, float)):
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
    return found == expected


@pytest.mark.parametrize("question", EXPECTED)
def test_question_sql_returns_the_count_made_by_hand(days, question):
    found = query(QUESTIONS[question], path=days.path)
    expected = EXPECTED[question](days)
    assert len(expected) > 0
    assert len(found) == len(expected)
    for row, wanted in zip(found, expected, strict=True):
        assert all(map(close, row, wanted)), (row, wanted)


def test_store_agrees_with_returned_usage(days):
    asked = """SELECT span_id, model, input_tokens, output_tokens, cost, saved_cost, cache, finish_reason, attempts
        FROM llm_calls"""
    stored = {row[0]: row[1:] for row in query(asked, path=days.path)}
    answered = [line for line in days.said if "span_id" in line]
    assert len(answered) == 15 * len(AGES)
    for line in answered:
        names = ("model", "input_tokens", "output_tokens", "cost", "saved_cost", "cache", "finish_reason")
        assert stored[line["span_id"]] == (*(line[name] for name in names), len(line["attempts"])), line


@pytest.mark.parametrize(
    ("view", "column"), [(view, column) for view in VIEWS for column in view.columns], ids=lambda one: one.name
)
def test_column_example_runs(days, view, column):
    sql = example(view, column)
    assert column.name in sql
    assert sql in SCHEMA
    assert "|" not in sql  # it stands in a table
    assert query(sql, path=days.path).columns
