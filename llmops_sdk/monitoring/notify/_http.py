"""Send a request to an address of the settings: no redirect is followed, and no secret reaches an error or a log.

It uses urllib: unlike httpx and urllib3 it logs no address, and the address of a Slack webhook is a secret.
"""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk._util._retry_after import retry_after_seconds
from llmops_sdk._version import __version__
from llmops_sdk.errors import NotifierError
from llmops_sdk.export._threads import uninstrumented
from llmops_sdk.monitoring.notify._sender import TIMEOUT, from_environment

__all__ = ["address_of", "post"]

_PERMANENT = frozenset({400, 405, 406, 411, 413, 414, 415, 422})
"""Statuses that say that this message is not acceptable. Others, such as 401 and 404, a change elsewhere can repair."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Turns a redirect into an error: its address is not one of the settings."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> None:  # noqa: ARG002 - urllib's own
        return None


def address_of(name: str, url: str | None, url_env: str | None) -> str:
    """Return the address of a notifier: its variable's value, or else the one of the settings.

    Args:
        name: The notifier's name.
        url: The address in the settings, or None.
        url_env: The environment variable with the address, or None.

    Raises:
        NotifierError: The variable is not set, or the address does not begin with http:// or https://.
    """
    address = from_environment(name, url_env) if url_env is not None else (url or "").strip()
    parts = _split(address)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        place = f"the environment variable {url_env}" if url_env is not None else f"[notify.{name}] url"
        raise NotifierError(f"{place} is not an address that begins with https:// or http://", notifier=name)
    return address


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return parts if address.isascii() and address.isprintable() and " " not in address else None


def post(name: str, address: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Send JSON by POST, and return once the receiver has answered with a status from 200 to 299.

    Args:
        name: The notifier's name, for errors.
        address: The address; a user name and password in it are sent as basic authentication.
        body: The JSON.
        headers: Further headers.

    Raises:
        NotifierError: It could not be sent, or the receiver did not accept it.
    """
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    sent = {"Content-Type": "application/json", "User-Agent": f"llmops/{__version__}", **headers}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        sent["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    target = urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
    request = urllib.request.Request(target, data=body, headers=sent, method="POST")  # noqa: S310 - http(s), checked
    try:
        with uninstrumented(), _opener(parts.scheme).open(request, timeout=TIMEOUT):
            return
    except urllib.error.HTTPError as error:
        raise _refusal(name, error) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        # None: the texts of these errors may hold the address.
        raise NotifierError(f"[notify.{name}] could not be reached: {_reason(error)}", notifier=name) from None


def _opener(scheme: str) -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    # Proxies come from the environment, as for every other program.
    for handler in (urllib.request.ProxyHandler, _NoRedirect, urllib.request.HTTPDefaultErrorHandler,
                    urllib.request.HTTPErrorProcessor, urllib.request.HTTPHandler):  # fmt: skip
        opener.add_handler(handler())
    if scheme == "https":
        # Only where it is needed: reading the certificates of the system takes a while.
        opener.add_handler(urllib.request.HTTPSHandler(context=ssl.create_default_context()))
    return opener


def _refusal(name: str, error: urllib.error.HTTPError) -> NotifierError:
    status = error.code
    headers = {key.lower(): value for key, value in error.headers.items()}
    error.close()
    if 300 <= status < 400:
        what = f"answered with a redirect (status {status}), which is not followed: set its final address"
    else:
        what = f"answered with status {status}"
    return NotifierError(
        f"[notify.{name}] {what}",
        notifier=name,
        retry_after=retry_after_seconds(headers, SYSTEM_CLOCK.time()),
        permanent=status in _PERMANENT,
    )


def _reason(error: Exception) -> str:
    cause: object = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {cause.verify_message}"
    if isinstance(cause, TimeoutError):
        return f"no answer within {TIMEOUT:g} seconds"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return type(cause).__name__
