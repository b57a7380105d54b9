"""Find the places of a text from which a page or a chat window would load or link, in Markdown, HTML and CSS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Place", "Scan", "scan"]

# The tokens of Markdown that matter; a run of brackets is one token, so that a million of them is cheap.
# Each token begins with one of few characters, which the engine finds much faster than a choice of tokens.
_BRACKETS = re.compile(r"[\\!\[\]\n](?:(?<=\\)[\\\[\]!]|(?<=!)\[++|(?<=\[)\[*+|(?<=\])\]*+[(\[:]?|(?<=\n)[ \t\r]*\n)")
# A destination: in angle brackets, or up to a space with balanced parentheses.
_DESTINATION = re.compile(r"\s*+(?:<([^<>\n]*+)>?|((?:[^\s()<>]|\([^\s()]*+\))*+))")
_URL_LIKE = re.compile(
    r"\s*+<?\s*+(?:[A-Za-z\u200b-\u200d\u2060\ufeff][A-Za-z0-9+.\-\u00ad\u200b-\u200d\u2060\ufeff]{1,40}+:|[\\/]\s*[\\/])"
)
# What may become a URL, at the end of an unfinished text.
_URL_BEGUN = re.compile(
    r"\s*+<?\s*+(?:[A-Za-z\u200b-\u200d\u2060\ufeff][A-Za-z0-9+.\-\u00ad\u200b-\u200d\u2060\ufeff]{0,40}+|[\\/]\s*+)?\Z"
)
_AFTER = re.compile(r"\s*+(?:\"[^\"\n]*+\"|'[^'\n]*+'|\([^()\n]*+\))?\s*+\)")
_AFTER_BEGUN = re.compile(r"\s*+(?:\"[^\"\n]*+\"?|'[^'\n]*+'?|\([^()\n]*+\)?)?\s*+\Z")
_LABEL = re.compile(r"[^\[\]]{0,999}+\]")

_TAG = re.compile(r"<[A-Za-z/!?](?:\"[^\"]*+\"|'[^']*+'|[^>\"'])*+")
_ATTRIBUTE = re.compile(
    r"(?i)(?<![\w-])(on[a-z]{3,20}|srcset|imagesrcset|src|xlink:href|href|background|poster|data|lowsrc|dynsrc|manifest"
    r"|codebase|code|archive|url|formaction|action|ping|cite)\s*+=\s*+(\"[^\"]*+\"?|'[^']*+'?|[^\s>\"'][^\s>]*+)|<([a-z]+)"
)
_CLICKED = frozenset({"formaction", "action", "ping", "cite"})
_SCRIPT = re.compile(r"(?i)<script(?![\w-])")
_END_OF_SCRIPT = re.compile(r"(?i)</script\s*+>?")
_CSS = re.compile(
    r"(?i)(?<![\w.])(?:url\(\s*+(\"[^\"\n]*+|'[^'\n]*+|[^\s)]*+)[^)\n]{0,99}+\)?|@import\s++(\"[^\"\n]*+\"?|'[^'\n]*+'?))"
)
_ABSOLUTE = re.compile(r"[:wWmM](?:(?<=:)[\\/]{2}|(?<=[wW])(?i:ww)\.|(?<=[mM])(?i:ailto):)")
_SLASHES = re.compile(r":[\\/]{2}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}\Z")
_URL_END = re.compile(r"[^\s<>\"`]*+")
# The beginning of a program in a URL, which needs no page to load from; of a data URI, its type and subtype.
_CODE = re.compile(r"(?i)(?:javascript|vbscript|livescript):(?=\S)|data:([\w.+-]*+)(?=[/;,])(?:/([\w.+-]++)(?=[;,]))?")
_TYPES, _SUBTYPES = ("html", "xml", "svg", "script", "css", "multipart"), ("html", "xml", "svg", "script", "css")
_CODE_END = re.compile(r"[^\s<>\"]*+")
_OPEN_END = re.compile(r"(?:\]\s*+[(:]|@import|(?i:(?<![\w.])url\())\s*\Z")


# Letters that match ASCII letters where case does not count.
_SAME_LETTERS = (("\u0131", "i"), ("\u0130", "i"), ("\u017f", "s"))

_LONGEST = 4096


class Place(NamedTuple):
    """A place that leads somewhere.

    Attributes:
        kind: IMAGE, SCRIPT or DATA_URI for what loads or runs by itself; LINK for what a person must click.
        start: Where the construct or the URL starts.
        end: Where it ends.
        url: The URL, or "" for what runs without one.
        is_odd: Whether programs may disagree about where the URL ends.
    """

    kind: str
    start: int
    end: int
    url: str
    is_odd: bool = False


class Scan:
    """What a text has.

    Attributes:
        places: The places, in no order.
        spans: Constructs that must not be cut, whatever they lead to.
        hold: The start of what the rest of an unfinished text may complete, or the length of the text.
    """

    def __init__(self, text: str) -> None:
        self.places: list[Place] = []
        self.spans: list[tuple[int, int]] = []
        self.hold = len(text)

    def open_at(self, place: int) -> None:
        self.hold = min(self.hold, place)


def scan(text: str, *, is_finished: bool = False) -> Scan:
    """Return what a text has, in linear time.

    Args:
        text: The text.
        is_finished: Whether nothing follows it, so that only its places count.
    """
    found = Scan(text)
    # Without a destination or a definition, brackets lead nowhere.
    if "](" in text or "]:" in text or (not is_finished and ("[" in text or "]" in text)):
        _scan_markdown(text, found)
    if "<" in text:
        _scan_scripts(text, found)
        _scan_tags(text, found)
    folded = _lower(text)
    for match in _CSS.finditer(text) if "url(" in folded or "@import" in folded else ():
        found.spans.append(match.span())
        if match.end() == len(text) and not text.endswith(")"):
            found.open_at(match.start())
        found.places.append(Place("IMAGE", *match.span(), (match[1] or match[2] or "").strip("\"'")))
    if "data:" in folded or "script:" in folded:
        found.places += [Place(kind, start, end, "") for kind, start, end in _programs(text)]
    found.places += _bare(text, _ABSOLUTE if "www." in folded or "mailto:" in folded else _SLASHES)
    if open_end := _OPEN_END.search(text, max(0, len(text.rstrip()) - 9)):
        found.open_at(open_end.start())
    return found


def _lower(text: str) -> str:
    for letter, same in () if text.isascii() else _SAME_LETTERS:
        text = text.replace(letter, same)
    return text.lower()


def _scan_markdown(text: str, found: Scan) -> None:
    # Each open run of brackets: where it starts, how many are left, and whether "!" stands before it.
    stack: list[tuple[int, int, bool]] = []
    images: dict[str, int] = {}
    definitions: list[tuple[str, Place]] = []
    done = 0
    for match in _BRACKETS.finditer(text):
        start, token = match.start(), match[0]
        if start < done or token[0] == "\\":
            continue
        if token[0] == "\n":
            stack.clear()
        elif token[-1] == "[" and token[0] != "]":
            is_image = token[0] == "!"
            stack.append((start, len(token) - is_image, is_image))
        else:
            last = token[-1]
            opener, is_image = _pop(stack, len(token) - (last != "]"), start)
            found.spans.append((opener, match.end()))
            if last in "(:" and _URL_LIKE.match(text, match.end()):
                place = _destination(text, opener if is_image and last == "(" else match.end(), match.end(), is_image)
                done = match.end() + 1 if place.is_odd else place.end
                found.spans.append((opener, place.end))
                if last == ":":
                    definitions.append((_label(text[opener:start]), place))
                elif is_image:
                    found.places.append(place)
                else:
                    found.places.append(place._replace(kind="LINK"))
                if place.is_odd and _AFTER_BEGUN.match(text, place.end):
                    found.open_at(opener)
            elif last in "(:" and _URL_BEGUN.match(text, match.end()):
                found.open_at(opener)
            elif is_image and last != "(":
                label = _LABEL.match(text, match.end()) if last == "[" else None
                name = _label(label[0][:-1]) if label and len(label[0]) > 1 else _label(text[opener:start])
                images.setdefault(name, opener)
    for opener, _, _ in stack[:1]:
        found.open_at(opener)
    for start in images.values():
        found.open_at(start)
    for name, place in definitions:
        found.open_at(place.start)
        found.places.append(place if name in images else place._replace(kind="LINK"))


def _pop(stack: list[tuple[int, int, bool]], count: int, start: int) -> tuple[int, bool]:
    """Close brackets, and return where the last closed one opens and whether it is an image's."""
    opener, is_image = start, False
    while count and stack:
        opener, left, has_mark = stack.pop()
        closed = min(left, count)
        count -= closed
        is_image = has_mark and closed == left
        if closed < left:
            stack.append((opener, left - closed, has_mark))
            opener += left - closed + has_mark
    return opener, is_image


