"""Prompts, answers, arguments, results and exception texts are sent only if the settings say so."""

from __future__ import annotations

import json

import pytest
from otlp_receiver import OtlpReceiver, ReceivedSpan
from otlp_samples import sample_span

from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._span_sink import OtlpSink
from llmops_sdk.tracing.records._records import RecordedSpan, Stamp

SECRET = "planted-" + "4f1c" * 4
TEXT = json.dumps(SECRET).encode()
MESSAGES = json.dumps([{"role": "user", "parts": [{"type": "text", "content": SECRET}]}]).encode()

# Keys under which some library puts content on a span.
FOREIGN_CONTENT = [
    "all_messages_events",
    "embedding.embeddings.0.embedding.text",
    "exception.message",
    "exception.stacktrace",
    "gen_ai.completion.0.content",
    "gen_ai.evaluation.explanation",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.prompt",
    "gen_ai.prompt.0.content",
    "gen_ai.retrieval.query.text",
    "gen_ai.system_instructions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.definitions",
    "input.value",
    "langfuse.observation.input",
    "llm.input_messages.0.message.content",
    "llm.invocation_parameters",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments",
    "llm.prompt_template.variables",
    "llm.prompts",
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "output.value",
    "pydantic_ai.all_messages",
    "retrieval.documents.0.document.content",
    "tool.parameters",
    "traceloop.entity.input",
    "traceloop.entity.output",
]


def spans_with_the_secret() -> list[RecordedSpan]:
    exception = {
        "exception.type": "ValueError",
        "exception.message": SECRET,
        "exception.stacktrace": f"Traceback …\nValueError: {SECRET}",
        "exception.escaped": "true",
    }
    attempt = {"attempt": 1, "provider": "openai", "status": "error", "error_type": "ServerError", "note": SECRET}
    verdict = {"guard": "cards", "rail": "input", "action": "redact", "matched": SECRET, "duration_ms": 0.5}
    return [
        sample_span(
            name="chat gpt-4.1-mini",
            kind="llm",
            input=TEXT,
            output=TEXT,
            status="error",
            status_message=f"cannot parse {SECRET}",
            error_type="ValueError",
            attributes={
                "gen_ai.request.model": "gpt-4.1-mini",
                "gen_ai.usage.input_tokens": 1234,
                "gen_ai.usage.cost": 0.25,
                "gen_ai.input.messages": MESSAGES,
                "gen_ai.output.messages": MESSAGES.decode(),
                "gen_ai.prompt.name": "greeting",
                "any.json": MESSAGES,
            },
            events=[
                ("exception", 1, exception),
                ("llmops.attempt", 2, attempt),
                ("llmops.guard.verdict", 3, verdict),
                ("gen_ai.user.message", 4, {"content": SECRET, "role": "user"}),
                ("mine", 5, {"prompt": SECRET, "blob": MESSAGES}),
            ],
            links=[(1, 2, {"input.value": SECRET, "kept": "yes"})],
            stamp=Stamp(session_id="s-1", user_id="u-1", tags=("beta",)),
        ),
        sample_span(kind="tool", input=TEXT, output=TEXT),
        sample_span(scope="other.library", attributes=dict.fromkeys(FOREIGN_CONTENT, SECRET)),
    ]


def sent(records: list[RecordedSpan], *, content: bool) -> tuple[bytes, list[ReceivedSpan]]:
    with OtlpReceiver() as backend:
        sink = OtlpSink(Destination(endpoint=backend.url + "/v1/traces", headers={}, content=content))
        assert sink.write(records) == len(records)
        assert sink.flush(30.0)
        sink.close(5.0)
        return backend.everything(), backend.spans


def test_no_content_is_sent_if_off() -> None:
    raw, spans = sent(spans_with_the_secret(), content=False)
    assert SECRET.encode() not in raw
    assert len(spans) == 3


def test_names_numbers_and_users_are_sent_without_content() -> None:
    _, (chat, _, _) = sent(spans_with_the_secret(), content=False)
    assert chat.attributes["gen_ai.request.model"] == "gpt-4.1-mini"
    assert chat.attributes["gen_ai.usage.input_tokens"] == 1234
    assert chat.attributes["operation.cost"] == 0.25
    assert chat.attributes["gen_ai.prompt.name"] == "greeting"
    assert (chat.attributes["session.id"], chat.attributes["user.id"]) == ("s-1", "u-1")
    assert chat.attributes["tag.tags"] == ["beta"]
    assert (chat.status, chat.message, chat.attributes["error.type"]) == ("error", "ValueError", "ValueError")
    assert chat.links[0][2] == {"kept": "yes"}
    assert chat.events == [
        ("exception", 1, {"exception.type": "ValueError", "exception.escaped": "true"}),
        ("llmops.attempt", 2, {"attempt": 1, "provider": "openai", "status": "error", "error_type": "ServerError"}),
        (
            "gen_ai.guardrail.result",
            3,
            {
                "gen_ai.guardrail.component.name": "cards",
                "gen_ai.guardrail.source": "input",
                "gen_ai.guardrail.result.type": "action",
                "gen_ai.guardrail.result.value": "redact",
                "llmops.guard.duration_ms": 0.5,
            },
        ),
        ("gen_ai.user.message", 4, {"role": "user"}),
        ("mine", 5, {}),
    ]


def test_content_is_sent_if_on() -> None:
    _, (chat, tool, foreign) = sent(spans_with_the_secret(), content=True)
    assert chat.message == f"cannot parse {SECRET}"
    assert chat.attributes["gen_ai.input.messages"] == MESSAGES.decode()
    assert chat.events[0][2]["exception.message"] == SECRET
    assert (tool.attributes["input.value"], tool.attributes["output.value"]) == (SECRET, SECRET)
    assert dict.fromkeys(FOREIGN_CONTENT, SECRET).items() <= foreign.attributes.items()


@pytest.mark.parametrize("key", FOREIGN_CONTENT)
def test_content_keys_of_other_libraries_are_removed(key: str) -> None:
    from llmops_sdk.tracing.privacy._content import is_content

    assert is_content(key, "text")


@pytest.mark.parametrize(
    "key",
    [
        "gen_ai.prompt.name",
        "gen_ai.prompt.version",
        "gen_ai.request.model",
        "gen_ai.output.type",
        "input.mime_type",
        "output.mime_type",
        "llm.model_name",
        "llm.token_count.prompt",
        "llmops.metadata.plan",
        "tool.name",
    ],
)
def test_keys_without_content_are_sent(key: str) -> None:
    from llmops_sdk.tracing.privacy._content import is_content

    assert not is_content(key, "text")
