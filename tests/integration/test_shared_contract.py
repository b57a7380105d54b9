"""The contracts of the stores on real servers, and what only servers add: leases, time-outs, foreign rows."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from typing import Any

import pytest
from backend_contract import KEY, BackendContract, SemanticContract, eventually
from shared_servers import PASSWORD, PostgresServer, RedisServer, Server, serve, with_libraries

from llmops_sdk.caching._shared_tiers import check_server
from llmops_sdk.caching.backends._postgres import PostgresBackend
from llmops_sdk.caching.backends._protocol import BackendError
from llmops_sdk.caching.backends._redis import RedisBackend
from llmops_sdk.caching.semantic.stores._postgres import PostgresSemanticBackend
from llmops_sdk.config import SharedSettings
from llmops_sdk.errors import StoreError
from llmops_sdk.shared._server import SharedServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

_numbers = count()


@pytest.fixture(scope="module", autouse=True)
def libraries() -> Iterator[None]:
    with with_libraries():
        yield


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Server]:
    with serve(RedisServer) as server:
        yield server


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[Server]:
    with serve(PostgresServer) as server:
        yield server


def settings(server: Server, **more: str) -> SharedSettings:
    return SharedSettings(**{"url": server.url, "namespace": f"n{next(_numbers)}", **more})


def maker(kind: Any, server: Server, *arguments: Any, **options: Any) -> Callable[[], Any]:
    chosen = settings(server)
    return lambda: kind(SharedServer(chosen), *arguments, **options)


class SharedContract(BackendContract):
    """What the servers have in common."""

    def test_a_lead_ends_with_its_lease_only(self, backend, other):
        backend._leases._lease = other._leases._lease = 0.5
        assert backend.acquire(KEY, "one", 3600.0)
        renewed = threading.Event()
        renew = backend._leases._renew
        times = count(1)

        def noting(*arguments):
            done = renew(*arguments)
            if next(times) == 8:  # twice the lease
                renewed.set()
            return done

        backend._leases._renew = noting
        assert renewed.wait(60)
        backend._leases._renew = lambda *_: True  # as if the process were dead
        eventually(lambda: other.acquire(KEY, "two", 3600.0), "the end of the lease")
        assert not backend.renew(KEY, "one", 1.0)
        backend.release(KEY, "one", "unshared")
        assert other.mark(KEY) == ""
        assert other.renew(KEY, "two", 1.0)
        other.release(KEY, "two", "")

    def test_a_lead_does_not_outlast_its_call(self, backend, other):
        assert backend.acquire(KEY, "one", 0.2)
        eventually(lambda: other.acquire(KEY, "two", 3600.0), "the end of the call's time")
        other.release(KEY, "two", "")

    def test_the_thread_of_the_leases_ends_with_the_last(self, backend):
        assert backend.acquire(KEY, "one", 60.0)
        backend.close()  # leads stay
        assert backend._leases._runs
        backend.release(KEY, "one", "")
        eventually(lambda: not backend._leases._runs, "the end of the thread")

    def test_it_survives_a_kill_and_a_restart_of_the_server(self, backend, server):
        backend.set(KEY, b"1", 60.0, ["t"])
        server.kill()
        with pytest.raises(BackendError) as caught:
            backend.get(KEY)
        assert PASSWORD not in str(caught.value)
        server.start()
        assert backend.get(KEY) in (None, b"1")
        backend.set(KEY, b"2", 60.0, ["t"])
        assert backend.get(KEY) == b"2"
        assert backend.delete_tag("t") == 1

    def test_a_server_that_restarts_between_two_uses_is_no_failure(self, backend, server):
        backend.set(KEY, b"1", 60.0, [])
        server.kill()
        server.start()
        assert backend.set(KEY, b"2", 60.0, [])

    def test_a_server_that_hangs_is_a_failure_soon(self, backend, server):
        backend.set(KEY, b"1", 60.0, [])
        server.pause()
        try:
            for work in (lambda: backend.get(KEY), lambda: backend.acquire(KEY, "one", 1.0), lambda: backend.get(KEY)):
                assert isinstance(error_of(work), BackendError)
        finally:
            server.go_on()
        assert backend.get(KEY) == b"1"

    def test_a_pickle_is_bytes_like_all_others(self, backend, server):
        backend.set(KEY, pickle.dumps(object()), 60.0, [])
        assert backend.get(KEY) == pickle.dumps(object())

    def test_the_namespaces_share_nothing(self, backend, server):
        backend.set(KEY, b"1", 60.0, ["t"])
        chosen = settings(server)
        with closing(type(backend)(SharedServer(chosen), "exact")) as stranger:
            assert stranger.get(KEY) is None
            assert stranger.delete_tag("t") == stranger.clear() == 0
        with closing(type(backend)(backend_server(backend), "functions")) as tier:
            assert tier.get(KEY) is None
            assert tier.clear() == 0
        assert backend.get(KEY) == b"1"

    def test_the_check_of_doctor_names_the_place(self, server):
        text = check_server(settings(server))
        assert f"127.0.0.1:{server.port}" in text
        assert PASSWORD not in text
        assert "pass" not in text

    @pytest.mark.parametrize("change", ["password", "port"])
    def test_no_error_shows_the_password(self, server, change):
        url = server.url.replace("%40pass", "%40wr0ng") if change == "password" else server.url.replace(
            f":{server.port}/", ":1/"
        )  # fmt: skip
        with pytest.raises(StoreError) as caught:
            check_server(SharedSettings(url=url))
        error: BaseException | None = caught.value
        while error is not None:
            assert "d/of" not in str(error)
            assert "%2Fof" not in str(error)
            error = error.__cause__


def error_of(work: Callable[[], object]) -> BaseException | None:
    """Return the error of some work; fail if it hangs, whose thread cannot be ended."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it hangs"
    return errors[0] if errors else None


