"""Without content, other libraries' spans pass an allow-list: what leaves is known, whatever the library invents."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from otlp_receiver import OtlpReceiver
from otlp_samples import sample_span

import llmops_sdk as llmops
from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._span_sink import OtlpSink
from llmops_sdk.tracing.privacy._content import ContentRule

pytestmark = pytest.mark.redteam

CANARY = "planted-" + "9b7e" * 4
SENTENCE = CANARY + " word" * 100

# Found leaving with content off, and their like.
NAMED = [
    "ai.prompt", "crewai.task.description", "evaluation.explanation", "gcp.vertex.agent.llm_request",
    "gcp.vertex.agent.llm_response", "gcp.vertex.agent.tool_call_args", "gen_ai.headers", "gen_ai.memory.content",
    "gen_ai.memory.query.text", "gen_ai.request.structured_output_schema", "gen_ai.task.input", "gen_ai.task.output",
    "langfuse.observation.status_message", "llm.choices", "llm.headers", "llm.request.functions.0.description",
    "mcp.request.argument", "mcp.response.value", "traceloop.prompt.template", "traceloop.prompt.template_variables",
]  # fmt: skip

# Words in the name of a constant that stand for what a person or a model wrote, or for a free text about it.
CONTENT_WORDS = {
    "annotation", "annotations", "argument", "arguments", "attributes", "body", "choices", "completion", "completions",
    "content", "contents", "data", "delete", "description", "document", "documents", "edges", "embedding",
    "embeddings", "explanation", "fragment", "full", "functions", "header", "headers", "input", "instructions",
    "json_schema", "message", "messages", "metadata", "nodes", "original", "output", "parameter", "parameters",
    "path", "prompt", "prompts", "query", "result", "schema", "signature", "stacktrace", "statement",
    "status_description", "structured_output_schema", "system_instructions", "target", "template", "template_variables",
    "text", "texts", "tools", "transcript", "url", "value", "variables", "where", "where_document",
}  # fmt: skip
# They have such a word, and are identifiers or numbers all the same.
NO_CONTENT = {
    "code.file.path", "embedding.model_name", "evaluation.name", "evaluation.score", "gen_ai.evaluation.name",
    "gen_ai.evaluation.score.label", "gen_ai.evaluation.score.value", "gen_ai.openai.request.response_format",
    "gen_ai.output.type", "gen_ai.prompt.name", "gen_ai.prompt.version", "input.mime_type",
    "llm.prompt_template.version", "messaging.destination.template", "messaging.message.id", "output.mime_type",
    "prompt.id", "prompt.vendor", "traceloop.entity.path", "traceloop.prompt.key", "traceloop.prompt.version",
    "traceloop.prompt.version_hash", "traceloop.prompt.version_name", "url.template", "feature_flag.result.reason",
    "feature_flag.result.variant", "url.domain", "url.registered_domain", "url.scheme", "url.subdomain",
    "url.top_level_domain",
}  # fmt: skip
USEFUL = {
    "db.system.name", "error.type", "gen_ai.agent.name", "gen_ai.conversation.id", "gen_ai.operation.name",
    "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.id", "gen_ai.response.model", "gen_ai.tool.name",
    "http.request.method", "http.route", "llm.model_name", "openinference.span.kind", "rpc.method", "server.address",
    "session.id", "traceloop.span.kind", "user.id",
}  # fmt: skip


def _packages() -> Iterator[ModuleType]:
    """Yield the modules of every package of semantic conventions that is installed."""
    roots = ("attributes", "trace", "resource", "_incubating.attributes")
    names = [f"opentelemetry.semconv.{root}" for root in roots]
    for name in (*names, "opentelemetry.semconv_ai", "openinference.semconv"):
        try:
            package = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        yield package
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            yield importlib.import_module(module.name)


def _constants() -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = {
            value
            for module in _packages()
            for holder in (module, *(item for item in vars(module).values() if isinstance(item, type)))
            for name, value in vars(holder).items()
            if name.isupper() and isinstance(value, str) and "." in value and "/" not in value
        }
    return sorted(found)


def test_no_constant_of_the_semantic_conventions_lets_content_pass() -> None:
    constants = _constants()
    assert len(constants) > 800
    passed = set(ContentRule().attributes(dict.fromkeys(constants, CANARY), "other"))

    suspect = {name for name in passed if not CONTENT_WORDS.isdisjoint(name.split("."))}
    assert suspect <= NO_CONTENT
    assert passed & set(NAMED) == set()
    assert {name for name in USEFUL if name in constants} <= passed


def test_what_passes_is_short() -> None:
    constants = [*_constants(), *USEFUL]
    for long in (SENTENCE, [SENTENCE], {"a": CANARY}, CANARY.encode(), [[CANARY]]):
        assert ContentRule().attributes(dict.fromkeys(constants, long), "other") == {}


@pytest.mark.parametrize("scope", ["other", "llmops_sdk"])
def test_names_that_were_found_to_leave_do_not(scope: str) -> None:
    named = [name for name in NAMED if scope == "other" or name != "crewai.task.description"]
    assert ContentRule().attributes(dict.fromkeys(named, CANARY), scope) == {}


def test_numbers_flags_and_added_names_pass() -> None:
    attributes = {"app.count": 3, "app.ratio": 0.5, "app.flag": True, "app.tier": "gold", "app.note": CANARY}
    assert ContentRule(["app.t*"]).attributes(attributes, "other") == {
        "app.count": 3, "app.ratio": 0.5, "app.flag": True, "app.tier": "gold"
    }  # fmt: skip
    assert ContentRule(["note"]).event("e", {"note": "n", "other": "o"}, "other") == {"note": "n"}
    assert ContentRule().event("e", {"role": SENTENCE, "index": 1}, "other") == {"index": 1}


def _foreign() -> Any:
    secret = {"anything.new": CANARY, "exception.message": CANARY, "exception.type": "ValueError"}
    return sample_span(
        scope="other",
        status="error",
        status_message=CANARY,
        attributes={**secret, "gen_ai.request.model": "m", "n": 1},
        events=[("exception", 1, secret), ("log", 2, {"body": CANARY})],
        links=[(1, 2, secret)],
    )


def test_nothing_but_known_names_is_sent_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[tuple[str, str, int]] = []
    from llmops_sdk.tracing.records import _losses

    _losses.set_recorder(lambda what, reason, count, _: lost.append((what, reason, count)))
    with OtlpReceiver() as backend:
        sink = OtlpSink(Destination(endpoint=backend.url + "/v1/traces", headers={}, allow_attributes=("added.*",)))
        sink.write([_foreign(), sample_span(scope="other", attributes={"added.name": "yes"})])
        assert sink.flush(30.0)
        sink.close(5.0)
    _losses.set_recorder(None)
    first, second = backend.spans

    assert CANARY.encode() not in backend.everything()
    assert (first.attributes["gen_ai.request.model"], first.attributes["n"]) == ("m", 1)
    assert second.attributes["added.name"] == "yes"
    assert first.events == [("exception", 1, {"exception.type": "ValueError"}), ("log", 2, {})]
    assert sum(count for what, reason, count in lost if (what, reason) == ("attribute", "withheld")) == 7


def test_the_names_come_from_the_configuration() -> None:
    from llmops_sdk.export._destinations import find_destinations

    llmops.configure(
        export={
            "endpoint": "http://127.0.0.1:1",
            "allow_attributes": ["app.*"],
            "destinations": {"b": {"endpoint": "http://127.0.0.1:2"}},
        }
    )
    assert [one.allow_attributes for one in find_destinations(llmops.settings())] == [("app.*",)] * 2


def test_without_captured_content_no_text_of_an_exception_and_no_comment_is_stored() -> None:
    from opentelemetry.trace import Status, StatusCode

    llmops.configure(capture={"content": False})

    @llmops.trace(name="fails")
    def fail() -> None:
        llmops.score("helpful", True, comment=CANARY)
        raise ValueError(CANARY)

    with pytest.raises(ValueError, match=CANARY):
        fail()
    with llmops.span("described") as span:
        span.set_status(Status(StatusCode.ERROR, CANARY))
        span.record_exception(KeyError(CANARY))
    llmops.flush()

    assert CANARY not in str(llmops.query("FROM spans").rows()) + str(llmops.query("FROM scores").rows())
    assert llmops.query("SELECT status, error_type FROM spans WHERE name = 'fails'").rows() == [("error", "ValueError")]
