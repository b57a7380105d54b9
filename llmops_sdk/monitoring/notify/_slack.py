"""Slack, by an incoming webhook.

Source: https://docs.slack.dev/messaging/formatting-message-text ("&", "<" and ">" are the characters to escape; a
mention and a link begin with "<"), and https://docs.slack.dev/apis/web-api/rate-limits (one message a second).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from llmops_sdk.config import NotifierSettings
from llmops_sdk.monitoring.notify._http import address_of, post
from llmops_sdk.monitoring.notify._message import Message, cut, facts, title

__all__ = ["SlackSender", "escaped", "slack_payload"]

_TITLE = 150
_FIELD = 1_900
_FIELDS = 10
_SECTION = 2_900
_LISTED = 30
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escaped(text: str, limit: int) -> str:
    """Return a text in which Slack finds no mention, no link and no channel, at most `limit` characters long.

    Example:
        >>> escaped("<!channel> & co", 100), escaped("<<<", 9)
        ('&lt;!channel&gt; &amp; co', '&lt;&lt;…')
    """
    made: list[str] = []
    size = 0
    for character in text:
        piece = _ESCAPES.get(character, character)
        if size + len(piece) > limit - 1:
            made.append("…")
            break
        made.append(piece)
        size += len(piece)
    return "".join(made)


def slack_payload(batch: Sequence[Message]) -> dict[str, Any]:
    """Return the body of the request: blocks of plain text, which Slack does not interpret."""
    head = escaped(title(batch), _TITLE)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(head)}]
    if len(batch) == 1:
        one = batch[0].notification
        blocks.append({"type": "section", "text": _plain(escaped(one.reason, _SECTION) or "…")})
        pairs = [f"{name}: {value}" for name, value in facts(one)]
        blocks += [
            {"type": "section", "fields": [_plain(escaped(pair, _FIELD)) for pair in pairs[at : at + _FIELDS]]}
            for at in range(0, len(pairs), _FIELDS)
        ]
    else:
        lines = [
            f"{cut(message.notification.rule, 60)}: {message.notification.state} ({message.notification.severity})"
            for message in batch[:_LISTED]
        ]
        lines += [f"… and {len(batch) - _LISTED} more"] if len(batch) > _LISTED else []
        blocks.append({"type": "section", "text": _plain(escaped("\n".join(lines), _SECTION))})
    # `text` is what a notification shows; it is formatted text, so it is escaped in any case.
    return {"text": head, "blocks": blocks, "link_names": False, "unfurl_links": False, "unfurl_media": False}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


class SlackSender:
    """Sends a message to the channel of an incoming webhook.

    Args:
        name: The notifier's name.
        settings: Its settings; the address comes from `url_env`.
    """

    pause = 1.0

    def __init__(self, name: str, settings: NotifierSettings) -> None:
        self._name = name
        self._settings = settings

    def send(self, batch: Sequence[Message]) -> None:
        """Send one alert, or a digest."""
        address = address_of(self._name, None, self._settings.url_env)
        post(self._name, address, orjson.dumps(slack_payload(batch)), {})