def backend_server(backend: Any) -> SharedServer:
    connections = backend._redis if isinstance(backend, RedisBackend) else backend._server
    return connections._server


class TestRedis(SharedContract):
    @pytest.fixture
    def server(self, redis_server):
        return redis_server

    @pytest.fixture
    def make_backend(self, redis_server):
        return maker(RedisBackend, redis_server, "exact", max_bytes=1_000_000)

    def raw(self, backend):
        backend.get(KEY)
        return backend._redis._client, backend._prefix

    def test_foreign_values_are_misses(self, backend):
        client, prefix = self.raw(backend)
        bomb = pickle.dumps(object())
        for plant in (
            lambda name: client.set(name, bomb),
            lambda name: client.rpush(name, bomb),
            lambda name: client.hset(name, "x", bomb),
            lambda name: client.hset(name, mapping={"v": b"", "t": b"x"}),
            lambda name: client.hset(name, "v", b"x" * (64 * 1024 * 1024 + 1)),
        ):
            client.flushdb()
            plant(f"{prefix}v:{KEY}")
            assert backend.get(KEY) is None
            assert backend.size()[1] == 0
            assert backend.set(KEY, b"1", 60.0, ["t"])
            assert backend.get(KEY) == b"1"

    def test_foreign_tags_and_flights_break_nothing(self, backend):
        backend.set(KEY, b"1", 60.0, ["t"])
        client, prefix = self.raw(backend)
        (tag,) = client.keys(f"{prefix}t:*")
        for plant in (client.set, client.rpush, lambda name, value: client.zadd(name, {value: 9e18})):
            for name in (tag, f"{prefix}f:{KEY}", f"{prefix}m:{KEY}"):
                client.delete(name)
                plant(name, b"\xff" * 100)
            assert backend.mark(KEY).isprintable()
            client.delete(f"{prefix}f:{KEY}") if plant == client.set else None
            assert backend.acquire(KEY, "one", 5.0)
            backend.release(KEY, "one", "unshared")
            assert backend.delete_tag("t") in (0, 1)
            assert backend.set(KEY, b"1", 60.0, ["t"])
            assert backend.delete_tag("t") == 1
            backend.set(KEY, b"1", 60.0, ["t"])

    def test_everything_expires(self, backend):
        backend.set(KEY, b"1", None, ["t", "u"])
        backend.set("other", b"1", 60.0, ["t"])
        backend.acquire(KEY, "one", 5.0)
        client, prefix = self.raw(backend)
        backend.acquire("marked", "two", 5.0)
        backend.release("marked", "two", "unshared")
        found = {name: client.pttl(name) for name in client.keys(f"{prefix}*")}
        assert len(found) == 6
        assert all(0 < left <= 30 * 86_400_000 for left in found.values()), found

    def test_the_keys_of_a_tag_are_bounded(self, backend, monkeypatch):
        monkeypatch.setattr("llmops_sdk.caching.backends._redis._MOST_OF_TAG", 5)
        for number in range(9):
            backend.set(f"k{number}", b"1", 60.0 + number, ["t"])
        assert [backend.get(f"k{number}") for number in range(9)] == [None] * 4 + [b"1"] * 5
        client, prefix = self.raw(backend)
        (tag,) = client.keys(f"{prefix}t:*")
        client.zadd(tag, {"gone": 1.0})
        backend.set("k9", b"1", 90.0, ["t"])
        assert client.zscore(tag, "gone") is None

    def test_many_entries_of_a_tag_go_page_by_page(self, backend, monkeypatch):
        monkeypatch.setattr("llmops_sdk.caching.backends._redis._PAGE", 7)
        for number in range(40):
            backend.set(f"k{number}", b"1", 60.0, ["t"])
        assert backend.size() == (40, 40)
        assert backend.delete_tag("t") == 40


