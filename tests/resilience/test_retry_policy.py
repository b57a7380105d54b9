"""Which errors are retried, and after how long."""

from __future__ import annotations

import email.utils
import inspect
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk import errors
from llmops_sdk.config import RetrySettings
from llmops_sdk.providers import Response
from llmops_sdk.resilience._error_classes import is_transient, retryable, should_fall_back_any, status_code
from llmops_sdk.resilience._retry_waits import backoff, next_wait, retry_after

NOW = 1_800_000_000.0
PASSING = {"RateLimitError", "ServerError", "ProviderConnectionError", "ProviderTimeoutError"}


def lowest(low, _high):
    return low


def highest(_low, high):
    return high


@pytest.mark.parametrize("kind", [getattr(errors, name) for name in errors.__all__], ids=errors.__all__)
def test_every_error_of_the_tree_is_classified(kind):
    parameters = inspect.signature(kind).parameters.values()
    required = {one.name: "x" for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty}
    streams = {"StreamInterruptedError", "IncompleteResponseError"}
    error = kind("x", **required)
    assert retryable(error) is (kind.__name__ in PASSING | streams)
    assert is_transient(error) is (kind.__name__ in PASSING | streams)


def test_a_broken_stream_is_retried_only_before_its_first_piece():
    assert retryable(errors.StreamInterruptedError("cut", partial=Response()))
    assert not retryable(errors.StreamInterruptedError("cut", partial=Response(text="Once")))
    assert not retryable(errors.IncompleteResponseError("cut", partial=Response(reasoning="Hm")))


@pytest.mark.parametrize("error", [ValueError("bug"), TypeError("bug"), OSError("disk full"), KeyboardInterrupt()])
def test_a_bug_is_not_retried(error):
    assert not retryable(error)
    assert not is_transient(error)


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError()])
def test_plain_connection_errors_are_transient_only_for_the_decorator(error):
    assert is_transient(error)
    assert not retryable(error)


@pytest.mark.parametrize(
    ("status", "again"),
    [(400, False), (401, False), (402, False), (403, False), (404, False), (408, True), (409, False), (422, False)]
    + [(429, True), (500, True), (502, True), (503, True), (529, True), (200, False)],
)
def test_a_vendors_error_is_classified_by_its_status(status, again):
    class VendorError(Exception):
        pass

    by_attribute, by_response = VendorError(), VendorError()
    by_attribute.status_code = status
    by_response.response = SimpleNamespace(status_code=status)
    for error in (by_attribute, by_response):
        assert status_code(error) == status
        assert is_transient(error) is again


@pytest.mark.parametrize(
    ("body", "again"),
    [
        ({"message": "overloaded", "type": "server_error", "code": 500}, True),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, True),
        ({"type": "error", "error": {"type": "rate_limit_error"}}, True),
        ({"type": "error", "error": {"type": "invalid_request_error"}}, False),
        ({"type": "error", "error": "api_error"}, False),
        ({"type": ["server_error"]}, False),
        ({}, False),
        ("server_error", False),
        (None, False),
    ],
)
@pytest.mark.parametrize("status", [None, 200])
def test_an_error_event_in_a_vendors_stream_is_classified_by_its_type(body, again, status):
    error = Exception("overloaded")
    error.body = body
    if status is not None:  # Anthropic's client gives it the status of the stream's headers
        error.status_code = status
    assert is_transient(error) is again
    assert should_fall_back_any(error) is again


def test_an_http_status_outranks_the_error_body():
    error = Exception("bad")
    error.status_code, error.body = 400, {"type": "server_error"}
    assert not is_transient(error)


def headers(**named: str) -> Exception:
    error = Exception("busy")
    error.response = SimpleNamespace(headers={name.replace("_", "-"): value for name, value in named.items()})
    return error


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (headers(Retry_After="2"), 2.0),
        (headers(retry_after="1.5"), 1.5),
        (headers(Retry_After="3600"), 3600.0),
        (headers(Retry_After=email.utils.formatdate(NOW + 30, usegmt=True)), 30.0),
        (headers(Retry_After=email.utils.formatdate(NOW + 30)), 30.0),
        (headers(Retry_After=email.utils.formatdate(NOW - 30, usegmt=True)), 0.0),
        (headers(retry_after_ms="250"), 0.25),
        (headers(retry_after_ms="250", Retry_After="9"), 0.25),
        (headers(retry_after_ms="soon", Retry_After="9"), 9.0),
        (headers(Retry_After="soon"), None),
        (headers(Retry_After="-1"), None),
        (headers(Retry_After="nan"), None),
        (headers(Retry_After="inf"), None),
        (headers(Retry_After=""), None),
        (headers(Retry_After="Wed, 21 Oct 2015 07:28:00 +99999999999999"), None),
        (headers(Retry_After="Wed, 21 Oct 9999 07:28:00 -9900"), None),
        (headers(), None),
        (errors.RateLimitError("x", retry_after=7.0), 7.0),
        (errors.RateLimitError("x", retry_after=-7.0), 0.0),
        (errors.RateLimitError("x", retry_after=float("nan")), None),
        (errors.RateLimitError("x"), None),
        (ValueError(), None),
    ],
)
def test_retry_after_is_read_from_every_form(error, seconds):
    assert retry_after(error, NOW) == seconds


@given(st.integers(1, 5000), st.floats(0.001, 100), st.floats(0.001, 1000), st.floats(0, 1))
def test_backoff_draws_full_jitter_below_the_cap(failures, base, cap, chance):
    policy = RetrySettings(base=base, max_wait=cap)
    wait = backoff(failures, policy, lambda low, high: low + (high - low) * chance)
    assert 0 <= wait <= cap
    assert wait <= base * 2.0 ** min(failures - 1, 500) * 1.000001
    assert backoff(failures, policy, lowest) == 0


def test_the_upper_bound_of_the_wait_doubles():
    policy = RetrySettings(base=0.5, max_wait=3.0)
    assert [backoff(n, policy, highest) for n in (1, 2, 3, 4, 5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize(
    ("attempts", "times", "wait"),
    [
        (2, {}, 0.5),
        (1, {}, None),
        (2, {"asked": 2.0}, 2.0),
        (2, {"asked": 0.0}, 0.5),
        (2, {"asked": 60.0}, 60.0),
        (2, {"asked": 60.1}, None),
        (2, {"asked": 3600.0}, None),
        (2, {"asked": 2.0, "total": 2.0}, None),
        (2, {"asked": 2.0, "total": 2.1}, 2.0),
        (2, {"asked": 2.0, "total": 5.1, "elapsed": 3.0}, 2.0),
        (2, {"total": 0.4}, None),
        (2, {"total": 1.0, "elapsed": 2.0}, None),
    ],
)
def test_a_wait_keeps_every_bound(attempts, times, wait):
    assert next_wait(1, RetrySettings(attempts=attempts), highest, **times) == wait
