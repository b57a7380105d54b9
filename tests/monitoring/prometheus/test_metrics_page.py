"""`/metrics` and `/healthz` over real stores: what is counted, that nothing falls, and what a hostile name does."""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from stored_calls import CallWriter

import llmops_sdk as llmops
from llmops_sdk.config import Settings, ThinningSettings, load
from llmops_sdk.errors import ConfigError
from llmops_sdk.evals import evaluate
from llmops_sdk.monitoring.prometheus._histogram import Histogram
from llmops_sdk.monitoring.prometheus._server import MetricsServer, open_metrics
from llmops_sdk.monitoring.prometheus._source import Budget, FiringAlert, MonitorState
from llmops_sdk.store import prune
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.maintenance._thinning import ThinningPolicy
from llmops_sdk.testing import ManualClock

STORE = Path("store")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def settings_of(*, slo: Mapping[str, object] | None = None, **watch: object) -> Settings:
    watch = {"listen": "127.0.0.1:0", **watch}
    return load(store={"path": str(STORE.absolute())}, watch=watch, slo=slo or {})


@contextmanager
def serving(
    settings: Settings | None = None, state: MonitorState | None = None, **more: object
) -> Iterator[MetricsServer]:
    server = open_metrics(settings or settings_of(), STORE, state, **more)  # type: ignore[arg-type]
    assert server is not None
    # Without its thread for reading, so that each scrape reads.
    server._reader.start = lambda: None  # type: ignore[method-assign]
    server.start()
    try:
        yield server
    finally:
        server.close()


def get(server: MetricsServer, path: str = "/metrics", **headers: str) -> requests.Response:
    return requests.get(f"http://127.0.0.1:{server.address[1]}{path}", headers=headers, timeout=30)


def samples_of(text: str) -> Samples:
    """Return the samples; a second one with the same name and labels fails."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def scrape(server: MetricsServer) -> Samples:
    answer = get(server)
    assert answer.status_code == 200, answer.text
    return samples_of(answer.text)


def value(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of the samples with these labels."""
    return sum(number for (own, pairs), number in samples.items() if own == name and set(labels.items()) <= set(pairs))


def falls(before: Samples, after: Samples) -> list[object]:
    """Return the counters that are smaller than before, or gone."""
    counters = re.compile(r".*(_total|_bucket|_count|_sum)")
    return [key for key, number in before.items() if counters.fullmatch(key[0]) and after.get(key, -1) < number]


def test_calls_are_counted_with_their_labels_from_the_first_start_on():
    writer = CallWriter(STORE)
    writer.write(7)
    with serving() as server:
        assert value(scrape(server), "llmops_calls_total") == 0
        writer.write(3)
        writer.write(2, status="error", seconds=3.0, cost=None, model="gpt-y")
        writer.write(5, kind="chain")
        writer.write(4, attributes={"llmops.simulated": True})
        writer.write(4, attributes={"llmops.canary": "c"})
        writer.write(4, tags=("llmops.canary",))
        writer.write(4, tags=("llmops.eval",))
        found = scrape(server)
    writer.close()

    labels = {"service": "shop", "operation": "chat", "provider": "openai", "prompt_name": "support"}
    assert found["llmops_calls_total", frozenset({**labels, "model": "gpt-x", "status": "ok"}.items())] == 3
    assert found["llmops_calls_total", frozenset({**labels, "model": "gpt-y", "status": "error"}.items())] == 2
    assert value(found, "llmops_calls_total") == 5
    assert value(found, "llmops_cost_usd_total") == pytest.approx(0.03)
    assert value(found, "llmops_cost_unknown_calls_total") == 2
    assert value(found, "llmops_attempts_total") == 10
    assert value(found, "llmops_call_duration_seconds_bucket", le="0.64") == 3
    assert value(found, "llmops_call_duration_seconds_bucket", le="+Inf") == 5
    assert value(found, "llmops_call_duration_seconds_sum") == pytest.approx(7.5)
    assert value(found, "llmops_time_to_first_chunk_seconds_count") == 5
    assert value(found, "llmops_call_tokens_sum", type="input") == 500
    assert not any(name in {"user_id", "session_id"} for _, pairs in found for name, _ in pairs)
    assert not any("ada" in text for _, pairs in found for _, text in pairs)


