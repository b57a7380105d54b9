"""The shared state of limits and budgets on real servers, and in processes whose server or whose peers are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from real_backends import eventually
from shared_servers import PASSWORD, PostgresServer, RedisServer, Server, library_path, serve, with_libraries
from state_contract import StateContract

from llmops_sdk.config import SharedSettings
from llmops_sdk.shared._away import AwayState
from llmops_sdk.shared._postgres_state import PostgresState
from llmops_sdk.shared._redis_state import RedisState
from llmops_sdk.shared._server import BackendError, SharedServer
from llmops_sdk.shared._state import Bucket, SharedState, Slots, Tally

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

_namespaces = count()
_opened: list[SharedState] = []
_KINDS = {RedisServer: RedisState, PostgresServer: PostgresState}


@pytest.fixture(scope="module", autouse=True)
def libraries() -> Iterator[None]:
    with with_libraries():
        yield
        while _opened:
            _opened.pop().close()


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Server]:
    with serve(RedisServer) as server:
        yield server


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[Server]:
    with serve(PostgresServer) as server:
        yield server


def states(server: Server, number: int = 2) -> list[SharedState]:
    settings = SharedSettings(url=server.url, namespace=f"n{next(_namespaces)}")
    made = [_KINDS[type(server)](SharedServer(settings, "the shared state")) for _ in range(number)]
    _opened.extend(made)
    return made


class ServerContract(StateContract):
    """The contract for two clients of one server, which the fixture `pair` makes."""

    @pytest.fixture
    def state(self, pair):
        return pair[0]

    @pytest.fixture
    def other(self, pair):
        return pair[1]


class TestRedisState(ServerContract):
    examples = 40

    @pytest.fixture
    def pair(self, redis_server):
        return states(redis_server)


class TestPostgresState(ServerContract):
    examples = 15

    @pytest.fixture
    def pair(self, postgres_server):
        return states(postgres_server)


@pytest.fixture(params=["redis", "postgres"])
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(f"{request.param}_server")


def test_a_dead_holder_loses_its_slot_and_a_live_one_keeps_it(server):
    dead, live = states(server)
    short, long = Slots("k", 2, seconds=0.4), Slots("k", 2, seconds=600.0)
    assert [dead.claim("dead", [short]).refused, live.claim("live", [short]).refused] == [None, None]
    live.renew("live", [long])
    eventually(lambda: live.claim("new", [long]).refused, lambda refused: refused is None, "the end of the lease")
    dead.renew("dead", [long])
    assert dead.claim("dead", [long]).refused == "k", "a renewal brings no slot back"
    assert live.claim("live", [long]).refused is None


def test_every_key_expires(redis_server):
    state, _ = states(redis_server)
    state.claim("a", [Slots("s", 1), Bucket("b", 1.0, 1.0, 5.0)])
    state.drain("d", 0.0, 5.0)
    state.pause("p", 5.0)
    state.reserve([Tally("t", 1.0, None, 60.0)])
    state.peers("me", 30.0)
    keys = state._redis.use(lambda client: client.keys(f"{{{state._prefix[1:-12]}*"))
    assert len(keys) == 8
    assert all(state._redis.use(lambda client, key=key: client.pttl(key)) > 0 for key in keys)


def test_a_server_that_is_away_raises_an_error_without_its_password():
    settings = SharedSettings(url=f"redis://:{PASSWORD.replace('/', '%2F').replace('@', '%40')}@127.0.0.1:9/0")
    with pytest.raises(BackendError) as caught:
        RedisState(SharedServer(settings, "the shared state")).claim("a", [Slots("k", 1)])
    assert PASSWORD not in str(caught.value)
    assert str(caught.value).startswith("the shared state redis://127.0.0.1:9/0 (llmops) failed: ConnectionError")


def test_peers_are_counted_and_a_lost_state_is_noticed():
    with serve(RedisServer) as server:
        one, two = states(server)
        assert one.peers("one", 30.0)[0] == 1
        peers, name = two.peers("two", 30.0)
        assert (peers, one.peers("one", 30.0)) == (2, (2, name))
        server.kill()
        server.start()
        peers, new_name = one.peers("one", 30.0)
        assert peers == 1
        assert new_name != name


def test_limits_are_divided_while_the_server_is_away_and_shared_when_it_is_back(monkeypatch, caplog):
    monkeypatch.setattr("llmops_sdk.shared._away._BACK_OFF", 0.2)
    changes: list[str] = []
    with serve(RedisServer) as server:
        first, second = states(server)
        one, two = AwayState(first, on_change=changes.append), AwayState(second)
        tally, slots = Tally("usd", 1.0, 10.0, 600.0), Slots("model", 4)
        for state in (one, two, one, two):  # the second of each knows of both
            state._announce_at = 0.0
            assert state.reserve([tally]).refused is None
        assert (one.peer_count, two.peer_count) == (2, 2)
        assert one.claim("in flight", [slots]).refused is None
        server.kill()
        granted = [sum(state.reserve([tally]).refused is None for _ in range(10)) for state in (one, two)]
        assert granted == [3, 3], "each spends its half of the 6 that were left"
        holders = [[state.claim(f"{id(state)} {n}", [slots]).refused is None for n in range(4)] for state in (one, two)]
        assert [sum(got) for got in holders] == [1, 2], "with the one in flight, each has its half of 4"
        assert [state.is_away for state in (one, two)] == [True, True]
        server.start()
        for state in (one, two):
            eventually(lambda state=state: (state.paused("x"), state.is_away)[1], lambda away: not away, "its return")
        grant = first.reserve([tally])
        assert (grant.refused, grant.sums) == (0, (10.0,)), "what each has spent is in the new sum"
        assert first.claim("new", [slots]).refused == "model", "the calls under way hold their slots again"
        assert changes == ["away", "back"]
        warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(warnings) == 4, warnings
        assert PASSWORD not in caplog.text


_SPENDER = """
import sys, time
from pathlib import Path
from llmops_sdk.config import SharedSettings
from llmops_sdk.shared._open import open_state
from llmops_sdk.shared._state import Slots, Tally

