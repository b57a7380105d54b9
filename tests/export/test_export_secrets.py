"""Headers and keys of a backend stand in no log and no error; an error says host, port and reason once."""

from __future__ import annotations

import logging
import socket

import pytest
import requests
from otlp_samples import sample_span

import llmops_sdk as llmops
from llmops_sdk.export._batch import LastResponse
from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._outcome import DeliveryStatus
from llmops_sdk.export._reasons import Mask, short_reason
from llmops_sdk.export._span_sink import OtlpSink

KEY = "planted-" + "7c1d" * 4
VALUES = [f"Bearer {KEY}\n", f"Bearer {KEY}\r\nx: y", f" {KEY}", f"{KEY}\0", f"{KEY} ", f"{KEY}中"]


@pytest.mark.parametrize(
    "value", [f"Bearer {KEY}\n", f"Bearer {KEY}\r\nx: y", f" {KEY}", f"{KEY}\0", f"{KEY} ", f"{KEY}中"]
)
@pytest.mark.parametrize(
    "export",
    [
        lambda value: {"headers": {"authorization": value}},
        lambda value: {"metrics": {"headers": {"authorization": value}}},
        lambda value: {"destinations": {"b": {"endpoint": "http://127.0.0.1:1", "headers": {"authorization": value}}}},
    ],
)
def test_an_invalid_header_is_a_config_error_without_its_value(value: str, export: object) -> None:
    with pytest.raises(llmops.ConfigError, match="authorization") as raised:
        llmops.configure(export=export(value))  # type: ignore[operator]  # pyright: ignore[reportCallIssue]
    assert KEY not in str(raised.value) + repr(raised.value)


def test_an_invalid_name_of_a_header_is_a_config_error() -> None:
    with pytest.raises(llmops.ConfigError, match="headers"):
        llmops.configure(export={"headers": {"x team": "a"}})


def test_what_the_library_raises_is_masked_and_not_retried(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        headers = {"authorization": f"Bearer {KEY}\n"}
        sink = OtlpSink(Destination(endpoint="http://127.0.0.1:1/v1/traces", headers=headers))
        sink.write([sample_span()])
        assert not sink.flush(30.0)
        assert (sink.dropped, sink.pending) == (1, 0)
        sink.close(1.0)
    assert "authorization" in caplog.text or "header" in caplog.text
    assert KEY not in caplog.text


def test_a_refused_connection_is_told_once_with_host_port_and_reason() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        destination = Destination(endpoint=f"http://127.0.0.1:{port}/v1/traces?key={KEY}", headers={"x-key": KEY})
        response = LastResponse(destination)
        with pytest.raises(requests.ConnectionError) as raised:
            requests.get(destination.endpoint, timeout=5)
    record = logging.LogRecord("x", logging.WARNING, "", 0, "%s, retrying in %.2fs.", (raised.value, 1.0), None)
    response.see_log(record)
    assert response.reason == f"127.0.0.1:{port}: Connection refused"
    assert response.outcome(succeeded=False, unconverted=0).status is not DeliveryStatus.REFUSED


def test_every_form_of_a_secret_is_masked() -> None:
    mask = Mask(Destination(endpoint=f"https://me:{KEY}@a.example/", headers={"authorization": f"Bearer x{KEY}"}))
    for text in (f"b'x{KEY}'", f"https://me:{KEY}@a.example/", f"Bearer x{KEY}", repr(f"Bearer x{KEY}")):
        assert KEY not in mask(text)
    assert mask("Bearer is no secret") == "Bearer is no secret"


def test_other_errors_are_one_line() -> None:
    assert short_reason("a\n b https://x/?key=1") == "a b https://x/"
    text = "HTTPSConnectionPool(host='h', port=443): Read timed out. (read timeout=1)"
    assert short_reason(text) == "h:443: Read timed out. (read timeout=1)"