def test_verdicts_budgets_and_scores_are_counted_and_survive_a_restart():
    llmops.configure(
        store={"path": STORE}, model="offline/echo", guardrails={"input": ["cards:block"], "output": ["pii:redact"]},
        budgets=[{"name": "b", "limit_usd": 1e-9, "per": "all", "window": "day", "mode": "soft"}],
    )  # fmt: skip
    settings = settings_of(simulated=True, slo={"good": {"sli": "score:helpful", "threshold": 0.35, "objective": 0.9}})
    with serving(settings) as server:
        scrape(server)
        for value_ in (0.34, 0.35, 1.0):
            answer = llmops.chat("mail me at ada@example.org")
            llmops.score("helpful", value_, trace_id=answer.trace_id)
        llmops.score("delta", -2.5, trace_id=answer.trace_id)
        with pytest.raises(llmops.GuardrailViolation):
            llmops.chat("my card is 4111 1111 1111 1111")
        llmops.flush()
        before = scrape(server)
    with serving(settings) as server:
        found = scrape(server)

    verdicts = "llmops_guard_verdicts_total"
    assert value(found, verdicts, guard="cards", rail="input", action="block") == 1
    assert value(found, verdicts, guard="pii", rail="output", action="redact") == 3
    assert value(found, "llmops_traffic_decisions_total", policy="budget", decision="exceeded") >= 1
    assert value(found, "llmops_score_count", score="helpful") == 3
    # The threshold itself is a good score.
    bad = [count for (name, pairs), count in found.items()
           if name == "llmops_score_bucket" and ("score", "helpful") in pairs
           and 0.34 < float(dict(pairs)["le"]) < 0.35]  # fmt: skip
    assert bad == [1]
    assert value(found, "llmops_score_sum", score="delta") == -2.5
    assert found == before


def test_calls_of_an_experiment_are_not_counted():
    llmops.configure(store={"path": STORE}, model="offline/echo")

    def judged(output: str) -> float:  # called without a span of its own
        return float(bool(llmops.chat(f"is this good: {output}").text))

    with serving(settings_of(simulated=True)) as server:
        scrape(server)
        evaluate(lambda text: llmops.chat(text).text, [{"input": "a"}, {"input": "b"}], [judged], name="own")
        llmops.chat("of a user")
        llmops.flush()
        found = scrape(server)

    assert value(found, "llmops_calls_total") == 1
    assert llmops.query(
        "SELECT count(*), count(*) FILTER (list_contains(tags, 'llmops.eval')) FROM llm_calls"
    ).rows() == [(5, 4)]


def test_errors_are_zero_before_the_first_so_that_prometheus_sees_it_come():
    writer = CallWriter(STORE)
    with serving() as server:
        writer.write(1)
        before = scrape(server)
        writer.write(1, status="error")
        after = scrape(server)
    writer.close()
    [key] = [key for key in before if key[0] == "llmops_calls_total" and ("status", "error") in key[1]]

    assert (before[key], after[key]) == (0, 1)


def test_counters_go_on_after_a_restart_and_after_a_kill():
    writer = CallWriter(STORE)
    with serving() as server:
        writer.write(3)
        before = scrape(server)
    writer.write(4)  # while nothing runs
    with serving() as server:
        after = scrape(server)
        state = Path("store/metrics/counters.json").read_bytes()
        writer.write(5)
        last = scrape(server)
    # As after a kill between reading and saving: the file is the older one.
    Path("store/metrics/counters.json").write_bytes(state)
    with serving() as server:
        again = scrape(server)
    writer.close()

    assert [value(one, "llmops_calls_total") for one in (before, after, last, again)] == [3, 7, 12, 12]