url, namespace, name, folder = sys.argv[1:]
state = open_state(SharedSettings(url=url, namespace=namespace))
slots, log = Slots("model", 3, seconds=2.0), Path(folder, name).open("a", buffering=1)
Path(folder, f"ready {name}").touch()
while not Path(folder, "go").exists():
    time.sleep(0.01)
turn = 0
while not Path(folder, "stop").exists():
    turn += 1
    holder = f"{name} {turn}"
    if state.claim(holder, [slots]).refused is None:
        if state.reserve([Tally("usd", 1.0, 2000.0, 600.0)]).refused is None:
            log.write("spent\\n")
        Path(folder, f"in {holder}").touch()
        inside = len(list(Path(folder).glob("in *")))
        log.write(f"inside {inside}\\n")
        Path(folder, f"in {holder}").unlink()
        state.release(holder, [slots])
log.write("ended\\n")
"""


def test_four_processes_share_and_one_that_is_killed_leaks_nothing(server, tmp_path):
    namespace = f"n{next(_namespaces)}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([library_path(), *filter(None, sys.path)])}
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", _SPENDER, server.url, namespace, str(n), str(tmp_path)], env=environment
        )
        for n in range(4)
    ]
    try:
        eventually(lambda: len(list(tmp_path.glob("ready *"))), lambda ready: ready == 4, "their start")
        (tmp_path / "go").touch()
        eventually(lambda: _spenders(tmp_path), lambda spenders: spenders == 4, "the first calls of each")
        programs[0].send_signal(signal.SIGKILL)
        programs[0].wait(60)
        for left in tmp_path.glob("in 0 *"):
            left.unlink()
        eventually(lambda: _lines(tmp_path, "spent"), lambda spent: spent >= 1_999, "the end of the budget")
    finally:
        (tmp_path / "stop").touch()
        for program in programs:
            program.wait(120)
    state = _KINDS[type(server)](SharedServer(SharedSettings(url=server.url, namespace=namespace)))
    _opened.append(state)
    assert state.reserve([Tally("usd", 0.0, None, 600.0)]).sums == (2_000.0,)
    assert _lines(tmp_path, "spent") in {1_999, 2_000}, "the one that was killed may not have noted its last"
    assert max(_inside(tmp_path)) <= 3
    # The slot of a killed holder ends with its lease.
    eventually(
        lambda: [state.claim(f"last {n}", [Slots("model", 3)]).refused for n in range(3)],
        lambda refused: refused == [None] * 3, "every slot",
    )  # fmt: skip


def _texts(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.iterdir() if path.name in set("0123")]


def _lines(folder: Path, text: str) -> int:
    return sum(content.splitlines().count(text) for content in _texts(folder))


def _spenders(folder: Path) -> int:
    return sum("spent" in content for content in _texts(folder))


def _inside(folder: Path) -> list[int]:
    lines = [line for content in _texts(folder) for line in content.splitlines()]
    return [int(line.split()[1]) for line in lines if line.startswith("inside ")]
