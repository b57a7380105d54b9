"""Replays: off unless the settings allow them, estimated, bounded in cost, and linked to the original."""

from __future__ import annotations

import json

import httpx
import pytest
from ui_page import Page, PlainSpan, message

import llmops_sdk as llmops
from llmops_sdk.store import StoreSink, query
from llmops_sdk.tracing.records._records import Json

TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather", "parameters": {"type": "object", "properties": {}}},
}
TALK = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "And the weather?"},
    {"role": "assistant", "content": None,
     "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"in": "Ulm"}'}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    {"role": "user", "content": "Thanks"},
]  # fmt: skip


@pytest.fixture
def configured(tmp_path):
    """Turn replays on, with the store of this test, and stop tracing afterwards."""

    def configure(**ui):
        folder = tmp_path / "store"
        more = {name: ui.pop(name) for name in ("models", "cassettes") if name in ui}
        llmops.configure(store={"path": str(folder)}, ui={"replay": True, **ui}, prices={"openai/dear": PRICE}, **more)
        return folder

    yield configure
    llmops.shutdown()


PRICE = {"input": 1_000_000.0, "output": 1_000_000.0}


def stored_call(talk=TALK, model="offline/echo", **options) -> dict[str, str]:
    answer = llmops.chat(talk, model=model, tools=[TOOL], **options)
    llmops.flush()
    return {"trace_id": answer.trace_id, "span_id": answer.span_id}


def test_a_replay_is_refused_unless_the_settings_allow_it(folder, open_page):
    answer = open_page(folder).post("replay", {"trace_id": "0" * 32, "span_id": "0" * 16})

    assert answer.status_code == 403
    assert "[ui] replay = true" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("replay", "options", "said"),
    [(True, {}, None), (False, {}, "[ui] replay"), (True, {"read_only": True}, "--read-only")],
)
def test_the_page_knows_whether_replays_are_on(configured, open_page, replay, options, said):
    about = open_page(configured(replay=replay), **options).get("pages")["data"]

    assert about["replay"] is (said is None)
    assert about["replay_refusal"] is None if said is None else said in about["replay_refusal"]


def test_a_replay_is_estimated_then_sent_and_linked(configured, open_page):
    folder = configured()
    call = stored_call()
    page: Page = open_page(folder)
    before = query("SELECT count(*) FROM spans", path=folder).scalar()

    estimate = page.post("replay", {**call, "variants": 2}).json()["data"]["estimate"]

    assert (estimate["messages"], estimate["tools"], estimate["estimated_usd"]) == (5, 1, 0.0)
    assert query("SELECT count(*) FROM spans", path=folder).scalar() == before
    sent = page.post("replay", {**call, "variants": 2, "temperature": 0.5, "max_cost": 0.01}).json()["data"]
    assert [one["text"] for one in sent["results"]] == ["Thanks", "Thanks"]
    assert sent["original"]["output"][0]["parts"] == [{"type": "text", "content": "Thanks"}]
    made = query(
        "SELECT name, links, tags FROM spans WHERE trace_id = $1 AND parent_span_id IS NULL",
        [sent["results"][0]["trace_id"]], path=folder,
    ).rows()  # fmt: skip
    [(name, links, tags)] = made
    assert (name, tags) == ("replay", ["replay"])
    assert json.loads(links)[0]["trace_id"] == call["trace_id"]
    again = query(
        "SELECT input_messages FROM llm_calls WHERE trace_id = $1", [sent["results"][0]["trace_id"]], path=folder
    ).scalar()
    original = query(
        "SELECT input_messages FROM llm_calls WHERE trace_id = $1", [call["trace_id"]], path=folder
    ).scalar()
    assert json.loads(again) == json.loads(original)


def test_a_replay_beyond_the_bound_or_of_unknown_price_is_refused(configured, open_page):
    folder = configured()
    call = stored_call()
    page = open_page(folder)

    def replay(**more) -> httpx.Response:
        return page.post("replay", {**call, **more})

    assert replay(model="openai/dear").json()["data"]["estimate"]["estimated_usd"] > 100
    for more in ({"model": "openai/dear", "max_cost": 1e6}, {"model": "https://127.0.0.1:9/v1#none", "max_cost": 1}):
        answer = replay(**more)
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "RefusedError")
    for more in ({"variants": 9}, {"max_cost": -1}, {"temperature": "hot"}, {"messages": "hi"}, {"model": 1}):
        assert replay(**more).status_code == 400
    assert page.post("replay", {"trace_id": "0" * 32, "span_id": "0" * 16}).status_code == 404


