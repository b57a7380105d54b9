"""What attackers and mistakes of other programs do to the page."""

from __future__ import annotations

import re
import resource
import socket
import threading

import httpx
import pytest
from ui_page import events, put_traces

from llmops_sdk.cli._app import run
from llmops_sdk.ui import _server, _streams


@pytest.fixture
def page(folder, open_page):
    put_traces(folder, 3)
    return open_page(folder)


def test_hostile_addresses_get_no_error_of_the_server_and_lead_nowhere_else(page):
    assert page.client.get(f"/static/{'a' * 5_000}.js").status_code == 404

    answer = page.client.get(f"{page.url}//evil.example/", params={"token": "x"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/evil.example/")


@pytest.mark.parametrize("form", [["eval"], {"a": 1}, 7])
def test_a_form_of_a_wrong_type_is_refused(page, form):
    assert page.post("datasets", {"name": "d", "trace_ids": ["a" * 32], "form": form}).status_code == 400


def test_a_data_set_of_unknown_traces_is_not_saved(page):
    assert page.post("datasets", {"name": "d", "trace_ids": ["f" * 32]}).status_code == 404
    assert page.get("datasets")["data"]["tables"][0]["rows"] == []


def test_live_streams_are_counted_before_they_send(page, monkeypatch):
    monkeypatch.setattr(_streams, "_MAX_LIVE", 2)
    start, statuses = threading.Barrier(8), []

    def ask() -> None:
        with httpx.Client(base_url=page.url, headers=page.client.headers, trust_env=False, verify=False) as client:
            start.wait(20)
            with client.stream("GET", "/api/v1/live") as answer:
                statuses.append(answer.status_code)
                start.wait(20)

    askers = [threading.Thread(target=ask) for _ in range(8)]
    for one in askers:
        one.start()
    for one in askers:
        one.join(30)
    assert sorted(statuses) == [200] * 2 + [503] * 6
    with page.client.stream("GET", "/api/v1/search", params={"search": "needle"}) as answer:
        assert "done" in [name for name, _, _ in events(answer)]


def test_half_requests_do_not_hold_a_place(folder, open_page, monkeypatch):
    monkeypatch.setattr(_server, "_REQUEST_SECONDS", 0.2)
    page = open_page(folder)
    half = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "
    whole = f"GET /favicon.svg HTTP/1.1\r\nHost: 127.0.0.1:{page.server.port}\r\n\r\n".encode()
    for first, then in ((b"", b""), (half, b""), (whole, half)):
        with socket.create_connection(("127.0.0.1", page.server.port), timeout=20) as connection:
            connection.sendall(first)
            if first == whole:
                assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
            connection.sendall(then)
            while connection.recv(65_536):
                pass
    # A stream, which has sent its request, goes on.
    with page.client.stream("GET", "/api/v1/live") as answer:
        lines = answer.iter_lines()
        assert any(line.startswith("event: ready") for line in lines)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT list(a) FROM range(100000000) t(a)", "too much memory: read less"),  # DuckDB's own limit
        ("SELECT range(1000000000)", "too much memory: read less"),  # 7.5 GiB that DuckDB does not count
        ("SELECT repeat('x', 1000000) FROM range(100)", "MiB are given: select fewer columns"),
    ],
)
def test_sql_that_would_fill_the_memory_is_refused_and_the_server_stays_small(page, sql, said):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    answer = page.post("sql", {"sql": sql})

    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB; the server is a thread of ours


def test_sql_reads_only_the_rows_that_are_shown(page):
    def ask(sql: str):
        return page.post("sql", {"sql": sql}).json()

    shown = ask("SELECT a, repeat('x', 1000) FROM range(10000000) t(a) ORDER BY a DESC; -- the newest")
    assert "error" in shown  # what follows the semicolon is another statement
    shown = ask("SELECT a FROM range(3000) t(a) ORDER BY a DESC -- the newest")
    assert [row[0] for row in shown["data"]["rows"][:2]] == [2999, 2998]
    assert (shown["data"]["total"], shown["notes"]) == (1_000, ["only the first 1,000 rows are shown"])
    assert "FROM (" not in ask("SELECT nonsense FROM spans")["error"]["message"].split("LINE")[0]
    for sql in ("DESCRIBE spans", "EXPLAIN SELECT 1", "VALUES (1), (2);", "PIVOT spans ON kind USING count(*)"):
        assert ask(sql)["data"]["rows"], sql


def test_the_copied_command_names_a_store_that_is_not_the_configured_one(page):
    for answer in (page.get("traces"), page.get("metrics"), page.post("sql", {"sql": "SELECT 1"}).json()):
        assert answer["command"].endswith(f" --store={page.folder}")
    with page.client.stream("GET", "/api/v1/search", params={"search": "needle"}) as answer:
        assert next(events(answer))[1]["command"].endswith(f" --store={page.folder}")


def test_the_command_says_how_to_open_the_page(tmp_path, monkeypatch, capsys):
    token = tmp_path / "token"
    token.write_text("t" * 20)
    monkeypatch.setattr(_server.PageServer, "run", lambda self: [self._announce("http://a/"), self._socket.close()])
    lowered: list[int] = []
    monkeypatch.setattr("os.nice", lowered.append)  # for this process it would stay so

    assert run(["ui", "--store", str(tmp_path / "none"), "--token-file", str(token)]) == 0
    assert lowered == [10]

    said = capsys.readouterr().err
    assert f"no store at {tmp_path / 'none'} yet" in said
    assert f"with ?token= and the token in {token}" in said


def test_cookies_of_programs_on_other_ports_lock_nobody_out(page):
    with httpx.Client(base_url=page.url, trust_env=False, verify=False) as browser:
        browser.get("/", params={"token": page.token})
        [(name, value)] = browser.cookies.items()
    own = f"{name}={value}"

    def status(cookies: str) -> int:
        return httpx.get(
            f"{page.url}/traces", headers={"Cookie": cookies.encode()}, trust_env=False, verify=False
        ).status_code

    for other in ('w={"a": 1}', "bad name=1", "x", "ü=1", 'a="x', "=", f"{name}=old"):
        assert (status(f"{other}; {own}"), status(f"{own}; {other}")) == (200, 200), other
        assert status(other) == 401
    assert status(f"{name}={value[:-1]}") == status(f"{name}={value}x") == 401


def test_a_refusal_says_how_to_get_in(page):
    answer = httpx.get(page.url, trust_env=False, verify=False)

    assert answer.status_code == 401
    assert re.search(r"\?token=.*Bearer", answer.text)
