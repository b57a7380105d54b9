"""Every figure of a report is the one that SQL by hand gives."""

from __future__ import annotations

import functools
import json
import math
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from statistics import NormalDist

import pytest
from weeks_of_calls import (
    PREVIOUS,
    SINCE,
    UNTIL,
    Calls,
    alert,
    answer,
    check,
    plain_report,
    two_weeks,
    week_report,
    write_rows,
)

import llmops_sdk as llmops
from llmops_sdk.errors import ConfigError, QueryError
from llmops_sdk.monitoring import report
from llmops_sdk.stats import wilson_interval

# Written by hand: what of the store of two weeks counts.
COUNTED = """kind = 'llm' AND NOT simulated AND attributes->>'llmops.canary' IS NULL AND trace_id NOT IN (
    SELECT trace_id FROM spans WHERE parent_span_id IS NULL AND (kind = 'evaluator'
        OR attributes->>'llmops.eval.experiment_id' IS NOT NULL))"""
NOW, BEFORE = (
    f"FROM llm_calls WHERE {COUNTED} AND start_time >= '{begin}' AND start_time < '{begin + timedelta(days=7)}'"
    for begin in (SINCE, PREVIOUS)
)


@functools.cache
def _connection(path: Path):
    return llmops.connect(path=path)


def ask(path: Path, sql: str):
    return _connection(path).execute(sql).fetchall()


@pytest.mark.parametrize(("period", "rows"), [("current", NOW), ("previous", BEFORE)])
def test_totals_shares_and_quantiles_equal_sql(weeks: Path, period: str, rows: str) -> None:
    figures = plain_report(weeks).figures
    [(calls, errors, cost, unpriced, hits, saved, traces, users, tokens, p50, p95)] = ask(
        weeks,
        f"""SELECT count(*), avg((status = 'error')::INT), sum(cost), avg((cost IS NULL)::INT),
        avg((cache IS NOT NULL)::INT), sum(saved_cost), count(DISTINCT trace_id), count(DISTINCT user_id),
        sum(input_tokens), quantile_cont(duration_ms, 0.5), quantile_cont(duration_ms, 0.95) {rows}""",
    )
    totals = figures["totals"][period]

    assert calls == (600 if period == "current" else 400)
    assert (totals["calls"], totals["traces"], totals["users"], totals["input_tokens"]) == (
        calls,
        traces,
        users,
        tokens,
    )
    assert figures["calls"][period] == calls
    assert (totals["cost"], figures["cost"][period]) == pytest.approx((cost, cost), abs=1e-9)
    assert totals["saved_cost"] == pytest.approx(saved, abs=1e-9)
    assert figures["errors"][period]["value"] == pytest.approx(errors)
    assert figures["unpriced"][period]["value"] == pytest.approx(unpriced)
    assert figures["cache"]["hits"][period]["value"] == pytest.approx(hits)
    assert figures["cost_per_call"][period]["value"] == pytest.approx(cost / (calls * (1 - unpriced)))
    assert figures["latency"]["p50"][period]["value"] == pytest.approx(p50)
    assert figures["latency"]["p95"][period]["value"] == pytest.approx(p95)


def test_slow_calls_are_those_above_the_quantile_before(weeks: Path) -> None:
    slow = plain_report(weeks).figures["latency"]["slow"]
    [(limit,)] = ask(weeks, f"SELECT quantile_cont(duration_ms, 0.95) {BEFORE}")
    [(share,)] = ask(weeks, f"SELECT avg((duration_ms > {limit!r})::INT) {NOW}")

    assert slow["above_ms"] == pytest.approx(limit)
    assert slow["configured"] is False
    assert slow["current"]["value"] == pytest.approx(share)
    assert slow["change"]["low"] > 0


def test_movers_equal_sql_and_come_by_the_change_of_cost(weeks: Path) -> None:
    rows = week_report(weeks, users=True).figures["movers"]["user"]["rows"]
    sums = {
        name: dict(ask(weeks, f"SELECT user_id, sum(coalesce(cost, 0)) {part} GROUP BY 1"))
        for name, part in (("now", NOW), ("before", BEFORE))
    }
    change = {user: sums["now"].get(user, 0) - sums["before"].get(user, 0) for user in sums["now"] | sums["before"]}

    assert len(rows) == 8
    assert [row["key"] for row in rows] == sorted(change, key=lambda user: -abs(change[user]))[:8]
    for row in rows:
        assert (row["cost"] or 0) - (row["cost_before"] or 0) == pytest.approx(change[row["key"]], abs=1e-9)


