"""The filter options: valid values, and the rows that match."""

from __future__ import annotations

import json
import shlex
import shutil
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmops_sdk as llmops
from llmops_sdk.cli._examples import COMMANDS
from llmops_sdk.cli._filters import ScoreTest, parse_filter, parse_moment
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.store import StoreSink
from llmops_sdk.tracing.records._records import RecordedSpan

NOW = datetime(2026, 11, 23, 14, 0)  # noqa: DTZ001 - the store's times are naive and in UTC


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        (" 2h ", timedelta(hours=2)),
        ("1.5 d", timedelta(days=1.5)),
        ("4w", timedelta(weeks=4)),
    ],
)
def test_age_is_subtracted_from_now(text, ago):
    assert parse_moment(text, NOW) == NOW - ago


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("2026-11-20", datetime(2026, 11, 20)),  # noqa: DTZ001
        ("20261120", datetime(2026, 11, 20)),  # noqa: DTZ001
        ("2026-11-20T10:30", datetime(2026, 11, 20, 10, 30)),  # noqa: DTZ001
        ("2026-11-20 10:30:00Z", datetime(2026, 11, 20, 10, 30)),  # noqa: DTZ001
        ("2026-11-20T10:30:00+02:00", datetime(2026, 11, 20, 8, 30)),  # noqa: DTZ001
    ],
)
def test_time_without_a_zone_is_utc(text, then):
    assert parse_moment(text, NOW) == then


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2", "the unit is missing"),
        ("3y", '"y" is not a unit of time'),
        ("3M", '"M" is not a unit of time'),
        ("h", "neither an age"),
        ("-2h", "neither an age"),
        ("", "neither an age"),
        ("2026-13-01", "neither an age"),
        ("99999999w", "too far back"),
        ("9" * 400 + "d", "too far back"),
        ("0001-01-01T00:00+05:00", "too far back"),
    ],
)
def test_invalid_time_is_a_usage_error(text, said):
    with pytest.raises(UsageError, match=said):
        parse_moment(text, NOW)


@given(st.text())
def test_any_text_is_parsed_or_rejected_as_a_time(text):
    try:
        moment = parse_moment(text, NOW)
    except UsageError:
        return
    assert moment is not None
    assert moment.tzinfo is None


@pytest.mark.parametrize(
    ("text", "test"),
    [
        ("helpful", ScoreTest("helpful")),
        ("helpful<0.5", ScoreTest("helpful", "<", value=0.5)),
        ("helpful >= 1e-1", ScoreTest("helpful", ">=", value=0.1)),
        ("is ok=true", ScoreTest("is ok", "=", value=1.0)),
        ("tone=friendly", ScoreTest("tone", "=", label="friendly")),
        ("tone!=a=b", ScoreTest("tone", "!=", label="a=b")),
        ("x=nan", ScoreTest("x", "=", label="nan")),
    ],
)
def test_score_filter_compares_a_number_or_a_label(text, test):
    assert parse_filter(scores=[text]).scores == (test,)


@pytest.mark.parametrize("text", ["", "=1", "helpful<", "helpful=", "helpful<low", "x>nan"])
def test_invalid_score_filter_is_a_usage_error(text):
    with pytest.raises(UsageError, match=r"score|number"):
        parse_filter(scores=[text])


@pytest.fixture
def scored(store):
    """Add scores on a span and on a whole trace, and labels, to the small store."""
    with llmops.context(tags=["night", "shop"]), llmops.span("scored") as root:
        with llmops.span("answer", kind="llm", attributes={"gen_ai.request.model": "toy"}) as inner:
            inner.score("helpful", 0.25)
        llmops.score("tone", "friendly", trace_id=root.trace_id)
    assert llmops.flush().pending == 0
    return store


