"""One clock controls every stage around a model: with a `ManualClock` no test waits, and every limit is reached."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.providers import Request, Response
from llmops_sdk.testing import ManualClock, ScriptedProvider, use_clock, use_provider

PACKAGE = Path(llmops.__file__).parent
# Exceptions: `asyncio.timeout` and time-outs of futures, which bound real work (of providers, the disk, other callers),
# and `time.perf_counter`, which measures durations for spans.
FORBIDDEN = {"time.time", "time.monotonic", "time.sleep", "asyncio.sleep", "asyncio.wait_for"}


def slow(clock: ManualClock, seconds: float, answer: str | type[Exception]):
    """Return a script's entry whose answer takes `seconds` on the clock."""

    def entry(_: Request) -> str | type[Exception]:
        clock.advance(seconds)
        return answer

    return entry


def test_a_stored_answer_expires_with_its_ttl():
    with use_clock(ManualClock()) as clock, use_provider(ScriptedProvider(["one", "two"])):

        def ask() -> Response:
            return llmops.chat("Hi", cache={"ttl": 60})

        assert [ask().text, ask().text] == ["one", "one"]
        clock.advance(59)
        assert ask().cache == "exact"
        found = "SELECT max(CAST(attributes->>'$.age_s' AS DOUBLE)) FROM events WHERE name = 'llmops.cache.lookup'"
        assert llmops.query(found).scalar() == 59.0
        clock.advance(2)
        assert (ask().text, ask().text) == ("two", "two")


def test_a_retry_waits_on_the_clock():
    script = ScriptedProvider([llmops.RateLimitError("busy", retry_after=30.0), "fine"])
    with use_clock(ManualClock()) as clock, use_provider(script):
        assert llmops.chat("Hi").text == "fine"
    assert clock.waits == [30.0]


def test_no_fallback_is_asked_after_the_deadline():
    llmops.configure(model="one/a", fallbacks=["two/b"], retry={"attempts": 1})
    with use_clock(ManualClock()) as clock:
        down, second = ScriptedProvider([slow(clock, 11, llmops.ServerError)]), ScriptedProvider(["fine"])
        with (
            use_provider(down, model="one/*"),
            use_provider(second, model="two/*"),
            pytest.raises(llmops.ServerError),
        ):
            llmops.chat("Hi", timeout=10)
    assert second.requests == ()


def test_a_fallback_gets_the_time_that_is_left():
    llmops.configure(model="one/a", fallbacks=["two/b"], retry={"attempts": 1})
    with use_clock(ManualClock()) as clock:
        down, second = ScriptedProvider([slow(clock, 4, llmops.ServerError)]), ScriptedProvider(["fine"])
        with use_provider(down, model="one/*"), use_provider(second, model="two/*"):
            assert llmops.chat("Hi", timeout=10).text == "fine"
    assert second.requests[0].timeout.total == 6.0


@pytest.mark.parametrize("way", ["chat", "achat"])
async def test_asking_again_stops_at_the_deadline(way: str):
    with use_clock(ManualClock()) as clock:
        script = ScriptedProvider([slow(clock, 4, "no number"), slow(clock, 7, "still none"), "3"])

        async def ask() -> Response:
            if way == "chat":
                return llmops.chat("Hi", response_model=int, timeout=10)
            return await llmops.achat("Hi", response_model=int, timeout=10)

        with use_provider(script), pytest.raises(llmops.ProviderTimeoutError, match="set a longer `timeout`"):
            await ask()
    assert [request.timeout.total for request in script.requests] == [10.0, 6.0]


def _calls(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    names = {f"{node.value.id}.{node.attr}" for node in ast.walk(tree) if _is_attribute_of_a_name(node)}
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return names | {f"{node.module}.{alias.name}" for node in imports for alias in node.names}


def _is_attribute_of_a_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)


@pytest.mark.parametrize("package", ["client", "resilience", "caching", "guardrails"])
def test_stages_read_the_time_and_wait_only_through_the_clock(package: str):
    found = {str(path): _calls(path) & FORBIDDEN for path in (PACKAGE / package).rglob("*.py")}
    assert found
    assert {path: names for path, names in found.items() if names} == {}