def test_steps_sum_to_the_totals(weeks: Path) -> None:
    figures = plain_report(weeks).figures

    assert sum(row["calls"] for row in figures["steps"]) == 600
    assert sum(row["errors"] for row in figures["steps"]) / 600 == pytest.approx(figures["errors"]["current"]["value"])


def test_new_types_of_error_were_never_seen_before(weeks: Path) -> None:
    rows = {row["error_type"]: row for row in plain_report(weeks).figures["errors_seen"]}
    [(quota,)] = ask(weeks, f"SELECT count(*) {NOW} AND error_type = 'QuotaError'")

    assert rows["QuotaError"]["is_new"]
    assert rows["QuotaError"]["errors"] == quota
    assert not rows["TimeoutError"]["is_new"]
    assert "1 type of error is new" in plain_report(weeks).verdict[-1]


def test_scores_guards_losses_and_examples_equal_sql(weeks: Path) -> None:
    figures = plain_report(weeks).figures
    [(n, mean)] = ask(
        weeks, f"SELECT count(*), avg(value) FROM scores WHERE name = 'helpful' AND trace_id IN (SELECT trace_id {NOW})"
    )
    [score] = figures["scores"]
    guards = ask(
        weeks, f"SELECT action, count(*) FROM guard_verdicts WHERE span_id IN (SELECT span_id {NOW}) GROUP BY 1"
    )
    slowest = ask(weeks, f"SELECT trace_id, duration_ms {NOW} ORDER BY duration_ms DESC LIMIT 5")
    costliest = ask(weeks, f"SELECT trace_id, cost {NOW} AND cost IS NOT NULL ORDER BY cost DESC, trace_id LIMIT 5")

    assert (score["name"], score["source"], score["n"]) == ("helpful", "judge", n)
    assert score["current"]["value"] == pytest.approx(mean)
    assert {row["action"]: row["verdicts"] for row in figures["guards"]} == dict(guards)
    assert figures["losses"] == [{"what": "span", "reason": "queue_full", "count": "7", "bytes": "14"}]
    assert [(row["trace_id"], row["duration_ms"]) for row in figures["slowest"]] == slowest
    assert [(row["trace_id"], row["cost"]) for row in figures["costliest"]] == [
        (trace, pytest.approx(cost, abs=1e-9)) for trace, cost in costliest
    ]


def test_intervals_count_the_calls_of_a_user_as_one_group(weeks: Path) -> None:
    figures = plain_report(weeks).figures
    groups: dict[str, list[int]] = defaultdict(list)
    for user, failed in ask(weeks, f"SELECT user_id, (status = 'error')::INT {NOW}"):
        groups[user].append(failed)
    n, errors = 600, sum(map(sum, groups.values()))
    rate = errors / n
    squares = sum((sum(group) - rate * len(group)) ** 2 for group in groups.values())
    variance = len(groups) / (len(groups) - 1) * squares / n**2
    effective = min(n, rate * (1 - rate) / variance)
    z = NormalDist().inv_cdf(0.975)
    change = figures["calls"]["change"]
    relative = [sum(count**2 for (count,) in ask(weeks, f"SELECT count(*) {part} GROUP BY user_id")) / total**2
                for part, total in ((NOW, 600), (BEFORE, 400))]  # fmt: skip

    assert figures["unit"] == "user"
    now = figures["errors"]["current"]
    assert (now["low"], now["high"]) == pytest.approx(wilson_interval(rate * effective, effective))
    before, difference = figures["errors"]["previous"], figures["errors"]["change"]
    assert difference["low"] == pytest.approx(
        now["value"] - before["value"] - math.hypot(now["value"] - now["low"], before["high"] - before["value"])
    )
    assert change["value"] == pytest.approx(0.5)
    assert change["high"] == pytest.approx(1.5 * math.exp(z * math.sqrt(sum(relative))) - 1)


