"""An application under Sentry's own span processor and propagator; it prints the transactions for Sentry."""

from __future__ import annotations

import json
from typing import Any

import sentry_sdk
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.opentelemetry import SentryPropagator, SentrySpanProcessor
from sentry_sdk.transport import Transport

import llmops_sdk as llmops

sent: list[Any] = []


class Kept(Transport):
    """Collects transactions instead of sending them."""

    def capture_envelope(self, envelope: Envelope) -> None:
        sent.extend(item.payload.json for item in envelope.items if item.type == "transaction")


sentry_sdk.init(
    dsn="http://key@127.0.0.1:9/1",
    transport=Kept,
    traces_sample_rate=1.0,
    instrumenter="otel",
    default_integrations=False,
)
provider = TracerProvider()
provider.add_span_processor(SentrySpanProcessor())
trace.set_tracer_provider(provider)
propagate.set_global_textmap(SentryPropagator())
tracer = trace.get_tracer("the.application")


@llmops.trace(kind="agent")
def answer(question: str) -> str:
    with tracer.start_as_current_span("theirs"):
        return llmops.chat(question).text


def main() -> None:
    with llmops.context(user_id="user-7"):
        answer("Where is my card?")
    headers: dict[str, str] = {}
    with llmops.span("calling"):
        llmops.inject(headers)
    first = sent[0]
    root = first["contexts"]["trace"]
    names = {span["span_id"]: span["description"] for span in first["spans"]}
    names[root["span_id"]] = first["transaction"]
    told = {
        "transactions": [one["transaction"] for one in sent],
        "tree": [[span["description"], names.get(span["parent_span_id"])] for span in first["spans"]],
        "ids": sorted(names),
        "trace_id": root["trace_id"],
        "headers": sorted(headers),
        "everything": json.dumps(sent, default=str),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
