"""A bank's assistant that runs for a day: what docs/querying.md asks about, made by calls through the SDK.

Run as a program: `bank_assistant.py FOLDER DAY`. The models answer offline and fail as their scripts say. What each
call returned goes to standard output, a line of JSON each, so that a test can count for itself.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import opentelemetry.trace as otel

import llmops_sdk as llmops
from llmops_sdk.testing import ScriptedProvider, use_provider

MINI, SONNET = "openai/gpt-4.1-mini", "anthropic/claude-sonnet-4-5"
ARTICLES = ["Cards take three days.", "A lost card is blocked at once."]


def report(what: str, response: llmops.Response | None, **more: object) -> None:
    line: dict[str, Any] = {"what": what, **more}
    if response is not None:
        line |= {
            "model": response.model,
            "text": response.text,
            "input_tokens": response.usage.input_tokens,
            "output_tokens": response.usage.output_tokens,
            "cost": response.cost,
            "saved_cost": response.saved_cost,
            "cache": response.cache,
            "finish_reason": response.finish_reason,
            "attempts": [[a.reason, a.provider, a.status, a.status_code] for a in response.attempts],
            "trace_id": response.trace_id,
            "span_id": response.span_id,
        }
    print(json.dumps(line), flush=True)


def said(text: str, cost: float, tokens: tuple[int, int], **more: Any) -> llmops.Response:
    usage = llmops.Usage(input_tokens=tokens[0], output_tokens=tokens[1])
    return llmops.Response(text=text, cost=cost, usage=usage, finish_reason=more.pop("finish_reason", "stop"), **more)


@llmops.trace(kind="retriever")
def search(question: str) -> list[str]:
    with otel.get_tracer("vector.store").start_as_current_span("GET /vectors") as span:
        span.set_attribute("http.response.status_code", 200)
    with llmops.span("rank", attributes={"app.candidates": len(question)}):
        return ARTICLES


@llmops.trace(kind="tool")
def balance(account: str) -> int:
    if account == "unknown":
        raise LookupError("no such account")
    return 100


@llmops.trace(kind="agent")
def support(question: str, account: str, model: str, history: list[dict[str, str]]) -> str:
    search(question)
    with contextlib.suppress(LookupError):
        balance(account)
    history.append({"role": "user", "content": question})
    response = llmops.chat(list(history), model=model, system="You answer customers of a bank.")
    history.append({"role": "assistant", "content": response.text})
    report("support", response)
    return response.text


def conversation(user: str, tenant: str, model: str, turns: list[tuple[str, str]], *, version: str) -> None:
    history: list[dict[str, str]] = []
    with llmops.context(
        session_id=f"{user}-1",
        user_id=user,
        tags=["support", user],
        metadata={"tenant": tenant},
        prompt=("help", version),
    ):
        for question, account in turns:
            support(question, account, model, history)


def failing(ask: Callable[[], object], what: str) -> None:
    try:
        ask()
    except llmops.LLMOpsError as error:
        report(what, None, error=type(error).__name__)


def short_calls(day: int) -> None:
    with llmops.context(user_id="cy", prompt="classify", tags=["batch"]):
        for _ in range(2):
            report("cached", llmops.chat("Classify: where is my card?", model="cheap", cache=True, temperature=0))
        for question in ("Where is my card?", "  where is MY card? ", "Where's the nearest branch?"):
            report("repeated", llmops.chat(question, model="offline/echo"))
        report("cut", llmops.chat("Tell me everything about cards", model="cheap", max_tokens=3))
    report("flaky", llmops.chat("Flaky?", model="flaky"))
    report("flaky", llmops.chat("Still flaky?", model="flaky"))
    failing(lambda: llmops.chat("Down?", model="down"), "down")
    failing(lambda: llmops.chat("Down again?", model="down"), "down")
    card = "4242 " * 4
    with llmops.context(prompt="cards"):
        report("guarded", llmops.chat(f"My card is {card}", model="offline/echo", guards=["cards"]))
        failing(lambda: llmops.chat(f"Take {card}", model="offline/echo", guards=["cards:block"]), "blocked")
    with llmops.stream("Tell me a story in many words", model="slow") as stream:
        for _ in stream:
            pass
    report("streamed", stream.response)
    with llmops.stream("Tell me a story that nobody hears out", model="slow") as left:
        next(iter(left))
    llmops.embed(["cards"], model="offline/echo")
    with llmops.span("imported", input={"text": "x" * 100_000}):
        pass
    with llmops.span("leaky", input={"note": "the key is " + "sk-" + "proj-" + "a1B2c3D4" * 6}):
        pass
    with llmops.span("nightly", attributes={"app.day": day}):
        pass


def scores(helped: llmops.Response, hurt: llmops.Response) -> None:
    llmops.score("helpful", True, span_id=helped.span_id, trace_id=helped.trace_id)
    llmops.score("helpful", False, span_id=hurt.span_id, trace_id=hurt.trace_id, comment="wrong")
    llmops.score("tone", 0.9, trace_id=helped.trace_id, source="judge")


def run(folder: Path, day: int) -> None:
    llmops.configure(
        store={"path": folder},
        retry={"base": 0.001},
        prices={"offline/script": {"input": 2.0, "output": 8.0}},
        models={
            "cheap": {"model": "offline/script", "options": {"seed": day, "latency": 0.004 * (day + 1)}},
            "flaky": {
                "model": "offline/script",
                "options": {"failures": {"sequence": ["rate_limit", "ok", "server", "server", "server"]}},
                "fallbacks": ["offline/echo"],
            },
            "down": {"model": "offline/script", "options": {"failures": {"rate": 1.0, "errors": ["server"]}}},
            "slow": {"model": "offline/echo", "options": {"first_token": 0.01, "tokens_per_second": 2000}},
        },
    )
    version = "2" if day == 0 else "1"
    turns = [("Where is my card?", "a1"), ("And my balance?", "unknown")]
    answers = [said("In three days.", 0.01 * (day + 1), (100, 20)), said("It is 100.", 0.03, (160, 10))]
    with use_provider(ScriptedProvider(answers), model=MINI):
        conversation("ada", "acme", MINI, turns, version=version)
    with use_provider(ScriptedProvider([said("At the corner.", 0.2, (300, 40))]), model=SONNET):
        conversation("bob", "globex", SONNET, [("Where is the branch?", "a2")], version=version)
    judged = [said("Yes.", 0.02, (50, 5)), said("No.", 0.02, (50, 5))]
    with use_provider(ScriptedProvider(judged), model=MINI), llmops.context(prompt=("judged", version)):
        helped, hurt = (llmops.chat(f"Judge {n}", model=MINI) for n in (1, 2))
        report("judged", helped)
        report("judged", hurt)
        scores(helped, hurt)
    short_calls(day)
    flushed = llmops.flush(10.0)
    report("flushed", None, pending=flushed.pending, errors=len(flushed.errors))


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]))