class TestPostgres(SharedContract):
    @pytest.fixture
    def server(self, postgres_server):
        return postgres_server

    @pytest.fixture
    def make_backend(self, postgres_server):
        return maker(PostgresBackend, postgres_server, "exact", max_bytes=1_000_000)

    def test_foreign_rows_are_misses(self, backend):
        backend.set(KEY, b"1", 60.0, ["t"])
        rows = backend._server.rows
        rows("ALTER TABLE {schema}.entries_1 ALTER COLUMN value TYPE text USING 'x'")
        assert backend.get(KEY) is None
        rows("UPDATE {schema}.flights_1 SET token = 'x'")
        assert backend.mark(KEY) == ""

    def test_the_least_recently_used_values_make_room(self, backend):
        for number in range(60):
            backend.set(f"k{number:02}", b"x" * 30_000, 60.0, [])
        backend._server.rows("UPDATE {schema}.entries_1 SET used = used - interval '1 day' WHERE key < 'k50'")
        assert backend.get("k00")
        for number in range(60, 70):
            backend.set(f"k{number:02}", b"x" * 30_000, 60.0, [])
        _, size = backend.size()
        assert size < 1_000_000 + 10 * 30_000
        assert backend.get("k00")
        assert backend.get("k01") is None

    def test_what_has_expired_is_removed(self, backend):
        backend.set("old", b"1", 0.001, [])
        backend.acquire("f", "one", 0.001)
        backend.release("f", "one", "")
        for number in range(70):
            backend.set(f"k{number}", b"1", 60.0, [])
        rows = backend._server.rows
        assert rows("SELECT count(*) FROM {schema}.entries_1 WHERE key = 'old'") == [(0,)]
        assert rows("SELECT count(*) FROM {schema}.flights_1") == [(0,)]

    def test_many_programs_make_the_tables_at_once(self, postgres_server):
        make = maker(PostgresBackend, postgres_server, "exact")
        start = threading.Barrier(8)

        def begin(number):
            with closing(make()) as backend:
                start.wait(60)
                backend.set(f"k{number}", b"1", 60.0, [])
                return backend.get(f"k{number}")

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(begin, range(8))) == [b"1"] * 8

    def test_a_role_that_makes_no_tables_can_use_them(self, postgres_server):
        chosen = settings(postgres_server)
        with closing(PostgresBackend(SharedServer(chosen), "exact")) as owner:
            owner.get(KEY)
            for statement in (
                f"CREATE ROLE {chosen.namespace} LOGIN PASSWORD 'guest-word'",
                f"GRANT USAGE ON SCHEMA {{schema}} TO {chosen.namespace}",
                f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {{schema}} TO {chosen.namespace}",
            ):
                owner._server.rows(statement)
        url = f"postgresql://{chosen.namespace}:guest-word@127.0.0.1:{postgres_server.port}/postgres"
        with closing(
            PostgresBackend(SharedServer(SharedSettings(url=url, namespace=chosen.namespace)), "exact")
        ) as guest:
            assert guest.set(KEY, b"1", 60.0, [])
            assert guest.get(KEY) == b"1"
        elsewhere = SharedServer(SharedSettings(url=url, namespace="elsewhere"))
        with (
            closing(PostgresBackend(elsewhere, "exact")) as guest,
            pytest.raises(BackendError, match="permission denied"),
        ):
            guest.get(KEY)