def test_a_replay_needs_the_configured_store(configured, open_page, tmp_path):
    configured()

    answer = open_page(tmp_path / "another").post("replay", {"trace_id": "0" * 32, "span_id": "0" * 16})

    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("gen_ai.input.messages", ["x"], "unknown form"),
        ("gen_ai.input.messages", [{"role": "user", "parts": "abc"}], "unknown form"),
        ("gen_ai.input.messages", [{"role": "user", "parts": [1]}], "unknown form"),
        ("gen_ai.input.messages", [{"role": "evil", "parts": [{"type": "text", "content": "a"}]}], "the role 'evil'"),
        ("gen_ai.input.messages", [{"role": "tool", "parts": [{"type": "tool_call_response"}]}], "tool_call_id"),
        ("llmops.model.name", ["a"], ""),
    ],
)
def test_a_call_that_another_program_stored_oddly_gets_a_clear_answer(configured, open_page, name, value, said):
    folder = configured()
    attributes = {
        "gen_ai.request.model": "echo", "gen_ai.provider.name": "offline",
        "gen_ai.input.messages": Json(json.dumps([message("user", "hi")]).encode()),
    }  # fmt: skip
    sink = StoreSink(folder)
    odd = {**attributes, name: Json(json.dumps(value).encode())}
    sink.write([PlainSpan(name="odd", kind="llm", trace_id=7, span_id=2, attributes=odd)])
    sink.close(5.0)

    answer = open_page(folder).post("replay", {"trace_id": f"{7:032x}", "span_id": f"{2:016x}"})

    assert answer.status_code == (400 if said else 200)
    assert said in answer.text


def test_messages_that_no_model_takes_are_refused_before_anything_is_sent(configured, open_page):
    folder = configured()
    call = stored_call()
    page = open_page(folder)

    for messages in ([{}], [{"role": "user", "content": 5}], [{"role": 1, "content": "a"}]):
        assert page.post("replay", {**call, "messages": messages, "max_cost": 0}).status_code == 400
    for ids in ({"trace_id": "x"}, {"span_id": 5}, {"span_id": None}):
        assert page.post("replay", {**call, **ids}).status_code == 400


def test_results_before_a_refusal_are_shown(configured, open_page):
    folder = configured()
    call = stored_call()

    sent = open_page(folder).post("replay", {**call, "model": "offline/none", "max_cost": 0}).json()["data"]

    assert "there is no model" in sent["results"][0]["error"]


ASKED = [{"role": "user", "content": "The weather?"}]
SCRIPT = {"model": "offline/script", "options": {"answers": [{"text": "done", "tool_calls": [{"name": "weather"}]}]}}


@pytest.mark.parametrize(
    "talk",
    [
        ASKED,
        # Stored conversations have lost how a program spells arguments, an empty content and single parts.
        [{"role": "user", "content": [{"type": "text", "text": "Hi"}]},
         {"role": "assistant", "tool_calls": TALK[2]["tool_calls"]}, TALK[3], {**ASKED[0], "name": "ada"}],
        [*TALK[:3], {**TALK[3], "content": [{"type": "text", "text": "sunny"}]}, *ASKED],
    ],
)  # fmt: skip
def test_a_call_with_tools_is_replayed_from_its_cassette(configured, open_page, talk):
    cassettes = {"mode": "record", "records": "script"}
    folder = configured(models={"script": SCRIPT}, cassettes=cassettes)
    call = stored_call(talk, "cassette/weather", temperature=0.2, stop=["x"], seed=3)
    configured(models={"script": SCRIPT}, cassettes={**cassettes, "mode": "replay"})
    page = open_page(folder)

    estimate = page.post("replay", call).json()["data"]["estimate"]
    sent = page.post("replay", {**call, "max_cost": 0}).json()["data"]

    assert (estimate["model"], estimate["tools"], estimate["estimated_usd"]) == ("cassette/weather", 1, 0.0)
    assert estimate["options"] == {"temperature": 0.2, "seed": 3, "stop": ["x"]}
    [result] = sent["results"]
    assert (result["error"], result["text"]) == (None, sent["original"]["output"][0]["parts"][0].get("content", ""))
    originals = [part for part in sent["original"]["output"][0]["parts"] if part["type"] == "tool_call"]
    assert [one["name"] for one in result["tool_calls"]] == [one["name"] for one in originals]
    links = query("SELECT links FROM spans WHERE name = 'replay'", path=folder).scalar()
    assert json.loads(links)[0]["span_id"] == call["span_id"]


def test_a_cassette_that_records_costs_what_its_model_costs(configured, open_page):
    folder = configured(cassettes={"mode": "new", "records": "openai/dear"})
    call = stored_call(temperature=0.5)
    page = open_page(folder)

    def replay(**more) -> httpx.Response:
        return page.post("replay", {**call, "model": "cassette/fresh", "as_before": False, **more})

    estimate = replay().json()["data"]["estimate"]
    assert estimate["estimated_usd"] > 100
    assert estimate["options"] == {}
    assert replay(max_cost=1e6).status_code == 403