def _label(text: str) -> str:
    return " ".join(text.strip("![]").split()).casefold()[:999]


def _destination(text: str, start: int, begin: int, is_image: bool) -> Place:
    match = _DESTINATION.match(text, begin)
    assert match is not None
    url = match[1] if match[1] is not None else match[2]
    after = _AFTER.match(text, match.end())
    is_odd = after is None or "](" in url
    if not is_image or after is None:
        return Place("IMAGE", min(start, begin), match.end(), url, is_odd)
    return Place("IMAGE", start, after.end(), url, is_odd)


def _scan_scripts(text: str, found: Scan) -> None:
    done = 0
    for match in _SCRIPT.finditer(text):
        if match.start() < done:
            continue
        end = _END_OF_SCRIPT.search(text, match.end())
        done = end.end() if end else len(text)
        if end is None or not end[0].endswith(">"):
            found.open_at(match.start())
        found.spans.append((match.start(), done))
        found.places.append(Place("SCRIPT", match.start(), done, ""))


def _scan_tags(text: str, found: Scan) -> None:
    for match in _TAG.finditer(text):
        start, end = match.span()
        if text[end : end + 1] != ">":
            # It is not closed, or has a quote that is not: read on to the next ">".
            found.open_at(start)
            closing = text.find(">", end)
            end = closing if closing >= 0 else len(text)
        found.spans.append((start, end + 1))
        tag = ""
        for one in _ATTRIBUTE.finditer(text, start, end):
            if one[3]:
                tag = one[3].lower()
                continue
            name, value = one[1].lower(), one[2].strip("\"'")
            if name.startswith("on"):
                found.places.append(Place("SCRIPT", *one.span(), ""))
                continue
            is_clicked = name in _CLICKED or (name.endswith("href") and tag in {"a", "area"})
            kind = "LINK" if is_clicked else "SCRIPT" if tag in {"script", "iframe", "embed", "object"} else "IMAGE"
            for url in value.replace(",", " ").split() if name.endswith("srcset") else (value,):
                found.places.append(Place(kind, *one.span(2), url))
            # Browsers leave out tabs and line breaks inside a URL, also in the scheme.
            joined = "".join(value.split())
            if joined != value and (code := next(_programs(joined), None)):
                found.places.append(Place(code[0], *one.span(2), ""))


