"""A small application, as a user would write it; where its spans go is in its environment."""

from __future__ import annotations

import json
import os

import llmops_sdk as llmops

QUESTION = "Where is my card?"
SYSTEM = "You answer for a bank."


@llmops.trace(kind="retriever")
def find_articles(question: str) -> list[str]:
    return [f"Cards are posted within five days. ({len(question)})"]


@llmops.trace("support.answer", kind="agent")
def answer(question: str) -> llmops.Response:
    find_articles(question)
    return llmops.chat(question, system=SYSTEM)


@llmops.trace("support.stream", kind="agent")
def stream(question: str) -> llmops.Response:
    with llmops.stream(question) as chunks:
        for _ in chunks:
            pass
        return chunks.response


def main() -> None:
    llmops.configure(prices={"offline/echo": {"input": 2.0, "output": 10.0}})
    with llmops.context(
        session_id=os.environ["SUPPORT_SESSION"], user_id="user-7", tags=["beta"], metadata={"plan": "pro"}
    ):
        first = answer(QUESTION)
        second = stream(QUESTION)
    report = llmops.flush(30)
    said = [
        {
            "trace_id": response.trace_id,
            "span_id": response.span_id,
            "text": response.text,
            "model": response.model,
            "input_tokens": response.usage.input_tokens,
            "output_tokens": response.usage.output_tokens,
            "cost": response.cost,
        }
        for response in (first, second)
    ]
    print(json.dumps({"responses": said, "exported": report.exported, "dropped": report.dropped}))


if __name__ == "__main__":
    main()