class TestPostgresSemantic(SemanticContract):
    @pytest.fixture
    def make_backend(self, postgres_server):
        return maker(PostgresSemanticBackend, postgres_server, max_entries=100)

    def test_foreign_rows_are_left_out(self, backend):
        ids = [backend.insert(self.ENTRY) for _ in range(4)]
        rows = backend._server.rows
        rows("UPDATE {schema}.semantic_entries_1 SET question = '\\xff'::bytea WHERE id = %s", ids[0])
        rows("UPDATE {schema}.semantic_entries_1 SET vector = repeat('x', 70000)::bytea WHERE id = %s", ids[1])
        assert [one.id for one in backend.entries("s\n1", 0, 1)] == ids[2:3]  # a page of foreign rows is no end
        rows("UPDATE {schema}.semantic_entries_1 SET stored_at = 'nan' WHERE id = %s", ids[3])
        rows("ALTER TABLE {schema}.semantic_entries_1 ALTER COLUMN value TYPE text USING 'x'")
        assert backend.value(ids[3], 1.0) is None

    def test_a_lone_surrogate_is_a_question_too(self, backend):
        backend.insert(self.ENTRY.__class__(**{**fields(self.ENTRY), "text": "\ud800?", "tags": ("\ud800",)}))
        assert backend.entries("s\n1", 0, 9)[0].text == "\ud800?"
        assert backend.delete_tag("\ud800") == 1

    def test_an_entry_under_way_holds_the_later_ones_back(self, make_backend):
        first, second = make_backend(), make_backend()
        entered, go = threading.Event(), threading.Event()

        def slowly(connection):
            number = first._insert(connection, self.ENTRY)
            entered.set()
            assert go.wait(60)
            return number

        with closing(make_backend()) as reader, ThreadPoolExecutor(2) as pool:
            reader.size()
            earlier = pool.submit(first._in_order, slowly)
            assert entered.wait(60)
            later = pool.submit(second.insert, self.ENTRY)
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            eventually(lambda: later.done() or reader._server.rows(waits) != [(0,)], "the wait")
            assert reader.entries("s\n1", 0, 9) == []
            go.set()
            ids = [earlier.result(60)]
            if later.exception(60) is None:  # on a slow machine its wait may have been too long
                ids.append(later.result())
            assert [one.id for one in reader.entries("s\n1", 0, 9)] == ids
        first.close()
        second.close()


def fields(entry: Any) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__dataclass_fields__}
