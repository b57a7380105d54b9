"""One state for each server in a process."""

from __future__ import annotations

import pytest

import llmops_sdk as llmops
from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk.client._shared import CALL_CLOCK
from llmops_sdk.config import SharedSettings
from llmops_sdk.shared import _open
from llmops_sdk.shared._local import LocalState
from llmops_sdk.shared._server import BackendError
from llmops_sdk.testing import ManualClock, capture_traces, use_clock

SERVER = SharedSettings(url="redis://127.0.0.1:1")


class Away(LocalState):
    """A server that cannot be reached; tests/integration has the real ones."""

    blocking, place = True, "the server"

    def peers(self, name: str, seconds: float) -> tuple[int, str]:
        raise BackendError("away")


@pytest.fixture(autouse=True)
def server(monkeypatch):
    monkeypatch.setattr(_open, "_server", lambda _settings: Away())
    _open.forget_states()
    yield
    _open.forget_states()


def test_configuration_and_decorators_are_one_peer():
    assert _open.open_state(SERVER, CALL_CLOCK) is _open.open_state(SERVER, SYSTEM_CLOCK)
    assert _open.open_state(SERVER) is not _open.open_state(SharedSettings(url=SERVER.url, namespace="other"))


def test_the_clock_of_a_test_has_a_state_of_its_own():
    real, clock = _open.open_state(SERVER, CALL_CLOCK), ManualClock()
    with use_clock(clock):
        assert _open.open_state(SERVER, CALL_CLOCK) is not real
    assert _open.open_state(SERVER, clock) is not real
    assert _open.open_state(SERVER, clock) is _open.open_state(SERVER, clock)


def test_a_server_that_goes_away_is_recorded_whoever_opened_it():
    with capture_traces() as traces, llmops.span("work"):
        _open.open_state(SERVER).paused("east")
    assert [row["decision"] for row in _decisions(traces)] == ["away"]


def _decisions(traces):
    return [event.attributes for one in traces.spans for event in one.events if event.name == "llmops.traffic"]
