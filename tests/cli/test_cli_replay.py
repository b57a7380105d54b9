"""`llmops replay` and `llmops_sdk.store.replay`: what waits, and what the store has, to real backends on loopback."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from otlp_receiver import GrpcOtlpReceiver, OtlpReceiver, Reply, unused_port

import llmops_sdk as llmops
from llmops_sdk.errors import StoreError
from llmops_sdk.store import discard, replay
from llmops_sdk.store.outbox._outbox import outbox_sizes


@pytest.fixture
def store(tmp_path):
    """Twenty spans, of which a backend that is away has got none."""
    folder = tmp_path / "store"
    llmops.configure(
        store={"path": folder},
        export={"endpoint": f"http://127.0.0.1:{unused_port()}", "metrics": {"exporters": []}},
    )
    for number in range(20):
        kind = "tool" if number % 2 else "chain"
        with llmops.context(session_id="s1", tags=["a"]), llmops.span(f"n{number}", kind=kind, input={"q": "xyzzy"}):
            pass
    llmops.shutdown(0.5)
    return folder


def names(backend) -> Counter[str]:
    return Counter(span.name for span in backend.spans)


def configured(store, **export) -> None:
    llmops.configure(store={"path": store}, export=export)


def test_what_waits_is_sent_and_does_not_wait_any_more(command, store):
    with OtlpReceiver() as backend:
        configured(store, endpoint=backend.url)
        ran = command("replay", "--store", store)
        assert (ran.status, ran.err) == (0, "default: 20 spans sent\n")
        assert names(backend) == Counter(f"n{number}" for number in range(20))
        assert outbox_sizes(store)["default"] == 0
        again = command("replay", "--store", store)
        assert (again.status, again.err) == (0, "no configured destination has pending spans\n")
        assert len(backend.spans) == 20


def test_a_backend_that_is_still_away_is_status_1_and_nothing_is_lost(command, store, monkeypatch):
    monkeypatch.setattr("llmops_sdk.export._delivery._FIRST_PAUSE", 0.01)
    with OtlpReceiver() as backend:
        backend.always = Reply(503)
        configured(store, endpoint=backend.url, timeout=1.0)
        ran = command("replay", "--store", store)
        assert ran.status == 1
        assert "default: 0 spans sent, more is pending (HTTP 503" in ran.err
        backend.always = None
        assert command("replay", "--store", store).status == 0
        assert len(backend.spans) == 20


def test_what_is_refused_for_good_is_said(command, store):
    with OtlpReceiver() as backend:
        backend.always = Reply(400)
        configured(store, endpoint=backend.url)
        ran = command("replay", "--store", store)
        assert (ran.status, ran.err) == (1, "default: 0 spans sent, 20 rejected\n")


@pytest.mark.parametrize("content", [True, False])
def test_what_the_store_has_goes_to_any_backend(command, store, content):
    with OtlpReceiver() as backend:
        ran = command(
            "replay", "--to", backend.url, "--store", store, "--header", "x-team=search",
            "--content" if content else "--no-content",
        )  # fmt: skip
        assert ran.status == 0, ran.err
        assert "20 spans sent" in ran.err
        assert names(backend) == Counter(f"n{number}" for number in range(20))
        assert {headers["x-team"] for headers in backend.headers} == {"search"}
        span = backend.spans[0]
        assert span.attributes["session.id"] == "s1"
        assert span.attributes["tag.tags"] == ["a"]
        assert ("input.value" in span.attributes) is content
        assert (b"xyzzy" in backend.everything()) is content
        assert span.resource["service.name"]


def test_over_grpc_and_only_what_is_asked_for(store):
    with GrpcOtlpReceiver() as backend:
        (done,) = replay(to=backend.url, protocol="grpc", where="kind = 'tool'", path=store)
        assert (done.sent, done.lost, done.left) == (10, 0, 0)
        assert names(backend) == Counter(f"n{number}" for number in range(1, 20, 2))


def test_a_name_is_that_of_a_configured_destination(store):
    with OtlpReceiver() as backend:
        configured(store, destinations={"tools": {"endpoint": backend.url, "filter": {"kinds": ["tool"]}}})
        (done,) = replay(to="tools", path=store)
        assert (done.destination, done.sent, done.filtered) == ("tools", 10, 10)
        with pytest.raises(StoreError, match='no destination "tolls": tools'):
            replay(to="tolls", path=store)


def test_what_waits_may_be_discarded(command, store):
    assert command("replay", "--discard", "default", "--store", store).status == 0
    assert outbox_sizes(store) == {}
    ran = command("replay", "--discard", "default", "--store", store)
    assert (ran.status, "nothing waits for a destination" in ran.err) == (1, True)
    with pytest.raises(StoreError):
        discard("x", path=store)


@pytest.mark.parametrize(
    "arguments", [["--where", "true"], ["--since", "1h"], ["--to", "http://x", "--protocol", "udp"], ["--header", "x"]]
)
def test_options_that_do_not_fit_are_status_2(command, store, arguments):
    assert command("replay", *arguments, "--store", store).status == 2


def test_a_flush_after_the_end_does_not_wait(store):
    with OtlpReceiver() as backend:
        llmops.configure(store={"path": store}, export={"endpoint": backend.url})
        llmops.chat("hello", model="offline/echo")
        llmops.shutdown()
        begun = time.monotonic()
        llmops.flush(60.0)
        assert time.monotonic() - begun < 30


def test_the_doctor_says_what_waits_and_for_whom(command, store, monkeypatch):
    with OtlpReceiver() as backend:
        monkeypatch.setenv("LLMOPS_EXPORT__DESTINATIONS__MINE__ENDPOINT", backend.url)
        monkeypatch.setenv("LLMOPS_EXPORT__DESTINATIONS__MINE__CONTENT", "true")
        said = command("doctor", "--store", store, "--format", "csv").out
    assert "for no configured destination: llmops replay --discard default deletes it" in said
    assert "YES: prompts and answers are exported to mine" in said
    assert "destination mine" in said
    assert "not yet compacted" in said
