"""Conversations with a tool's result, and calls of tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from llmops_sdk.errors import GuardrailViolation
from llmops_sdk.guardrails import ToolPolicy


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def tool_call(name: str = "send_mail", call_id: str = "1", **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": call_id, "type": "function", "function": function}


def result(text: str, call_id: str = "0", name: str = "inbox") -> list[dict[str, Any]]:
    """A call of a tool, and its result."""
    return [
        {"role": "assistant", "content": None, "tool_calls": [tool_call(name, call_id)]},
        {"role": "tool", "tool_call_id": call_id, "content": text},
    ]


@pytest.fixture
def reason() -> Callable[..., str]:
    """The reason for which a policy blocks a call, or ""."""

    def check(policy: ToolPolicy, arguments: Any, messages: Any, name: str = "send_mail") -> str:
        try:
            policy.check_call(name, arguments, messages)
        except GuardrailViolation as error:
            return error.reason or "blocked"
        return ""

    return check


@pytest.fixture
def talk() -> Callable[..., list[dict[str, Any]]]:
    """A conversation: what the user says, and what a tool returns."""

    def make(said: str = "Read my inbox", returned: str | None = None) -> list[dict[str, Any]]:
        return [user(said), *(result(returned) if returned is not None else [])]

    return make


@pytest.fixture
def call() -> Callable[..., dict[str, Any]]:
    return tool_call
