"""Other web pages, other machines and old tokens get nothing; every answer carries the policy."""

from __future__ import annotations

import re
import secrets
import socket

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from ui_page import Page

from llmops_sdk.errors import ConfigError
from llmops_sdk.ui import app
from llmops_sdk.ui._server import PageServer

API = "/api/v1/pages"
PLAIN = httpx.Client(trust_env=False, verify=False)
"""Has no token and, as all is on this machine, no certificates to load."""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return a page that no test changes."""
    opened = Page(tmp_path_factory.mktemp("ui") / "store")
    yield opened
    opened.close()


def status(page, path: str = API, method: str = "GET", auth: bool = True, **headers: str) -> int:
    bearer = {"Authorization": f"Bearer {page.token}"} if auth else {}
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return PLAIN.request(method, page.url + path, headers=bearer | given).status_code


def test_other_hosts_and_pages_are_refused(page):
    port = page.server.port
    own = f"http://127.0.0.1:{port}"

    assert status(page) == 200
    assert status(page, Host=f"localhost:{port}") == 200
    assert status(page, Host="evil.example") == 403
    assert status(page, Host=f"127.0.0.1.evil.example:{port}") == 403
    assert status(page, Origin=own) == 200
    for origin in (f"http://127.0.0.1:{port + 1}", "http://evil.example", "null", f"{own}.evil.example", ""):
        assert status(page, Origin=origin) == 403, origin
    assert status(page, Origin="http://evil.example", Host="evil.example") == 403
    for site in ("cross-site", "same-site", "other"):
        assert status(page, Sec_Fetch_Site=site) == 403
        assert status(page, "/static/app.js", Sec_Fetch_Site=site) == 403
        assert status(page, "/traces", Sec_Fetch_Site=site) == 403
    assert status(page, Sec_Fetch_Site="none") == status(page, Sec_Fetch_Site="same-origin") == 200


def test_without_a_token_nothing_is_shown(page):
    for path in ("/", "/traces", API, "/api/v1/traces"):
        assert status(page, path, auth=False) == 401
        assert status(page, path, auth=False, Authorization="Bearer wrong") == 401
        assert status(page, path, auth=False, Authorization=f"Basic {page.token}") == 401
        assert status(page, path, auth=False, Cookie=f"llmops_ui_{page.server.port}=old") == 401
        assert status(page, path, auth=False, Cookie='llmops_ui_1="a b') == 401
    assert status(page, "/favicon.ico", auth=False) == 200


def test_the_token_becomes_a_cookie_of_this_port_and_leaves_the_address(page):
    with httpx.Client(base_url=page.url, trust_env=False, verify=False) as browser:
        answer = browser.get("/", params={"token": page.token, "since": "2h"})

        assert (answer.status_code, answer.headers["location"]) == (303, "/?since=2h")
        cookie = answer.headers["set-cookie"]
        assert re.fullmatch(rf"llmops_ui_{page.server.port}=[\w-]{{43}}; HttpOnly; SameSite=Strict; Path=/", cookie)
        assert page.token not in cookie
        assert browser.get(API).status_code == 200


def test_a_token_that_was_not_given_opens_one_browser(folder, open_page):
    page = open_page(folder, token=None)
    [address] = page.announced

    first, again = (httpx.get(address, trust_env=False, verify=False) for _ in range(2))

    assert (first.status_code, again.status_code) == (303, 401)
    assert "set-cookie" not in again.headers
    assert len(page.announced) == 2
    assert page.announced[1] != address
    assert httpx.get(page.announced[1], trust_env=False, verify=False).status_code == 303


def test_changes_need_the_own_origin_and_a_header(page):
    port = page.server.port
    with httpx.Client(base_url=page.url, trust_env=False, verify=False) as browser:
        browser.get("/", params={"token": page.token})

        def post(**headers: str) -> int:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            return browser.post("/api/v1/scores", json={}, headers=given).status_code

        own = f"http://127.0.0.1:{port}"
        assert post() == 403
        assert post(X_LLMOps="1") == 403
        assert post(X_LLMOps="1", Origin=f"http://127.0.0.1:{port + 1}") == 403
        assert post(X_LLMOps="1", Origin="null") == 403
        assert post(Origin=own) == 403
        assert post(X_LLMOps="1", Origin=own, Sec_Fetch_Site="same-site") == 403
        assert post(X_LLMOps="1", Origin=own) not in {401, 403}
        assert post(X_LLMOps="1", Sec_Fetch_Site="same-origin") not in {401, 403}
        assert browser.put("/api/v1/scores", headers={"Origin": own, "X-LLMOps": "1"}).status_code == 405
        assert browser.options("/api/v1/scores", headers={"Origin": "http://evil.example"}).status_code == 403


def test_a_websocket_of_another_page_is_refused(page):
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x", "Sec-WebSocket-Version": "13"}

    assert status(page, "/api/v1/live", **upgrade, Origin="http://evil.example") == 403


def test_a_request_with_two_hosts_is_refused(page):
    with socket.create_connection(("127.0.0.1", page.server.port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")

        assert connection.makefile("rb").readline().split()[1] == b"400"


@pytest.mark.parametrize(
    "path", [API, "/traces", "/static/none.js", "/api/v1/none", "/api/v1/trace/%00", "/favicon.ico"]
)
def test_every_answer_has_the_policy(page, path):
    headers = page.client.get(path).headers

    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] in {"no-store", "no-cache"}
    assert not [name for name in headers if name.startswith("access-control")]


def test_files_outside_the_static_folder_are_not_served(page):
    for path in (
        "/static/../_app.py",
        "/static/%2e%2e/_app.py",
        "/static/.hidden.js",
        "/static/a%00.js",
        "/static//etc",
    ):
        assert page.client.get(path).status_code in {403, 404}


def test_an_address_that_others_reach_needs_leave_and_a_token(tmp_path):
    options = {"port": 0, "allow_hosts": (), "read_only": True, "announce": print}
    with pytest.raises(ConfigError, match="--allow-remote"):
        PageServer(tmp_path, host="0.0.0.0", token="t" * 20, allow_remote=False, **options)
    with pytest.raises(ConfigError, match="--token-file"):
        PageServer(tmp_path, host="0.0.0.0", token=None, allow_remote=True, **options)


def test_a_taken_port_is_refused(page, tmp_path):
    with pytest.raises(ConfigError, match="--port 0"):
        PageServer(
            tmp_path, host="127.0.0.1", port=page.server.port, token=None, allow_hosts=(), allow_remote=False,
            read_only=False, announce=print,
        )  # fmt: skip


def test_the_page_mounted_in_a_service_keeps_its_rules_and_its_place(folder):
    service = Starlette(routes=[Mount("/llmops", app(path=folder, auth="host", allow_hosts=["service.example"]))])
    with TestClient(service, base_url="http://service.example") as client:
        assert client.get("/llmops/api/v1/traces").json()["data"]["rows"] == []
        shell = client.get("/llmops/traces").text
        assert 'data-root="/llmops"' in shell
        assert 'src="/llmops/static/app.js"' in shell
        assert client.get("/llmops/", follow_redirects=False).headers["location"] == "/llmops/traces"
        assert client.get("/llmops/api/v1/traces", headers={"Host": "evil.example"}).status_code == 403
        assert client.post("/llmops/api/v1/sql", json={"sql": "SELECT 1"}).status_code == 403
    with pytest.raises(ConfigError, match="token"):
        app(path=folder)


def test_the_mounted_page_with_a_token_sets_a_cookie_for_its_place(folder):
    token = secrets.token_urlsafe(18)
    service = Starlette(routes=[Mount("/llmops", app(path=folder, token=token))])
    with TestClient(service, base_url="http://localhost") as client:
        assert client.get("/llmops/traces").status_code == 401
        answer = client.get(f"/llmops/traces?token={token}", follow_redirects=False)
        assert answer.headers["location"] == "/llmops/traces"
        assert "Path=/llmops" in answer.headers["set-cookie"]
        assert client.get("/llmops/traces").status_code == 200