def test_a_condition_limits_the_calls_and_objectives_keep_their_own(weeks: Path) -> None:
    llmops.configure(slo={"answers": {"objective": 0.99},
                          "fast": {"sli": "latency", "threshold": 300, "objective": 0.9},
                          "cheap": {"sli": "cost", "threshold": 0.01, "objective": 0.5, "where": "model = 'gpt'"},
                          "hits": {"sli": "cache", "objective": 0.1},
                          "good": {"sli": "score:helpful", "threshold": 0.5, "objective": 0.9},
                          "open": {"sli": "guard:cards", "objective": 0.9}, "vague": {"sli": "ttft", "objective": 0.9},
                          "own": {"sli": "sql", "sql": "SELECT start_time AS time, true AS good FROM spans",
                                  "objective": 0.9}})  # fmt: skip
    figures = week_report(weeks, where="model = 'gpt'").figures
    slos = {row["name"]: row for row in figures["slos"]}
    both = f"FROM llm_calls WHERE {COUNTED}"
    by_hand = {
        "answers": f"SELECT count(*), count(*) FILTER (status = 'error') {both}",
        "fast": f"SELECT count(*), count(*) FILTER (duration_ms > 300) {both} AND status <> 'error'",
        "cheap": f"SELECT count(cost), count(*) FILTER (cost > 0.01) {both} AND model = 'gpt'",
        "hits": f"SELECT count(*), count(*) FILTER (cache IS NULL) {both}",
        "good": f"""SELECT count(*), count(*) FILTER (value < 0.5) FROM scores
            WHERE trace_id IN (SELECT trace_id {both})""",
        "open": f"SELECT count(*), 0 FROM guard_verdicts WHERE span_id IN (SELECT span_id {both})",
        "own": "SELECT count(*), 0 FROM spans",
    }

    assert figures["calls"]["current"] == ask(weeks, f"SELECT count(*) {NOW} AND model = 'gpt'")[0][0]
    for name, sql in by_hand.items():
        [(known, bad)] = ask(weeks, sql)
        assert (name, slos[name]["known"], slos[name]["bad"]) == (name, known, bad)
        assert slos[name]["budget_used"] == pytest.approx(bad / known / (1 - slos[name]["objective"]))
    assert slos["vague"]["reason"] == "its settings do not say what a good call is"
    assert figures["latency"]["slow"]["above_ms"] == 300
    assert "error budget of answers is used up" in week_report(weeks, where="false").verdict[-1]


def test_alerts_drift_and_canaries_of_the_period(tmp_path: Path) -> None:
    day = timedelta(days=1)
    old = {"alert_id": "a0", "firing_ns": None}
    write_rows(
        tmp_path, alert("firing", SINCE + 3 * day), alert("resolved", SINCE + 4 * day),
        alert("firing", PREVIOUS, **old), alert("resolved", PREVIOUS + day, **old),
        alert("firing", PREVIOUS, alert_id="a2", rule="goes on", firing_ns=None),
        check("length", "steady", SINCE + day), check("length", "drifted", SINCE + 2 * day),
        check("novelty", "drifted", SINCE + day), check("novelty", "steady", SINCE + 2 * day),
        check("model", "ours", SINCE + day, cause="model"), check("gone", "drifted", PREVIOUS),
        answer(SINCE + day), answer(SINCE + 2 * day, model="gpt-2"), answer(PREVIOUS),
    )  # fmt: skip
    found = week_report(tmp_path)
    figures = found.figures

    assert [(row["rule"], row["resolved"]) for row in figures["alerts"]] == [
        ("goes on", None), ("spend", f"{SINCE + 4 * day:%Y-%m-%dT%H:%M:%S}"),
    ]  # fmt: skip
    assert [(row["signal"], row["status"], row["cause"]) for row in figures["drift"]] == [
        ("length", "drifted", None), ("model", "ours", "model"),
    ]  # fmt: skip
    assert {row["status"]: row["signals"] for row in figures["drift_states"]} == {"drifted": 1, "ours": 1, "steady": 1}
    [canary] = figures["canaries"]
    assert (canary["runs"], canary["answers"], canary["served"], canary["cost"]) == (2, 2, 2, 0.5)
    assert found.status == "worse"
    assert found.verdict[-1] == "Attention: 2 alerts fired, 1 of those shown still firing; 1 signal drifted."


