"""Who may ask the page what: the Host, the Origin, the token and its cookie, and the headers of every answer.

The page shows text of attackers and may change the store. Other web pages in the same browser must neither read from
it nor write to it, and its own text must not run.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl, quote, urlencode

from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llmops_sdk.collect._access import is_loopback

__all__ = ["AccessRules", "Auth", "Guarded"]

Auth: TypeAlias = Literal["token", "host"]

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\[\]:/@?#\s]+)(?::(?P<port>[0-9]{1,5}))?")
_PUBLIC = ("/static/", "/favicon")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


class AccessRules:
    """The rules for requests, and the secrets of one process.

    Args:
        auth: "token" asks for the token or its cookie; "host" leaves that to the application around.
        token: The user's own token, which stays valid; None makes one that opens one browser.
        hosts: Names to accept in `Host` beside localhost and loopback addresses; "*" accepts every name.
        announce: Called with a new token when a browser has used the one before.
    """

    def __init__(
        self,
        *,
        auth: Auth = "token",
        token: str | None = None,
        hosts: Sequence[str] = (),
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self.auth = auth
        self.token = token or secrets.token_urlsafe(24)
        self.is_one_time = token is None
        self._hosts = frozenset(host.lower() for host in hosts)
        self._announce = announce
        self._cookie = secrets.token_urlsafe(32)

    def refusal(self, scope: Scope, headers: dict[str, list[str]]) -> Response | None:
        """Return the answer to a request that breaks a rule, or None."""
        hosts = headers.get("host", [])
        if len(hosts) != 1:
            return _refused(400, "a request needs exactly one Host header")
        host = hosts[0].strip().lower()
        if not self._knows(host):
            return _refused(403, f"the Host {host[:100]!r} is not allowed: add it with llmops ui --allow-host")
        for origin in headers.get("origin", []):
            # The port counts: another port of this machine is the same site for the browser.
            if origin.strip().lower() not in {f"http://{host}", f"https://{host}"}:
                return _refused(403, "requests of other web pages are not allowed")
        site = _one(headers, "sec-fetch-site")
        if site not in {"", "none", "same-origin"}:
            return _refused(403, "requests of other web pages are not allowed; paste the address into the browser")
        if scope["method"] in {"GET", "HEAD"}:
            return None
        if scope["method"] != "POST":
            return _refused(405, "use GET or POST")
        if "origin" not in headers and site != "same-origin" and not self.has_bearer(headers):
            return _refused(403, "a change needs an Origin header, or a bearer token")
        if _one(headers, "x-llmops") != "1":
            return _refused(403, "a change needs the header X-LLMOps: 1")
        return None

    def _knows(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        return found is not None and ("*" in self._hosts or is_loopback(found["name"]) or found["name"] in self._hosts)

    def is_token(self, given: str) -> bool:
        """Return whether a text is the token."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    def use_token(self) -> None:
        """Make the token invalid, if it is for one browser only, and announce the next one."""
        if self.is_one_time:
            self.token = secrets.token_urlsafe(24)
            if self._announce is not None:
                self._announce(self.token)

    def has_bearer(self, headers: dict[str, list[str]]) -> bool:
        """Return whether a request has the token as a bearer token."""
        scheme, _, token = _one(headers, "authorization").partition(" ")
        return scheme.lower() == "bearer" and self.is_token(token.strip())

    def is_known(self, scope: Scope, headers: dict[str, list[str]]) -> bool:
        """Return whether a request may see the page."""
        if self.auth == "host" or self.has_bearer(headers):
            return True
        # Each by itself, and any may fit: programs on other ports set cookies that are not valid, or have our name.
        given = [one.strip() for line in headers.get("cookie", []) for one in line.split(";")]
        own = f"{_cookie_name(scope)}={self._cookie}".encode()
        return any(hmac.compare_digest(one.encode(), own) for one in given)

    def cookie(self, scope: Scope) -> str:
        """Return the `Set-Cookie` header of this process."""
        path = scope.get("root_path") or "/"
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        return f"{_cookie_name(scope)}={self._cookie}; HttpOnly; SameSite=Strict; Path={quote(path)}{secure}"


class Guarded:
    """An application behind the access rules.

    Args:
        inner: The application.
        rules: The rules.
    """

    def __init__(self, inner: ASGIApp, rules: AccessRules) -> None:
        self._inner = inner
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            return
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _with_headers(message.get("headers", []))}
            await send(message)

        answer = self._rules.refusal(scope, headers) or self._login(scope, headers)
        await (answer or self._inner)(scope, receive, send_guarded)

    def _login(self, scope: Scope, headers: dict[str, list[str]]) -> Response | None:
        """Exchange the token in an address for the cookie, or refuse a request without either."""
        root = scope.get("root_path", "")
        path = str(scope["path"]).removeprefix(root)
        if path.startswith(_PUBLIC):
            return None
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == "token"]
        if given and self._rules.auth == "token" and scope["method"] == "GET":
            is_known = self._rules.is_known(scope, headers)
            if not is_known and not self._rules.is_token(given[0]):
                return _refused(401, f"the token is not valid. {_no_token(self._rules)}")
            # The token leaves the address, and so the history.
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            # One slash: two begin the name of another host.
            place = quote("/" + (root + path).lstrip("/"))
            answer = RedirectResponse(f"{place}{'?' + rest if rest else ''}", 303)
            if not is_known:
                answer.headers["Set-Cookie"] = self._rules.cookie(scope)
                self._rules.use_token()
            return answer
        if not self._rules.is_known(scope, headers):
            return _refused(401, _no_token(self._rules))
        return None


def _no_token(rules: AccessRules) -> str:
    if rules.is_one_time:
        return "Open the newest address that llmops ui printed: it has the token, which opens one browser"
    return "Add ?token=… to the address, with your token; a program sends the header Authorization: Bearer …"


def _cookie_name(scope: Scope) -> str:
    # Browsers share cookies between the ports of a host.
    server = scope.get("server")
    return f"llmops_ui_{server[1] if server else 0}"


def _one(headers: dict[str, list[str]], name: str) -> str:
    values = headers.get(name, [])
    return values[0].strip() if len(values) == 1 else ""


def _with_headers(own: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    present = {name.lower() for name, _ in own}
    more = [(name.encode(), value.encode()) for name, value in _HEADERS.items() if name.lower().encode() not in present]
    return [*own, *more]


def _refused(status: int, message: str) -> Response:
    if status == 401:
        return PlainTextResponse(f"{message}\n", status, {"WWW-Authenticate": "Bearer"})
    return JSONResponse({"error": {"type": "Refused", "message": message}}, status)
