"""The snippets of docs/frameworks.md for Flask, Django and Celery, as they are, under real servers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from real_backends import free_port
from real_servers import running, wait

import llmops_sdk as llmops

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
PAGE = Path(__file__).parents[2] / "docs" / "frameworks.md"
USERS = [f"u{number}" for number in range(12)]

FLASK = """

@app.get("/ask")
async def ask() -> str:
    return (await llmops.achat(request.args["question"])).text


@app.get("/health")
def health() -> str:
    return "ok"
"""
DJANGO = """
import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

middleware = [f"{__name__}.llmops_context"]
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="-" * 50, MIDDLEWARE=middleware)
django.setup()


def stream(request):
    return HttpResponse(llmops.chat(request.GET["question"]).text)


async def ask(request):
    return HttpResponse((await llmops.achat(request.GET["question"])).text)


urlpatterns = [path("stream", stream), path("ask", ask), path("health", lambda request: HttpResponse("ok"))]
wsgi, asgi = get_wsgi_application(), get_asgi_application()
"""
ASK = """
from concurrent.futures import ThreadPoolExecutor
import page
users = [f"u{number}" for number in range(12)]
with ThreadPoolExecutor(4) as pool:
    for user, text in zip(users, pool.map(lambda user: page.ask(user, f"I am {user}"), users)):
        assert f"I am {user}" in text
"""


def snippet(section: str) -> str:
    """Return the Python of a section of the page."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return text.partition("```python")[2].partition("\n")[2].partition("```")[0]


def users(store: Path) -> list[tuple[object, ...]]:
    sql = """SELECT user_id, count(*), bool_and(contains(input_messages, user_id || '"')), min(status)
             FROM llm_calls GROUP BY ALL ORDER BY ALL"""
    return llmops.query(sql, path=store).rows()


@pytest.mark.parametrize(
    ("section", "more", "command"),
    [
        ("Flask", FLASK, ["gunicorn", "-k", "gthread", "--threads", "3", "-b", "127.0.0.1:PORT", "page:app"]),
        ("Django", DJANGO, ["gunicorn", "-k", "gthread", "--threads", "3", "-b", "127.0.0.1:PORT", "page:wsgi"]),
        ("Django", DJANGO, ["uvicorn", "--port", "PORT", "--log-level", "warning", "page:asgi"]),
    ],
)
def test_calls_of_a_web_application_have_the_user_of_their_request(
    tmp_path: Path, section: str, more: str, command: list[str]
) -> None:
    (tmp_path / "page.py").write_text(snippet(section) + more)
    port = free_port()
    command = [word.replace("PORT", str(port)) for word in command]
    with running(tmp_path, *command, port=port, LLMOPS_TRACING__FLUSH_INTERVAL="0.05") as server:

        def ask(user: str) -> None:
            for path in ("/ask", "/stream"):
                question = {"question": f"I am {user}"}
                page = requests.get(server.url + path, question, headers={"X-User": user}, timeout=60)
                assert (page.status_code, user in page.text) == (200, True), page.text

        with ThreadPoolExecutor(6) as clients:
            list(clients.map(ask, USERS))
        expected = [(user, 2, True, "ok") for user in sorted(USERS)]
        wait(lambda: users(tmp_path / "store"), lambda found: found == expected, "two calls of each user")


def test_celery_tasks_continue_the_trace_of_their_sender(tmp_path: Path) -> None:
    source = snippet("Celery")
    address = 'broker="redis://localhost", backend="redis://localhost"'
    assert address in source
    for name in ("queue", "results", "control"):
        (tmp_path / name).mkdir()
    # Only the broker differs: files instead of a Redis.
    source = source.replace(address, f'broker="filesystem://", backend="file://{tmp_path}/results"')
    folders = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
    options = {key: str(tmp_path / name) for key, name in folders.items()}
    (tmp_path / "page.py").write_text(f"{source}\napp.conf.broker_transport_options = {options!r}\n")
    (tmp_path / "ask.py").write_text(ASK)
    worker = ["celery", "-A", "page", "worker", "-c", "2", "-l", "WARNING", "--without-gossip", "--without-mingle"]
    (sender := tmp_path / "sender").mkdir()
    with running(tmp_path, *worker) as server:
        environ = {"LLMOPS_STORE__PATH": str(tmp_path / "store")}
        for name in ("page.py", "ask.py"):
            (sender / name).write_text((tmp_path / name).read_text())
        with running(sender, "ask", **environ) as asking:
            assert asking.process.wait(120) == 0, asking.said + server.said
        assert server.stop() == 0
    assert users(tmp_path / "store") == [(user, 1, True, "ok") for user in sorted(USERS)]
    sql = """SELECT count(*), count(DISTINCT c.trace_id) FROM llm_calls c
             JOIN spans p ON p.span_id = c.parent_span_id AND p.name = 'ask' AND p.user_id = c.user_id"""
    assert llmops.query(sql, path=tmp_path / "store").rows() == [(12, 12)]
