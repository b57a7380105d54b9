"""Map every exception of litellm, and every HTTP status, to an error of ours."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import httpx
import pytest

from llmops_sdk import errors
from llmops_sdk.providers import Request
from llmops_sdk.providers.litellm._errors import map_error
from llmops_sdk.providers.litellm._library import library

pytestmark = pytest.mark.slow  # importing litellm takes seconds

REQUEST = Request(model="openai/gpt-4.1-mini", messages=[])
RETRYABLE = (errors.RateLimitError, errors.ServerError, errors.ProviderConnectionError, errors.ProviderTimeoutError)


def exported() -> dict[str, type[Exception]]:
    """Return every exception class of litellm that a call may raise."""
    lib = library()
    from litellm import exceptions

    found = {name: kind for module in (lib.litellm, exceptions) for name, kind in vars(module).items()}
    return {
        n: k for n, k in found.items() if inspect.isclass(k) and issubclass(k, Exception) and "litellm" in k.__module__
    }


def made(kind: type[Exception]) -> Exception:
    """Return an instance, with a value for each required argument."""
    if "__init__" not in vars(kind):
        return kind("text")
    response = httpx.Response(400, request=httpx.Request("POST", "http://127.0.0.1"))
    known: dict[str, Any] = {"response": response, "status_code": 500, "request": response.request, "body": None}
    arguments = {
        name: known.get(name, "text")
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    }
    return kind(**arguments)


def test_every_litellm_exception_maps_to_a_picklable_error():
    classes = exported()
    assert len(classes) > 20
    expected = {
        "AuthenticationError": errors.AuthenticationError,
        "APIConnectionError": errors.ProviderConnectionError,
        "BadGatewayError": errors.ServerError,
        "BadRequestError": errors.BadRequestError,
        "BudgetExceededError": errors.BudgetExceededError,
        "ContentPolicyViolationError": errors.ContentFilterError,
        "ContextWindowExceededError": errors.ContextWindowError,
        "InternalServerError": errors.ServerError,
        "MidStreamFallbackError": errors.ServerError,
        "NotFoundError": errors.NotFoundError,
        "PermissionDeniedError": errors.PermissionDeniedError,
        "RateLimitError": errors.RateLimitError,
        "ServiceUnavailableError": errors.ServerError,
        "Timeout": errors.ProviderTimeoutError,
        "UnprocessableEntityError": errors.BadRequestError,
        "UnsupportedParamsError": errors.BadRequestError,
    }
    assert expected.keys() <= classes.keys()
    for name, kind in classes.items():
        try:
            error = made(kind)
        except (TypeError, AttributeError):  # raised by the proxy, not by calls: it needs the proxy's objects
            assert name not in expected
            continue
        mapped = map_error(error, REQUEST)
        assert isinstance(mapped, errors.ProviderError | errors.BudgetExceededError), name
        assert type(mapped) is expected.get(name, type(mapped)), name
        assert type(pickle.loads(pickle.dumps(mapped))) is type(mapped)


@pytest.mark.parametrize("status", range(400, 600))
def test_every_error_status_maps_to_a_specific_class(status):
    error = library().litellm.APIError(status_code=status, message="no", llm_provider="openai", model="m")
    mapped = map_error(error, REQUEST)
    assert isinstance(mapped, errors.ProviderError)
    assert type(mapped) is not errors.ProviderError
    assert mapped.status_code == status
    assert isinstance(mapped, RETRYABLE) == (status in {408, 429} or status >= 500)


def test_program_bug_is_not_retryable():
    lib = library()

    def provider_with_a_bug() -> None:
        raise ValueError("a bug in a custom provider")

    wrapped = lib.litellm.APIConnectionError(message="a bug", llm_provider="custom", model="m")
    try:
        try:
            provider_with_a_bug()
        except ValueError as error:
            raise wrapped from error
    except lib.raised as error:
        mapped = map_error(error, REQUEST)
    assert not isinstance(mapped, RETRYABLE)