@pytest.mark.thorough
def test_no_counter_falls_while_the_store_is_pruned_compacted_and_thinned():
    thinning = ThinningPolicy.from_settings(ThinningSettings(share=0.01, after_days=1))
    found: list[Samples] = []
    rounds: Sequence[Callable[[], object]] = (
        lambda: compact_store(STORE, grace=0.0, thinning=thinning),
        lambda: prune(user_id="user-1", path=STORE),
        lambda: prune(max_bytes=1, path=STORE),
    )
    for number, change in enumerate(rounds):
        with serving() as server:  # a restart for each round
            writer = CallWriter(STORE)
            found.append(scrape(server))
            writer.write(20, user=f"user-{number}", seconds=0.1 * number + 0.01)
            found.append(scrape(server))
            if number:
                change()
            writer.close()
            change()
            found.append(scrape(server))

    for before, after in itertools.pairwise(found):
        assert falls(before, after) == []
    # No spike either: each call counts once.
    assert [value(one, "llmops_calls_total") for one in found] == [0, 20, 20, 20, 40, 40, 40, 60, 60]
    assert value(found[-1], "llmops_metrics_missed_bytes_total") == 0
    assert llmops.query("SELECT count(*) FROM llm_calls", path=STORE).scalar() < 40


@pytest.mark.parametrize("name", ['"}\n', "<!channel>", "\u202egpj.exe", "x" * 10_240, "\\", "\ud800", '{le="1"}', "#"])
def test_hostile_names_stay_within_their_label(name: str):
    writer = CallWriter(STORE)
    with serving() as server:
        writer.write(2, model=name, provider=name, service=name, prompt=name, status="ok")
        text = get(server).text
    writer.close()
    found = samples_of(text)

    assert value(found, "llmops_calls_total") == 2
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", text)
    assert max(map(len, text.splitlines())) < 1_000
    assert all(line.startswith(("# ", "llmops_")) for line in text.splitlines())


def test_labels_have_a_bounded_number_of_values():
    writer = CallWriter(STORE)
    with serving(settings_of(label_values=3)) as server:
        for number in range(10):
            writer.write(1, model=f"model-{number}", status="error" if number % 2 else "ok")
        found = scrape(server)
    with serving(settings_of(label_values=3)) as server:
        writer.write(1, model="model-2")
        writer.write(1, model="new")
        after = scrape(server)
    writer.close()

    models = {dict(pairs)["model"] for name, pairs in found if name == "llmops_calls_total"}
    assert models == {"model-0", "model-1", "model-2", "other"}
    assert value(found, "llmops_calls_total", model="other") == 7
    assert value(found, "llmops_calls_total", status="error") == 5
    assert value(after, "llmops_calls_total", model="model-2") == 2
    assert value(after, "llmops_calls_total", model="other") == 8


def test_number_of_series_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("llmops_sdk.monitoring.prometheus._counters._MAX_SERIES", 5)
    writer = CallWriter(STORE)
    with serving() as server:
        for number in range(10):
            writer.write(1, model=f"model-{number}", status="error" if number % 2 else "ok")
        found = scrape(server)
    writer.close()

    assert len([key for key in found if key[0] == "llmops_calls_total"]) == 7
    assert value(found, "llmops_calls_total") == 10
    assert value(found, "llmops_calls_total", model="other", status="error") == 4


def test_thresholds_of_objectives_are_bounds_of_buckets_and_change_without_a_spike():
    writer = CallWriter(STORE)
    slo = {"fast": {"sli": "latency", "threshold": 2_000, "objective": 0.9}}
    with serving(settings_of(slo=slo)) as server:
        writer.write(3, seconds=1.9)
        writer.write(2, seconds=2.1)
        first = scrape(server)
    with serving(settings_of(slo={"cheap": {"sli": "cost", "threshold": 0.5, "objective": 0.9}})) as server:
        second = scrape(server)
        writer.write(1, cost=0.2)
        priced = scrape(server)
    with serving(settings_of(slo=slo)) as server:
        third = scrape(server)
    writer.close()

    name = "llmops_call_duration_seconds_bucket"
    assert [value(first, name, le=bound) for bound in ("1.28", "2.0", "2.56", "+Inf")] == [0, 3, 5, 5]
    assert [value(second, name, le=bound) for bound in ("1.28", "2.56", "+Inf")] == [0, 5, 5]
    assert value(priced, "llmops_call_cost_usd_bucket", le="0.5") == 1
    assert [value(third, name, le=bound) for bound in ("1.28", "2.0", "2.56", "+Inf")] == [1, 1, 6, 6]


