"""The server of `[shared]` in messages, and the leases of leads, without a server."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from backend_contract import eventually

import llmops_sdk as llmops
from llmops_sdk.caching import CacheProvider, invalidate
from llmops_sdk.caching.backends._leases import Leases
from llmops_sdk.caching.backends._protocol import BackendError
from llmops_sdk.config import CacheSettings, SharedSettings
from llmops_sdk.errors import ConfigError, MissingDependencyError
from llmops_sdk.shared._server import SharedServer

HUSH = "hu/sh" + "@hush"
QUOTED = HUSH.replace("/", "%2F").replace("@", "%40")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (f"redis://:{QUOTED}@cache.example:6380/2", "redis://cache.example:6380/2 (llmops)"),
        (f"rediss://ada:{QUOTED}@[::1]/0?password={QUOTED}", "rediss://[::1]/0 (llmops)"),
        (f"postgresql://ada:{QUOTED}@db/app?options={QUOTED}#x", "postgresql://db/app (llmops)"),
        ("postgresql:///app", "postgresql:///app (llmops)"),
    ],
)
def test_the_place_shows_no_secret(url: str, place: str) -> None:
    assert SharedServer(SharedSettings(url=url)).place == place


@pytest.mark.parametrize("said", [HUSH, QUOTED, f"ada:{QUOTED}@db", f"at postgresql://ada:{QUOTED}@db/app: no"])
@pytest.mark.parametrize("deep", [False, True])
def test_an_error_that_repeats_the_password_is_not_passed_on(said: str, deep: bool) -> None:
    server = SharedServer(SharedSettings(url=f"postgresql://ada:{QUOTED}@db/app"))
    raised = ValueError(said)
    if deep:
        raised, raised.__cause__ = OSError("connection failed"), raised
    with pytest.raises(BackendError) as caught, server.failing(ValueError):
        raise raised
    error = caught.value
    assert "hush" not in str(error)
    assert error.__suppress_context__
    assert error.__cause__ is None


def test_another_error_is_the_cause() -> None:
    server = SharedServer(SharedSettings(url=f"postgresql://ada:{QUOTED}@db/app"))
    said = r"postgresql://db/app \(llmops\) failed: ValueError: away"
    with pytest.raises(BackendError, match=said) as caught, server.failing(ValueError):
        raise ValueError("away")
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(KeyError), server.failing(ValueError):
        raise KeyError  # a bug


@pytest.mark.parametrize(
    "url",
    ["", "redis", "redis://", "http://h/0", "redis://:pa/ss@h/0", "redis://h:port/0", "postgresql+x://h", "x" * 9],
)
def test_what_is_no_server_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match=r"redis://host:6379/0") as caught:
        SharedSettings(url=url)
    assert caught.value.value is None
    assert not url or f"{url!r}" not in str(caught.value)


@pytest.mark.parametrize("namespace", ["", "A", "a-b", "a:b", 'a"b', "a" * 64, "1a", "a b"])
def test_a_namespace_is_a_plain_name(namespace: str) -> None:
    with pytest.raises(ConfigError):
        SharedSettings(namespace=namespace)


@pytest.mark.parametrize(
    ("url", "module", "extra"), [("redis://h/0", "redis", "redis"), ("postgresql://h/x", "psycopg", "postgres")]
)
def test_a_missing_library_is_named(
    url: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counting: type
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    shared = SharedSettings(url=url)
    with pytest.raises(MissingDependencyError, match=rf'pip install "llmops-sdk\[{extra}\]"'):
        CacheProvider(counting(), CacheSettings(exact=True), path=tmp_path, shared=shared)
    llmops.configure(shared={"url": url})
    with pytest.raises(MissingDependencyError):
        invalidate(tag="t")
    with pytest.raises(MissingDependencyError):
        llmops.chat("Hi", model="offline/echo", cache=True)


class Renewals:
    """Notes which leases are renewed."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, float]] = []
        self.answer = True
        self.error: Exception | None = None
        self.ended = threading.Event()

    def renew(self, key: str, token: str, seconds: float) -> bool:
        self.seen.append((key, token, seconds))
        if self.error is not None:
            raise self.error
        return self.answer


@pytest.fixture
def renewals() -> Renewals:
    return Renewals()


@pytest.fixture
def leases(renewals: Renewals) -> Leases:
    return Leases(renewals.renew, renewals.ended.set, lease=0.04)


def test_leases_are_renewed_until_they_are_dropped(leases: Leases, renewals: Renewals) -> None:
    assert leases.first(600.0) == 0.04
    assert leases.first(0.01) == 0.01
    leases.hold("k", "one", 600.0)
    leases.hold("l", "two", 600.0)
    eventually(lambda: len(renewals.seen) >= 10, "renewals")
    assert {one[:2] for one in renewals.seen} == {("k", "one"), ("l", "two")}
    assert all(0 < seconds <= 0.04 for _, _, seconds in renewals.seen)
    assert not renewals.ended.is_set()
    leases.drop("one")
    leases.drop("two")
    leases.drop("three")
    assert renewals.ended.wait(60)
    renewals.ended.clear()
    seen = len(renewals.seen)
    leases.hold("k", "four", 600.0)
    eventually(lambda: len(renewals.seen) > seen, "a new thread")
    leases.drop("four")
    assert renewals.ended.wait(60)


def test_a_lost_lease_is_renewed_no_more(leases: Leases, renewals: Renewals) -> None:
    renewals.answer = False
    leases.hold("k", "one", 600.0)
    assert renewals.ended.wait(60)
    assert len(renewals.seen) == 1


def test_a_lease_is_renewed_for_the_time_of_its_call_only(leases: Leases, renewals: Renewals) -> None:
    leases.hold("k", "one", 0.0)
    assert renewals.ended.wait(60)
    assert renewals.seen == []


def test_a_server_that_is_away_is_asked_again(leases: Leases, renewals: Renewals) -> None:
    renewals.error = BackendError("away")
    leases.hold("k", "one", 600.0)
    eventually(lambda: len(renewals.seen) >= 3, "more tries")
    renewals.error = None
    renewals.answer = False
    assert renewals.ended.wait(60)
