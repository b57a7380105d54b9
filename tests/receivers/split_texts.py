"""Check that a detector finds the same in a text and in its parts, cut where it says that a text is settled."""

from __future__ import annotations

from typing import Any

from llmops_sdk.guardrails import GuardContext

__all__ = ["assert_parts_are_the_whole", "places"]

_CONTEXT = GuardContext(rail="output")


def places(detector: Any, text: str, offset: int = 0) -> list[tuple[str, int, int, float | None]]:
    found = detector.detect(text, _CONTEXT).findings
    return [(one.kind, one.start + offset, one.end + offset, one.score) for one in found]


def assert_parts_are_the_whole(detector: Any, text: str, splits: Any) -> None:
    """Check the promise of `settled` at each split, and for a stream that is released in these steps."""
    whole = places(detector, text)
    done = 0
    streamed: list[Any] = []
    for split in splits:
        cut = detector.settled(text[:split])
        assert 0 <= cut <= split
        assert places(detector, text[:cut]) + places(detector, text[cut:], cut) == whole, (split, cut)
        if split > done:
            step = detector.settled(text[done:split])
            streamed += places(detector, text[done : done + step], done)
            done += step
    assert streamed + places(detector, text[done:], done) == whole