def test_histogram_counts_a_bound_itself_as_within():
    histogram = Histogram((1.0, 2.0))
    for number in (0.5, 1.0, 1.5, 2.0, 9.0):
        histogram.add(number)

    assert (histogram.cumulative(), histogram.sum) == ([2, 4, 5], 14.0)


class _State:
    """A watcher that has found something."""

    def __init__(self) -> None:
        self.last: float | None = None

    def firing(self) -> Sequence[FiringAlert]:
        return [
            FiringAlert(rule="spend", severity="page", labels={"user_id": "ada", "model": "gpt-x"}),
            FiringAlert(rule="spend", severity="page", labels={"user_id": "bob", "model": "gpt-x"}),
            FiringAlert(rule='"}\n', severity="info"),
        ]

    def budgets(self) -> Sequence[Budget]:
        return [Budget(slo="answers", objective=0.99, remaining=-0.5, burn_rates={3_600.0: 14.4})]

    def waiting(self) -> Mapping[str, int]:
        return {"ops": 3}

    def last_evaluation(self) -> float | None:
        return self.last


def test_alerts_and_budgets_are_gauges_without_persons():
    state = _State()
    state.last = 1_800_000_000.0
    with serving(state=state) as server:
        found = scrape(server)

    assert value(found, "llmops_alert_firing", rule="spend", severity="page", group="model=gpt-x") == 2
    assert value(found, "llmops_slo_budget_remaining_ratio", slo="answers") == -0.5
    assert value(found, "llmops_slo_objective_ratio", slo="answers") == 0.99
    assert value(found, "llmops_slo_burn_rate", slo="answers", window_seconds="3600") == 14.4
    assert value(found, "llmops_notifications_waiting", notifier="ops") == 3
    assert value(found, "llmops_watch_last_evaluation_timestamp_seconds") == 1_800_000_000.0
    assert not any("ada" in text for _, pairs in found for _, text in pairs)


def test_health_tells_when_evaluation_is_late():
    clock, state = ManualClock(), _State()
    with serving(state=state, clock=clock) as server:
        clock.advance(100)
        assert get(server, "/healthz").json() == {"status": "ok", "last_evaluation": None, "interval": 60.0}
        state.last = clock.time()
        clock.advance(179)
        assert get(server, "/healthz").status_code == 200
        clock.advance(2)
        late = get(server, "/healthz")
        assert (late.status_code, late.json()["status"]) == (503, "late")
        assert get(server, "/").status_code == 404
    with serving(clock=clock) as server:
        clock.advance(10_000)
        assert get(server, "/healthz").status_code == 200


def test_pages_of_other_hosts_get_nothing():
    with serving() as server:
        assert get(server, Host="evil.example").status_code == 403
        assert get(server, Origin="https://evil.example").status_code == 403
        assert get(server, Host="localhost:9464").status_code == 200
        with socket.create_connection(server.address) as connection:
            connection.sendall(b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n")
            assert b" 501 " in connection.recv(1_000)


@pytest.mark.parametrize("listen", ["9464", "localhost:", "a b:1", "127.0.0.1:99999", "http://127.0.0.1:1"])
def test_bad_address_is_a_config_error(listen: str):
    with pytest.raises(ConfigError, match=re.escape("127.0.0.1:9464")):
        open_metrics(settings_of(listen=listen), STORE)


def test_address_in_use_is_a_config_error_and_no_address_serves_nothing():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="in use"):
        open_metrics(settings_of(listen=f"127.0.0.1:{taken.getsockname()[1]}"), STORE)

    assert open_metrics(load(store={"path": str(STORE)}), STORE) is None


def test_damaged_file_of_counters_begins_anew(caplog: pytest.LogCaptureFixture):
    writer = CallWriter(STORE)
    with serving() as server:
        writer.write(1)
        scrape(server)
    for content in (b"{", b"[]", b'{"series": [], "bounds": []}'):
        Path("store/metrics/counters.json").write_bytes(content)
        with serving() as server:
            writer.write(2)
            assert value(scrape(server), "llmops_calls_total") == 2
    writer.close()
    assert "begin anew" in caplog.text
