"""Webhooks, signed as Standard Webhooks says.

Source: https://github.com/standard-webhooks/standard-webhooks, version 1.0.0.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

import orjson

from llmops_sdk._util._clock import Clock
from llmops_sdk.config import NotifierSettings
from llmops_sdk.errors import NotifierError
from llmops_sdk.monitoring.notify._http import address_of, post
from llmops_sdk.monitoring.notify._message import Message, batch_id, payload
from llmops_sdk.monitoring.notify._sender import from_environment

__all__ = ["WebhookSender", "signature"]

_PREFIX = "whsec_"


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of the header `webhook-signature`.

    Args:
        secret: One or more secrets, separated by spaces: "whsec_" and at least 16 bytes in base64. While a secret is
            replaced, give both.
        message_id: The value of the header `webhook-id`.
        timestamp: The value of the header `webhook-timestamp`, in seconds since the epoch.
        body: The request's body.

    Raises:
        ValueError: A secret is not valid.

    Example:
        >>> secret = "whsec_" + base64.b64encode(bytes(24)).decode()
        >>> signature(secret, "msg_1", 1614265330, b"{}")[:10]
        'v1,ONjOH+g'
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    found: list[str] = []
    for one in secret.split():
        try:
            key = base64.b64decode(one.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if len(key) < 16:
            raise ValueError('not a secret of the form "whsec_" and base64 of at least 16 bytes')
        found.append("v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode())
    return " ".join(found)


class WebhookSender:
    """Sends JSON to an address, and signs it if there is a secret.

    Args:
        name: The notifier's name.
        settings: Its settings.
        clock: Tells the time of the signature.
    """

    pause = 0.0

    def __init__(self, name: str, settings: NotifierSettings, clock: Clock) -> None:
        self._name = name
        self._settings = settings
        self._clock = clock

    def send(self, batch: Sequence[Message]) -> None:
        """Send one alert, or a digest."""
        address = address_of(self._name, self._settings.url, self._settings.url_env)
        body = orjson.dumps(payload(batch))
        key, timestamp = batch_id(batch), int(self._clock.time())
        headers = {"webhook-id": key, "webhook-timestamp": str(timestamp)}
        variable = self._settings.secret_env
        if variable is not None:
            try:
                secret = from_environment(self._name, variable)
                headers["webhook-signature"] = signature(secret, key, timestamp, body)
            except ValueError as error:
                raise NotifierError(
                    f"the environment variable {variable} is {error}: set another one", notifier=self._name
                ) from None
        post(self._name, address, body, headers)
