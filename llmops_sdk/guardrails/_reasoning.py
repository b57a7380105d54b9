"""The vendor's blocks of reasoning, which repeat the reasoning of an answer, mostly under a signature.

A signature is valid for the whole text of its block only. The blocks of an answer are therefore not redacted: all of
them go when a guard changes the reasoning or a text of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmops_sdk.guardrails._texts import block_texts, take_text
from llmops_sdk.providers import Chunk, Response
from llmops_sdk.providers._types import REASONING_BLOCKS

__all__ = ["has_blocks", "take_blocks", "without_blocks"]


def has_blocks(answer: Response | Chunk) -> bool:
    """Return whether an answer or chunk has blocks of reasoning."""
    return any(getattr(answer, name) for name in REASONING_BLOCKS)


def without_blocks() -> dict[str, Any]:
    """Return the fields of an answer or chunk without blocks, for `dataclasses.replace`."""
    return dict.fromkeys(REASONING_BLOCKS, ())


def take_blocks(answer: Response | Chunk) -> Iterator[str]:
    """Yield the texts of blocks that are not part of the reasoning, which the guards check anyway.

    Args:
        answer: The answer, or a chunk of one.
    """
    for name in REASONING_BLOCKS:
        # The blocks follow the reasoning's order, so that one pass over it finds them all.
        place = 0
        for text in block_texts(getattr(answer, name)):
            if place >= 0:
                found = answer.reasoning.find(text, place)
                place = found + len(text) if found >= 0 else -1
            if place < 0:
                yield from take_text(text)
