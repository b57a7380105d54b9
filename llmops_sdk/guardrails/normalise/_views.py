r"""Read a text as its reader or a program would: without disguise, with a map back to the text as written.

`views` yields the text itself, then what is behind its disguises: the text in plain characters without escapes, the
text with tokens joined that spaces or line breaks tear apart, and what is encoded in base64. All of it takes linear
time and memory.
"""

from __future__ import annotations

from collections.abc import Iterator

from llmops_sdk.guardrails.normalise._base64_runs import BASE64_RUN, UNLIKELY_BASE64, text_of
from llmops_sdk.guardrails.normalise._plain import plain_view
from llmops_sdk.guardrails.normalise._torn import joined
from llmops_sdk.guardrails.normalise._view import View

__all__ = ["MAX_DEPTH", "Decoding", "views"]

MAX_DEPTH = 2
"""How often base64 may be nested."""
_MOST_DECODED = 1 << 19


class Decoding:
    """How much base64 of one text may still be decoded. A text that is full of it would take too long.

    Attributes:
        left: The number of characters, in all views of the text.
        is_cut: Whether it was too little.
    """

    __slots__ = ("is_cut", "left")

    def __init__(self) -> None:
        self.left = _MOST_DECODED
        self.is_cut = False


def views(text: str, decoding: Decoding | None = None) -> Iterator[View]:
    r"""Yield the text, and each further way to read it.

    Args:
        text: Any text.
        decoding: How much base64 may be decoded.

    Example:
        >>> [view.text for view in views("call ada\u200b@example.org")]
        ['call ada\u200b@example.org', 'call ada@example.org']
    """
    yield from _views(View(text), MAX_DEPTH, decoding or Decoding())


def _views(view: View, depth: int, decoding: Decoding) -> Iterator[View]:
    yield view
    plain = plain_view(view)
    if plain is not view:
        yield plain
    whole = joined(plain)
    if whole is not plain:
        whole = plain_view(whole)
        yield whole
    if depth:
        seen: set[tuple[int, int]] = set()
        for source in dict.fromkeys((view, plain, whole)):
            for decoded in _decoded(source, seen, decoding):
                yield from _views(decoded, depth - 1, decoding)


def _decoded(view: View, seen: set[tuple[int, int]], decoding: Decoding) -> Iterator[View]:
    """Yield the text in each run of base64; `seen` has the places of the runs that another view had."""
    texts: dict[str, str | None] = {}
    for match in BASE64_RUN.finditer(view.text):
        run = match[0]
        body = run.rstrip("=")
        if len(body) % 4 == 1 or UNLIKELY_BASE64.match(body):
            continue
        if decoding.left <= 0:
            decoding.is_cut = True
            return
        if run not in texts:
            texts[run] = text_of(body)
        text = texts[run]
        start, end = match.span()
        if text is None or (place := view.original(start, end)) in seen:
            continue
        seen.add(place)
        decoding.left -= len(run)
        decoded = View(text, view, is_decoded=True)
        decoded.add(0, start, end)
        decoded.is_base64 = text.isascii()
        yield decoded
