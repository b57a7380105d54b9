"""`llmops.context` in the hooks of real web frameworks under real servers: each span has the user of its request."""

from __future__ import annotations

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from real_backends import free_port
from real_servers import Running, running, wait

import llmops_sdk as llmops

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
HERE = Path(__file__).parent
ROUNDS, USERS = 3, 4
# A client that goes away reads the first bytes of an answer that takes five seconds.
SPEED, GONE = "100", "word " * 500

ASKED = """
    SELECT regexp_extract(CAST(s.input AS VARCHAR), 'I am ([a-z0-9-]+)', 1) AS asked, s.user_id, s.session_id,
           c.user_id, c.session_id, c.status, c.input_tokens > 0 AND c.output_tokens > 0
    FROM spans s LEFT JOIN llm_calls c ON c.trace_id = s.trace_id AND c.parent_span_id = s.span_id
    WHERE s.name IN ('answer', 'answer_later', 'pieces', 'pieces_later')
"""


def ask(url: str, route: str, number: int) -> None:
    """Request a page as a user of its own; a route that ends in "!" loses its client in the middle of a stream."""
    user = f"{route.strip('/!')}-{'gone-' * route.endswith('!')}{number}"
    parameters = {"question": f"I am {user}. {GONE if route.endswith('!') else ''}", "user": user}
    if route == "/nobody":
        del parameters["user"]
    page = requests.get(url + route.strip("!"), parameters, stream=True, timeout=60)
    with page:
        assert page.status_code == (500 if route == "/failing" else 200), page.text
        if route.endswith("!"):
            assert next(page.iter_content(64))
        elif route != "/failing":
            assert user in page.text


def ask_all(server: Running, routes: list[str]) -> Counter[str]:
    """Send requests of many users at once, some rounds; return the number of requests per route."""
    with ThreadPoolExecutor(8) as clients:
        for number in range(ROUNDS):
            asking = [
                clients.submit(ask, server.url, route, number * USERS + user)
                for user in range(USERS)
                for route in routes
            ]
            for future in asking:
                future.result()
    return Counter(dict.fromkeys(routes, ROUNDS * USERS))


def check(folder: Path, server: Running, wanted: Counter[str]) -> None:
    """Wait for the spans of all requests; check that each call has its request's user, session, status and tokens."""

    def calls() -> list[tuple[Any, ...]]:
        server.get("/health")  # which waits longer than `answers`: the machine may be busy
        return llmops.query(ASKED, path=folder / "store").rows()

    rows = wait(
        calls,
        lambda found: len(found) == wanted.total() and None not in [row[5] for row in found],
        "a call of each request",
    )
    found: Counter[str] = Counter()
    for asked, user, session, call_user, call_session, status, has_tokens in rows:
        expected = (None, None) if asked.startswith("nobody") else (asked, f"s-{asked}")
        assert (user, session) == (call_user, call_session) == expected, (asked, rows)
        gone = "-gone-" in asked
        assert (status, has_tokens) == (("closed", None) if gone else ("ok", True)), (asked, rows)
        found["/" + asked.rpartition("-")[0].replace("-gone", "!")] += 1
    assert found == wanted


def serve_and_ask(folder: Path, app: str, command: list[str], routes: list[str], **environ: str) -> None:
    shutil.copy(HERE / f"{app}.py", folder)
    port = free_port()
    command = [word.replace("PORT", str(port)) for word in command]
    environ = {"LLMOPS_OPTIONS__TOKENS_PER_SECOND": SPEED, "LLMOPS_TRACING__FLUSH_INTERVAL": "0.05", **environ}
    with running(folder, *command, port=port, **environ) as server:
        check(folder, server, ask_all(server, routes))


SYNC_ROUTES = ["/sync", "/async", "/nobody", "/failing", "/stream", "/stream!"]
GUNICORN = ["gunicorn", "-k", "gthread", "--threads", "3", "-b", "127.0.0.1:PORT"]
UVICORN = ["uvicorn", "--port", "PORT", "--log-level", "warning"]


@pytest.mark.parametrize("hooks", ["", "before", "teardown", "before teardown"])
def test_flask_hooks_under_gunicorn(tmp_path: Path, hooks: str) -> None:
    command = [*GUNICORN, "flask_hooks:app"]
    serve_and_ask(tmp_path, "flask_hooks", command, SYNC_ROUTES, FLASK_TEST_HOOKS=hooks)


def test_flask_hooks_under_its_own_server(tmp_path: Path) -> None:
    command = ["flask", "--app", "flask_hooks", "run", "--port", "PORT"]
    serve_and_ask(tmp_path, "flask_hooks", command, SYNC_ROUTES, FLASK_TEST_HOOKS="before")


@pytest.mark.parametrize("hooks", ["function", "either", "OnlyAsync", "Hooks", "signals"])
def test_django_middleware_under_gunicorn(tmp_path: Path, hooks: str) -> None:
    command = [*GUNICORN, "django_hooks:application"]
    serve_and_ask(tmp_path, "django_hooks", command, SYNC_ROUTES, DJANGO_TEST_HOOKS=hooks)


def test_django_middleware_under_runserver(tmp_path: Path) -> None:
    command = ["django_hooks", "runserver", "--noreload", "PORT"]
    serve_and_ask(tmp_path, "django_hooks", command, SYNC_ROUTES, DJANGO_TEST_HOOKS="either")


@pytest.mark.parametrize("hooks", ["function", "either", "OnlyAsync", "Hooks"])
def test_django_middleware_under_uvicorn(tmp_path: Path, hooks: str) -> None:
    routes = ["/sync", "/async", "/nobody", "/failing", "/stream-later", "/stream-later!"]
    serve_and_ask(tmp_path, "django_hooks", [*UVICORN, "django_hooks:asgi"], routes, DJANGO_TEST_HOOKS=hooks)


@pytest.mark.parametrize("hooks", ["dependency", "middleware"])
def test_fastapi_hooks_under_uvicorn(tmp_path: Path, hooks: str) -> None:
    serve_and_ask(tmp_path, "fastapi_hooks", [*UVICORN, "fastapi_hooks:app"], SYNC_ROUTES, FASTAPI_TEST_HOOKS=hooks)
    # FastAPI's own spans are the parents, from the first request on.
    sql = "SELECT DISTINCT left(name, 5) FROM spans WHERE parent_span_id IS NULL"
    assert llmops.query(sql, path=tmp_path / "store").rows() == [("GET /",)]
