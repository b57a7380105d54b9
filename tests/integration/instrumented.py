"""Call the vendors' real clients under real instrumentors, with our spans above and below.

python instrumented.py OPENAI_URL ANTHROPIC_URL NAME...
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import llmops_sdk as llmops
from llmops_sdk.tracing import tracer_provider

MESSAGES: Any = [
    {"role": "system", "content": "You answer for a bank."},
    {"role": "user", "content": "Where is my card?"},
]


def _module_and_class(name: str) -> tuple[str, str]:
    vendor = {"openai": "OpenAIInstrumentor", "anthropic": "AnthropicInstrumentor", "httpx": "HTTPXClientInstrumentor"}
    library, _, what = name.partition(".")
    return f"{library}.instrumentation.{what}", vendor[what]


def turn_on(name: str) -> None:
    """Instrument by our distribution, as in "llmops.openai", or otherwise as an application does."""
    if name.startswith("llmops."):
        importlib.import_module(f"llmops_sdk_{name.removeprefix('llmops.')}").instrument()
        return
    module, cls = _module_and_class(name)
    getattr(importlib.import_module(module), cls)().instrument(tracer_provider=tracer_provider())


def ask_openai(url: str) -> str:
    import httpx
    import openai

    class Signing(httpx.HTTPTransport):
        """A traced transport between the client and the network."""

        @llmops.trace("sign", kind="tool", capture_input=False, capture_output=False)
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return super().handle_request(request)

    http = httpx.Client(transport=Signing())
    with openai.OpenAI(api_key="key", base_url=url, max_retries=0, http_client=http) as client:
        answer = client.chat.completions.create(model="gpt-4.1-mini", messages=MESSAGES)
    return answer.choices[0].message.content or ""


def ask_anthropic(url: str) -> str:
    import anthropic

    with anthropic.Anthropic(api_key="key", base_url=url, max_retries=0) as client:
        answer = client.messages.create(
            model="claude-opus-4-5", max_tokens=9, system=MESSAGES[0]["content"], messages=MESSAGES[1:]
        )
    return "".join(block.text for block in answer.content if block.type == "text")


@llmops.trace(kind="agent")
def answer(openai_url: str, anthropic_url: str, names: list[str]) -> list[str]:
    said: list[str] = []
    if any("openai" in name for name in names):
        said.append(ask_openai(openai_url))
    if any("anthropic" in name for name in names):
        said.append(ask_anthropic(anthropic_url))
    return said


def main() -> None:
    openai_url, anthropic_url, *names = sys.argv[1:]
    for name in names:
        turn_on(name)
    with llmops.context(session_id="session-7", user_id="user-7", tags=["beta"]):
        print(answer(openai_url, anthropic_url, names))


if __name__ == "__main__":
    main()
