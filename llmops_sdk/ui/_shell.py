"""What every page starts with: the shell, the icon and the static files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Coroutine, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from llmops_sdk.ui._asked import UnknownParameterError, check_names, unknown_names

__all__ = ["favicon", "shell_of", "static"]

_FOLDER = Path(__file__).parent / "static"
_NAME = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}/){0,3}[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}
_SHELL = """<!doctype html>
<html lang="en" data-root="{root}" data-version="{version}"{problem}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>llmops</title>
<link rel="icon" href="{root}/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{root}/static/vendor/uplot.css">
<link rel="stylesheet" href="{root}/static/app.css">
<script type="module" src="{root}/static/app.js"></script>
</head>
<body>
<div id="app"><p>Loading…</p></div>
<noscript>This page needs JavaScript. Without it, use <code>llmops traces</code>, <code>llmops show ID --html</code> and
<code>llmops report</code>.</noscript>
</body>
</html>
"""
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#2456c8"/>'
    '<path d="M3 5h7M5 8h8M5 11h4" stroke="#fff" stroke-width="2"/></svg>'
)


def shell_of(takes: Sequence[str]) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """Return the answer to the address of a page: the shell, whose own router reads the address.

    Args:
        takes: The names of the parameters in the address.
    """

    async def shell(request: Request) -> Response:
        from llmops_sdk._version import __version__

        root = escape(str(request.scope.get("root_path", "")))
        return HTMLResponse(_SHELL.format(root=root, version=escape(__version__), problem=_problem_of(request, takes)))

    return shell


def _problem_of(request: Request, takes: Sequence[str]) -> str:
    """Return what the page says about a parameter that nothing reads, and the address without it."""
    given = request.query_params.multi_items()
    try:
        check_names([name for name, _ in given], takes)
    except UnknownParameterError as error:
        unknown = unknown_names([name for name, _ in given], takes)
        rest = urlencode([(name, value) for name, value in given if name not in unknown])
        return f' data-problem="{escape(str(error))}" data-without="?{escape(rest)}"'
    return ""


async def favicon(_: Request) -> Response:
    """Return the icon."""
    return Response(_ICON, media_type="image/svg+xml", headers={"Cache-Control": "no-cache"})


async def static(request: Request) -> Response:
    """Return a file of the page."""
    name = str(request.path_params["name"])
    path = _FOLDER / name
    if not _NAME.fullmatch(name) or path.suffix not in _TYPES or not path.is_file():
        return PlainTextResponse("not found\n", 404)
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_TYPES[path.suffix], headers=headers)