def names(ran):
    assert ran.status == 0, ran.err
    return sorted(row["name"] for row in json.loads(ran.out))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--tag", "shop"], ["checkout", "scored"]),
        (["--tag", "shop", "--tag", "night"], ["scored"]),
        (["--kind", "llm"], ["chat toy", "checkout", "scored"]),
        (["--kind", "llm", "--user", "ada"], ["checkout"]),
        (["--model", "toy"], ["chat toy", "scored"]),
        (["--status", "error"], ["=1+1"]),
        (["--score", "helpful"], ["scored"]),
        (["--score", "helpful<0.5"], ["scored"]),
        (["--score", "helpful>0.5"], []),
        (["--score", "tone=friendly"], ["scored"]),
        (["--score", "tone!=friendly"], []),
        (["--score", "tone=friendly", "--score", "helpful=0.25"], ["scored"]),
        (["--search", "NEEDLE"], ["=1+1"]),
        (["--search", "%"], []),
        (["--until", "1h"], []),
        (["--since", "2000-01-01", "--tag", "night"], ["scored"]),
        (["--tag", "'] OR true --"], []),
        (["--score", "x' OR true --=1"], []),
        (["--search", "'; DROP VIEW spans; --"], []),
    ],
)
def test_trace_matches_if_one_span_matches_each_filter(command, scored, arguments, expected):
    assert names(command("traces", *arguments, "--store", str(scored), "--format", "json")) == expected


@pytest.mark.parametrize(
    ("arguments", "calls"),
    [
        ([], 4),
        (["--model", "toy"], 2),
        (["--tag", "shop"], 3),
        (["--user", "ada"], 2),
        (["--session", "s1"], 2),
        (["--kind", "embedding"], 0),
        (["--score", "helpful<0.5"], 1),
        (["--score", "tone=friendly"], 1),
        (["--search", "hello"], 3),
        (["--status", "error"], 0),
        (["--since", "1h"], 4),
        (["--until", "1h"], 0),
    ],
)
def test_stats_counts_only_matching_calls(command, scored, arguments, calls):
    ran = command("stats", *arguments, "--store", str(scored), "--format", "json")
    assert ran.status == 0, ran.err
    assert sum(row["calls"] for row in json.loads(ran.out)) == calls


# These need files or a backend, or run until they are stopped. Their own tests run them.
ELSEWHERE = ("tail", "import", "collect", "replay", "schema", "trust", "ui", "watch")


@pytest.mark.parametrize(
    "line",
    [
        line
        for name, lines in COMMANDS.items()
        if name not in ELSEWHERE and not name.startswith(("guard ", "dataset ", "eval ", "alerts ", "route "))
        for line in lines
    ],
)
def test_help_examples_run(command, scored, tmp_path, line):
    program, name, *arguments = shlex.split(line)
    assert program == "llmops"
    if name == "show":
        [first] = json.loads(command("traces", "--tag", "night", "--store", str(scored), "--format", "json").out)
        arguments[0] = first["trace_id"]
    # A copy, as some examples change the store.
    ran = command(name, *arguments, "--store", shutil.copytree(scored, tmp_path / "copy"))
    assert (ran.status, ran.err.startswith("llmops:")) == (0, False), ran.err


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_shows_its_examples(command, name):
    shown = " ".join(command(*name.split(), "--help").out.split())
    for line in COMMANDS[name]:
        assert line in shown


def test_traces_are_ordered_by_start_whatever_their_length(command, tmp_path):
    # Long traces that start early and end late, among short ones.
    start, minute = 1_795_000_000_000_000_000, 60_000_000_000

    def span(trace: int, number: int, at: int) -> RecordedSpan:
        return RecordedSpan(
            name=f"t{trace}", kind="chain", trace_id=trace, span_id=number, parent_id=0 if number == 1 else 1,
            start_ns=start + at * minute, duration_ns=1, status="ok", attributes={}, resource={},
        )  # fmt: skip

    spans = [span(trace, 1, trace) for trace in range(1, 41)]
    spans += [span(1, 2 + number, 100 + number) for number in range(150)]  # of the first trace, after all others
    sink = StoreSink(tmp_path / "many")
    sink.write(spans)
    sink.close(1.0)
    names = [f"t{trace}" for trace in range(40, 0, -1)]
    for limit in ("1", "2", "5", "39", "40", "0"):
        ran = command("traces", "--store", str(tmp_path / "many"), "--limit", limit, "--format", "json")
        assert [row["name"] for row in json.loads(ran.out)] == names[: int(limit) or None], limit
        assert ("older" in ran.err) is (limit not in {"40", "0"}), limit
    whole = json.loads(command("traces", "--store", str(tmp_path / "many"), "-n", "0", "--format", "json").out)
    assert whole[-1]["spans"] == 151
    since = command("traces", "--store", str(tmp_path / "many"), "--since", "2026-11-18T11:36:40", "--format", "json")
    assert [row["name"] for row in json.loads(since.out)] == names[:11][: len(json.loads(since.out))]
    assert len(json.loads(since.out)) == 11
