"""Tell which values of a tool call come from untrusted content, in time linear in the conversation and the call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TypeAlias

from llmops_sdk.guardrails._texts import take_text
from llmops_sdk.guardrails.normalise import views
from llmops_sdk.guardrails.taint._arguments import Leaf
from llmops_sdk.guardrails.taint._identifiers import (
    addresses_in,
    bare_hosts_in,
    codes_in,
    hosts_in,
    is_file_name,
    names_in,
    plain_host,
    words_of,
)

__all__ = ["Conversation", "tainted_leaves"]

_Gram: TypeAlias = tuple[str, ...]

_SIZE = 4
"""The number of words that are compared at once."""
_RUN = 5
"""How many such windows in a row make a part of a long value tainted: eight words."""
_SHARE = 1 / 3
"""The share of tainted windows that makes a long value tainted."""
_SHORTEST = 2
_FEWEST_DIGITS = 3
_SHORTEST_JOINED, _LONGEST_JOINED = 6, 64
_MOST_CODES = 64


@dataclass(slots=True)
class Conversation:
    """The texts of a conversation by origin.

    Attributes:
        trusted: What the user, the developer and trusted tools wrote.
        untrusted: What other tools returned, what was spotlighted, and what the model wrote after it saw such texts.
    """

    trusted: list[str] = field(default_factory=list[str])
    untrusted: list[str] = field(default_factory=list[str])

    @property
    def size(self) -> int:
        """Return the number of characters."""
        return sum(map(len, self.trusted)) + sum(map(len, self.untrusted))


@dataclass(slots=True)
class _Value:
    """What to look for in the conversation, for one value of the call.

    Attributes:
        places: Addresses and hosts, which must occur in trusted content.
        hosts: Hosts without a scheme, with their words; they may be names of files.
        codes: Account numbers and the like, without separators.
        joined: Short values without separators, as in "adalovelace".
        numbers: The ways to write a number.
        texts: The windows of words of each way to read the value.
    """

    places: set[str] = field(default_factory=set[str])
    hosts: dict[str, list[_Gram]] = field(default_factory=dict[str, "list[_Gram]"])
    codes: set[str] = field(default_factory=set[str])
    joined: set[str] = field(default_factory=set[str])
    numbers: set[_Gram] = field(default_factory=set[_Gram])
    texts: list[list[_Gram]] = field(default_factory=list["list[_Gram]"])

    def grams(self) -> Iterable[_Gram]:
        """Yield every window of words to look for."""
        yield from self.numbers
        for grams in (*self.texts, *self.hosts.values()):
            yield from grams


@dataclass(slots=True)
class _Seen:
    """What of the call's values occurs in texts of one origin."""

    grams: set[_Gram] = field(default_factory=set[_Gram])
    codes: set[str] = field(default_factory=set[str])
    joined: set[str] = field(default_factory=set[str])
    names: set[str] = field(default_factory=set[str])


def tainted_leaves(leaves: Sequence[Leaf], conversation: Conversation) -> list[Leaf]:
    """Return the values that come from untrusted content.

    An e-mail address or the host of a URL is tainted unless trusted content has it, since a model can decode what hides
    it. Other values are tainted if untrusted content has their words and trusted content has not: a short value as a
    whole, a long one in part.

    Args:
        leaves: The values to judge.
        conversation: The texts that the model saw.
    """
    if not conversation.untrusted:
        return []
    values = [_value_of(leaf) for leaf in leaves]
    wanted = _by_length(gram for value in values for gram in value.grams())
    codes = {code for value in values for code in value.codes}
    joined = {text for value in values for text in value.joined}
    if len(codes) > _MOST_CODES:
        return list(leaves)  # each of them is one pass over the conversation
    untrusted = _look(conversation.untrusted, wanted, codes, joined, is_trusted=False)
    trusted = _look(conversation.trusted, wanted, codes, joined, is_trusted=True)
    return [leaf for leaf, value in zip(leaves, values, strict=True) if _is_tainted(value, untrusted, trusted)]


def _value_of(leaf: Leaf) -> _Value:
    value = _Value()
    if not isinstance(leaf.value, str) or (leaf.value.isascii() and leaf.value.strip().isdecimal()):
        _add_number(leaf, value)
        return value
    for text in take_text(leaf.value):
        for view in views(text):
            _add_text(view.text, value)
    return value


