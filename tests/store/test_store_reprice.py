"""The store prices calls that nobody priced, and `reprice` computes stored costs again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

import llmops_sdk as llmops
from llmops_sdk.errors import StoreError
from llmops_sdk.store import StoreSink, compact, query, reprice
from llmops_sdk.store.files._locks import exclusive_lock
from llmops_sdk.tracing.records import _semconv as sc

MINE = {sc.RESPONSE_MODEL: "mine", sc.INPUT_TOKENS: 1_000_000, sc.OUTPUT_TOKENS: 0}
REAL = {
    sc.PROVIDER: "openai",
    sc.REQUEST_MODEL: "gpt-4.1-mini",
    sc.INPUT_TOKENS: 1_000_000,
    sc.OUTPUT_TOKENS: 1_000_000,
}

Write = Callable[..., None]


@pytest.fixture
def write(store: Path, make_span: Any) -> Write:
    """Write calls, each with its attributes, as a process that has ended; the ids count on from `first`."""

    def write(*calls: dict[str, Any], first: int = 1, **fields: Any) -> None:
        sink = StoreSink(store, compaction="manual")
        spans = [
            make_span(**{"kind": "llm", "span_id": first + at, "trace_id": first + at, "attributes": one, **fields})
            for at, one in enumerate(calls)
        ]
        sink.write(spans)
        sink.close(1.0)

    return write


def costs(store: Path, column: str = "cost") -> list[float | None]:
    return [cost for (cost,) in query(f"SELECT {column} FROM llm_calls ORDER BY span_id", path=store).rows()]


@pytest.mark.parametrize("scope", ["llmops_sdk", "openinference.instrumentation.openai"])
def test_a_call_without_a_cost_is_priced_when_it_is_written(store, write, scope):
    llmops.configure(prices={"mine": {"input": 2}})
    write(MINE, REAL, {**MINE, sc.RESPONSE_MODEL: "nobody's"}, scope=scope)
    assert costs(store) == pytest.approx([2.0, 0.4 + 1.6, None])


def test_the_first_names_of_other_vocabularies_are_priced(store, write):
    write(
        {"llm.model_name": "gpt-4.1-mini", "llm.token_count.prompt": 1_000_000, "llm.token_count.completion": 0,
         "llm.system": "openai"},
        {"gen_ai.system": "openai", "gen_ai.response.model": "gpt-4.1-mini", "gen_ai.usage.prompt_tokens": 1_000_000},
        scope="another",
    )  # fmt: skip
    assert costs(store) == pytest.approx([0.4, 0.4])


@pytest.mark.parametrize(
    "attributes",
    [
        {**REAL, sc.COST: 0.125},
        {**REAL, sc.COST: 0.0},
        {**REAL, "llm.cost.total": 0.125},
    ],
)
def test_a_known_cost_stays(store, write, attributes):
    write(attributes, scope="another")
    assert costs(store) == [attributes.get(sc.COST, 0.125)]


@pytest.mark.parametrize(
    "attributes",
    [
        {**REAL, sc.CACHE: "exact"},
        {**REAL, sc.ATTEMPTS: 1},
        {**REAL, sc.SIMULATED: True},
        {**REAL, "server.address": "127.0.0.1"},
        {key: value for key, value in REAL.items() if not key.startswith("gen_ai.usage")},
        {**REAL, sc.INPUT_TOKENS: "many", sc.OUTPUT_TOKENS: None},
        {**REAL, sc.REQUEST_MODEL: ["gpt-4.1-mini"]},
    ],
)
def test_no_price_is_made_up(store, write, attributes):
    write(attributes)
    assert costs(store) == [None]


def test_an_agents_span_repeats_the_tokens_of_its_calls(store, write):
    write(REAL, kind="agent")
    assert query("SELECT cost FROM store.spans", path=store).rows() == [(None,)]


@pytest.mark.parametrize(
    "name", [sc.CACHE_WRITE_TOKENS, sc.CACHE_CREATION_TOKENS, "llm.token_count.prompt_details.cache_write"]
)
def test_cache_writes_have_a_column_and_a_price(store, write, name):
    llmops.configure(prices={"mine": {"input": 2, "cache_write": 10}})
    write({**MINE, name: 500_000})
    assert costs(store, "cache_write_tokens") == [500_000]
    assert costs(store) == pytest.approx([6.0])


def test_negative_counts_do_not_lower_a_cost(store, write):
    llmops.configure(prices={"mine": {"input": 2}})
    write({**MINE, sc.CACHE_READ_TOKENS: -(10**9)})
    assert costs(store) == pytest.approx([2.0])


def test_mended_prices_reach_stored_calls(store, write):
    llmops.configure(prices={"mine": {"input": 2}})
    write(MINE, REAL, {**MINE, sc.RESPONSE_MODEL: "nobody's"})
    compact(path=store)
    write(MINE, first=4)
    llmops.configure(prices={"mine": {"input": 3}, "nobody's": {"input": 1}, "gpt-4.1-mini": {"input": 1, "output": 1}})

    counted = reprice(path=store, dry_run=True)
    assert costs(store) == pytest.approx([2.0, 2.0, None, 2.0])
    done = reprice(path=store)
    assert counted == done
    assert (done.calls, done.left) == (3, 0)
    assert (done.before, done.after) == pytest.approx((4.0, 7.0))
    assert costs(store) == pytest.approx([3.0, 2.0, 1.0, 3.0])
    assert reprice(path=store).calls == 0


def test_costs_that_nobody_knows_better_stay(store, write):
    write({**MINE, sc.COST: 0.5}, {**REAL, sc.COST: 0.5}, {**REAL, sc.ATTEMPTS: 1}, {**REAL, sc.SIMULATED: True})
    assert reprice(path=store).calls == 0
    assert costs(store) == [0.5, 0.5, None, None]


def test_calls_without_a_cost_get_the_builtin_price_of_their_tier(store, write, monkeypatch):
    asked = {sc.PROVIDER: "gcp.gemini", sc.REQUEST_MODEL: "gemini-2.5-pro"}
    with monkeypatch.context() as before:
        before.setattr("llmops_sdk.store.lines._encode.PRICED_KINDS", frozenset())  # an older version wrote them
        write(*({**asked, sc.INPUT_TOKENS: count} for count in (200_000, 200_001)))
    assert reprice(path=store).calls == 2
    assert costs(store) == pytest.approx([0.25, 0.5000025])


def test_of_answers_from_our_cache_the_saved_cost_changes(store, write):
    llmops.configure(prices={"mine": {"input": 3}})
    write({**MINE, sc.CACHE: "exact", sc.COST: 0.0, sc.SAVED_COST: 2.0})
    done = reprice(path=store)
    assert (done.calls, done.before, done.after) == (1, 2.0, 3.0)
    assert (costs(store), costs(store, "saved_cost")) == ([0.0], [3.0])


def test_a_count_below_zero_changes_a_cost_as_little_as_at_first(store, write):
    llmops.configure(prices={"mine": {"input": 2, "output": 4, "cache_read": 1}})
    write({**MINE, sc.CACHE_READ_TOKENS: -(10**9), sc.OUTPUT_TOKENS: -5})
    assert costs(store) == pytest.approx([2.0])
    assert reprice(path=store).calls == 0


def test_the_views_for_other_programs_have_the_new_costs(store, write):
    write({**MINE, sc.COST: 2.0})
    compact(path=store)
    llmops.configure(prices={"mine": {"input": 3}})
    reprice(path=store)
    with duckdb.connect(store / "traces.duckdb", read_only=True) as database:
        assert database.execute("SELECT cost FROM llm_calls").fetchall() == [(3.0,)]


def test_the_name_in_models_has_its_price(store, write):
    llmops.configure(models={"fast": {"model": "openai/gpt-4.1-mini"}}, prices={"fast": {"input": 5}})
    write({**REAL, sc.MODEL_NAME: "fast", sc.ATTEMPTS: 1, sc.COST: 2.0})
    assert reprice(path=store).calls == 1
    assert costs(store) == pytest.approx([5.0])


def test_calls_before_the_time_keep_their_costs(store, write):
    now = datetime.now(UTC)
    for first, age in ((1, timedelta(days=9)), (2, timedelta(days=2))):
        write({**MINE, sc.COST: 2.0}, first=first, start_ns=int((now - age).timestamp() * 1e9))
    llmops.configure(prices={"mine": {"input": 3}})
    assert reprice(path=store, since=timedelta(days=7)).calls == 1
    assert costs(store) == [2.0, 3.0]
    assert reprice(path=store, since=(now - timedelta(days=10)).replace(tzinfo=None)).calls == 1


def test_nothing_else_of_a_row_changes(store, write):
    write({**MINE, sc.COST: 2.0, "more": "text"}, MINE, input=b'{"q":1}')
    compact(path=store)
    before = query("SELECT * EXCLUDE (cost) FROM store.spans ORDER BY span_id", path=store).rows()
    llmops.configure(prices={"mine": {"input": 3}})
    assert reprice(path=store).calls == 2
    assert query("SELECT * EXCLUDE (cost) FROM store.spans ORDER BY span_id", path=store).rows() == before


def test_calls_that_a_process_is_writing_are_counted_as_left(store, make_span, write):
    write({**MINE, sc.COST: 2.0})
    llmops.configure(prices={"mine": {"input": 3}})
    live = StoreSink(store, compaction="manual")
    live.write([make_span(kind="llm", span_id=9, attributes={**MINE, sc.COST: 2.0})])
    done = reprice(path=store)
    assert (done.calls, done.left) == (1, 1)
    live.close(1.0)
    assert costs(store) == [3.0, 2.0]
    assert (reprice(path=store).calls, costs(store)) == (1, [3.0, 3.0])


@pytest.mark.thorough
def test_a_kill_at_any_moment_loses_no_call(store, write, killed_after):
    write(*({**MINE, sc.COST: 2.0} for _ in range(500)))
    program = (
        "import sys, llmops_sdk as llmops\nfrom llmops_sdk.store import reprice\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "llmops.configure(prices={'mine': {'input': float(sys.argv[2])}}); reprice(path=sys.argv[1])"
    )
    for number in range(8):
        killed_after(program, str(store), str(3 + number), seconds=0.03 * number)
    llmops.configure(prices={"mine": {"input": 20}})
    reprice(path=store)
    assert costs(store) == [20.0] * 500


def test_while_another_changes_the_store_it_says_so(store, write, monkeypatch):
    write(MINE)
    compact(path=store)
    monkeypatch.setattr("llmops_sdk.store.maintenance._compact_now._WAIT", 0.0)
    with exclusive_lock(store, 0.0), pytest.raises(StoreError, match="another process"):
        reprice(path=store, dry_run=True)


def test_where_there_is_no_store_there_is_nothing_to_reprice(store):
    assert reprice(path=store).calls == 0
    assert not store.exists()