def test_too_little_data_has_no_interval(tmp_path: Path) -> None:
    calls = Calls()
    for number in range(20):
        calls.add(SINCE + timedelta(hours=number), user=f"u{number}")
        calls.add(PREVIOUS + timedelta(hours=number), user=f"u{number}", error="E")
    calls.write(tmp_path)
    found = week_report(tmp_path)

    assert found.figures["errors"]["change"] == {"value": -1.0, "low": None, "high": None}
    assert "not enough data" in found.markdown()
    assert found.status == "not_enough_data"


def test_one_heavy_user_makes_the_interval_of_traffic_wide(tmp_path: Path) -> None:
    calls = Calls()
    for begin, heavy in ((PREVIOUS, 40), (SINCE, 400)):
        for number in range(600):
            user = "heavy" if number < heavy else f"u{number}"
            calls.add(begin + timedelta(minutes=number), user=user)
    calls.write(tmp_path)
    figures = week_report(tmp_path).figures

    assert figures["calls"]["change"]["low"] < -0.6
    assert figures["errors"]["current"]["high"] < 0.01


def test_without_calls_or_a_store_the_report_says_so(tmp_path: Path) -> None:
    found = week_report(tmp_path / "none", compare="none")

    assert found.verdict == (
        "Traffic: There are no calls in this period.",
        "Attention: No alert fired, no objective is configured, and no check for drift is stored.",
    )
    assert found.status == "not_enough_data"
    assert found.previous is None
    assert "<h2>Traffic</h2>" in found.html()
    assert json.loads(found.json())["figures"]["totals"]["current"]["calls"] == 0


def test_simulated_calls_count_only_where_asked_for(weeks: Path) -> None:
    alone = plain_report(weeks)
    llmops.configure(watch={"simulated": True})

    assert alone.figures["simulated_left_out"] == 5
    assert "5 simulated calls are left out" in alone.markdown()
    assert week_report(weeks).figures["totals"]["current"]["calls"] == 605


@pytest.mark.parametrize("where", ["nothing = 1", "true)) OR ((true", "true; SELECT 1", "cost > "])
def test_a_condition_that_is_no_expression_is_refused(weeks: Path, where: str) -> None:
    with pytest.raises(QueryError, match=r"^where: "):
        week_report(weeks, where=where)


def test_a_condition_may_end_in_a_comment_and_hold_a_query(weeks: Path) -> None:
    where = "span_id IN (SELECT span_id FROM llm_calls WHERE model = 'gpt') -- only these"

    [(calls,)] = ask(weeks, f"SELECT count(*) {NOW} AND model = 'gpt'")
    assert week_report(weeks, where=where).figures["calls"]["current"] == calls


def test_the_brackets_of_a_condition_do_not_reach_the_others(weeks: Path) -> None:
    assert week_report(weeks, where="true) OR (true").figures == plain_report(weeks).figures


def test_a_condition_that_fails_on_a_row_is_named(weeks: Path) -> None:
    with pytest.raises(QueryError, match=r"^where: .*gpt|^where: .*claude") as caught:
        week_report(weeks, where="model::INT = 1")

    assert len(str(caught.value)) < 400


def test_wrong_periods_are_refused() -> None:
    with pytest.raises(ConfigError, match="let since be before until"):
        report(UNTIL, SINCE)
    with pytest.raises(ConfigError, match="begins before 1971"):
        report(timedelta(days=300_000), UNTIL)
    with pytest.raises(ConfigError, match="begins before 1971"):
        report(timedelta(days=999_999_999), UNTIL)
    with pytest.raises(ConfigError, match="previous"):
        report(compare="other")  # pyright: ignore[reportArgumentType]


def test_thinned_calls_count_by_their_weight(tmp_path: Path) -> None:
    from llmops_sdk.store import compact

    two_weeks().write(tmp_path)
    whole = week_report(tmp_path)
    llmops.configure(store={"path": tmp_path, "thinning": {"after_days": 0.001, "share": 0.5}})
    compact()
    thinned = week_report(tmp_path)
    [(stored, weight)] = ask(tmp_path, f"SELECT count(*), sum(weight) {NOW}")

    assert (thinned.figures["totals"]["current"]["stored"], thinned.figures["totals"]["current"]["calls"]) == (
        stored, pytest.approx(weight),
    )  # fmt: skip
    assert whole.figures["totals"]["current"]["stored"] == 600