def _add_number(leaf: Leaf, value: _Value) -> None:
    written = leaf.written.strip()
    forms = {written, str(leaf.value).strip()}
    if isinstance(leaf.value, float):
        forms |= {f"{leaf.value:.2f}", f"{leaf.value:.0f}"} if leaf.value.is_integer() else {f"{leaf.value:.2f}"}
    digits = [form for form in forms if form.lstrip("-").isdecimal()]
    if sum(map(str.isdigit, written)) < _FEWEST_DIGITS:
        return
    forms |= {_grouped(form.lstrip("-")) for form in digits}
    value.numbers |= {gram for form in forms if (gram := tuple(words_of(form))) and len(gram) <= _SIZE}
    value.codes |= {form.lstrip("-") for form in digits if len(form) >= 2 * _SIZE}


def _grouped(digits: str) -> str:
    """Return digits in groups of three: 1234567 as 1 234 567."""
    first = len(digits) % 3
    return " ".join(filter(None, [digits[:first], *(digits[at : at + 3] for at in range(first, len(digits), 3))]))


def _add_text(text: str, value: _Value) -> None:
    words = words_of(text)
    joined = "".join(words)
    if len(joined) >= _SHORTEST:
        value.texts.append(_windows(words))
    if len(words) <= _SIZE and _SHORTEST_JOINED <= len(joined) <= _LONGEST_JOINED:
        value.joined.add(joined)
    value.codes.update(codes_in(words))
    value.places.update(address for address, _, _ in addresses_in(text))
    if not is_file_name(text):
        value.places.update(plain_host(host.name) for host, _, _ in hosts_in(text) if host.name)
    for host in bare_hosts_in(text):
        value.hosts.setdefault(plain_host(host), _windows(words_of(host)))


def _windows(words: list[str]) -> list[_Gram]:
    if len(words) <= _SIZE:
        return [tuple(words)]
    return list(_windows_of(words, _SIZE))


def _windows_of(words: list[str], size: int) -> Iterator[_Gram]:
    return zip(*(words[start:] for start in range(size)), strict=False)


def _by_length(grams: Iterable[_Gram]) -> dict[int, set[_Gram]]:
    found: dict[int, set[_Gram]] = {}
    for gram in grams:
        found.setdefault(len(gram), set()).add(gram)
    return found


def _look(
    texts: Iterable[str], wanted: dict[int, set[_Gram]], codes: set[str], joined: set[str], *, is_trusted: bool
) -> _Seen:
    """Return what texts have of the call's values.

    The values are the table and the texts pass over it, so the memory depends on the call alone.
    """
    seen = _Seen()
    for text in texts:
        for view in views(text):
            words = words_of(view.text)
            for size, grams in wanted.items():
                seen.grams |= grams.intersection(_windows_of(words, size))
            for size in range(1, _SIZE + 1) if joined else ():
                seen.joined |= joined.intersection(map("".join, _windows_of(words, size)))
            seen.codes |= _codes_among(codes - seen.codes, words, is_whole=is_trusted)
            if is_trusted and not view.is_guess:
                seen.names |= names_in(view.text)
    return seen


def _codes_among(codes: set[str], words: list[str], *, is_whole: bool) -> set[str]:
    """Return the codes that the words spell when joined.

    Args:
        codes: The codes.
        words: The words of a text.
        is_whole: Whether a code must begin with a word and end with one: a part of the user's number is another number.
    """
    row = "".join(words) if codes else ""
    if not is_whole:
        return {code for code in codes if code in row}
    found: set[str] = set()
    ends: set[int] = set()
    for code in codes:
        at = row.find(code)
        while at >= 0 and code not in found:
            ends = ends or {0, *accumulate(map(len, words))}
            if at in ends and at + len(code) in ends:
                found.add(code)
            at = row.find(code, at + 1)
    return found


def _is_tainted(value: _Value, untrusted: _Seen, trusted: _Seen) -> bool:
    if value.places - trusted.names:
        return True
    if value.codes & (untrusted.codes - trusted.codes) or value.joined & (untrusted.joined - trusted.joined):
        return True
    if value.numbers & untrusted.grams and not value.numbers & trusted.grams:
        return True
    for host, grams in value.hosts.items():
        if host not in trusted.names and untrusted.grams.issuperset(grams):
            return True
    return any(_has_part(grams, untrusted, trusted) for grams in value.texts)


def _has_part(grams: list[_Gram], untrusted: _Seen, trusted: _Seen) -> bool:
    """Return whether enough of a text is tainted: eight words in a row, or a third of it."""
    count = run = 0
    for gram in grams:
        run = run + 1 if gram in untrusted.grams and gram not in trusted.grams else 0
        count += run > 0
        if run >= _RUN:
            return True
    return count >= max(1, _SHARE * len(grams))
