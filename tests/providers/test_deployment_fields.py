"""Answers, chunks and errors keep the name of the deployment on their way to the caller."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.caching.exact._chunks import as_served
from llmops_sdk.errors import ServerError, StreamInterruptedError
from llmops_sdk.providers import Accumulator, Chunk, Response, Usage, chunks_of
from llmops_sdk.providers.cassettes._codec import decode_chunk, decode_response, encode
from llmops_sdk.testing import ScriptedProvider, use_provider


def joined(*chunks: Chunk) -> Response:
    whole = Accumulator()
    for chunk in chunks:
        whole.add(chunk)
    return whole.response()


def test_a_stream_has_the_deployment_of_its_last_start():
    assert joined(Chunk(text="a", deployment="east"), Chunk(text="b")).deployment == "east"
    assert joined(Chunk(text="a", deployment="east"), Chunk(text="b", restarted=True)).deployment is None
    assert joined(Chunk(text="a"), Chunk(finish_reason="stop", deployment="west")).deployment == "west"


def test_a_split_answer_keeps_its_deployment():
    response = Response(text="Good day", finish_reason="stop", deployment="east")
    assert joined(*chunks_of(response)).deployment == "east"


@pytest.mark.parametrize("error", [ServerError, StreamInterruptedError])
def test_an_error_keeps_its_deployment_through_a_process_pool(error: type[ServerError]):
    copy = pickle.loads(pickle.dumps(error("down", deployment="east")))
    assert (type(copy), copy.deployment) == (error, "east")


def test_recordings_do_not_name_a_deployment():
    assert "deployment" not in encode(Response(text="a", deployment="east"))
    assert decode_response({"text": "a", "deployment": "mine"}).deployment is None
    assert decode_chunk({"text": "a", "deployment": "mine"}).deployment is None


def test_an_answer_of_the_cache_names_no_deployment(own_surroundings: Path):
    llmops.configure(cache={"exact": True, "path": str(own_surroundings / "cache.db")})
    with use_provider(ScriptedProvider([Response(text="a", finish_reason="stop", deployment="east")])):
        served = [llmops.chat("Hi", model="offline/echo") for _ in range(2)]
    assert [(one.cache, one.deployment) for one in served] == [(None, "east"), ("exact", None)]
    assert llmops.query("SELECT cache, deployment FROM llm_calls ORDER BY start_time").rows() == [
        (None, "east"),
        ("exact", None),
    ]


def test_a_stream_that_another_call_reads_along_names_no_deployment():
    assert [as_served(chunk).deployment for chunk in (
        Chunk(text="a", deployment="east"), Chunk(finish_reason="stop", usage=Usage(), cost=1.0, deployment="east"),
    )] == [None, None]  # fmt: skip


def test_a_stream_records_the_deployment_that_served():
    chunks = [Chunk(text="a"), Chunk(finish_reason="stop", deployment="east")]
    with use_provider(ScriptedProvider([chunks])):
        stream = llmops.stream("Hi", model="offline/echo")
        assert "".join(chunk.text for chunk in stream) == "a"
    assert stream.response.deployment == "east"
    assert llmops.query("SELECT deployment FROM llm_calls").rows() == [("east",)]