def _programs(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the kind and the place of each program in a URL."""
    place = 0
    while match := _CODE.search(text, place):
        place = match.end()
        is_data = match[1] is not None
        if not is_data or _has_word(match[1], _TYPES) or _has_word(match[2] or "", _SUBTYPES):
            end = _CODE_END.match(text, place)
            place = end.end() if end else place
            yield "DATA_URI" if is_data else "SCRIPT", match.start(), place


def _has_word(text: str, words: tuple[str, ...]) -> bool:
    lowered = _lower(text)
    return any(word in lowered for word in words)


def _bare(text: str, begins: re.Pattern[str]) -> Iterator[Place]:
    end = inner = 0
    for match in begins.finditer(text):
        start = match.start()
        if match[0][0] == ":":
            scheme = _SCHEME.search(text[max(0, start - 31) : start])
            if scheme is None:
                continue
            start -= len(scheme[0])
        if start < end:
            # A URL inside of one is read too, but not so many that the time is not linear.
            inner += 1
            if inner > 4:
                continue
        else:
            inner = 0
        last = end if start < end else _end_of_url(text, start)
        end = max(end, last)
        prefix = "https://" if match[0][0] in "wW" else ""
        yield Place("LINK", start, last, prefix + text[start:last][:_LONGEST], is_odd=inner >= 4)


def _end_of_url(text: str, start: int) -> int:
    match = _URL_END.match(text, start)
    assert match is not None
    end = match.end()
    surplus = text.count(")", start, end) - text.count("(", start, end)
    while end > start and (text[end - 1] in ".,;:!?*_'" or (text[end - 1] == ")" and surplus > 0)):
        surplus -= text[end - 1] == ")"
        end -= 1
    return end
