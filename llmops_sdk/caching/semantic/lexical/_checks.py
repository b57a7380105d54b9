"""The checks of a pair: what one text has and the other has not, and what that means for the answer."""

from __future__ import annotations

import itertools
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from llmops_sdk._util._public import public
from llmops_sdk.caching.semantic.lexical._analyse import Analysed, Term
from llmops_sdk.caching.semantic.lexical._antonyms import AFFIXES, are_opposites
from llmops_sdk.caching.semantic.lexical._degrees import opposed_degrees
from llmops_sdk.caching.semantic.lexical._frames import PRONOUNS
from llmops_sdk.caching.semantic.lexical._order import Order, order_of
from llmops_sdk.caching.semantic.lexical._stems import is_misspelling, stem
from llmops_sdk.caching.semantic.lexical._values import DATE_WORDS
from llmops_sdk.caching.semantic.lexical._words import pairs, words

__all__ = ["Difference", "Finding", "Reason", "find_difference"]

Reason = Literal[
    "equal", "wording", "number", "date", "time", "unit", "code", "negation", "affix", "antonym", "entity", "order",
    "role", "question", "tense", "modifier", "content", "paraphrase", "history", "language",
    "length",
]  # fmt: skip

_LONGEST_AFFIX = 7
_MOST_TERMS = 12  # more that are left over on one side are not explained one by one
_FLIPS = words("stop avoid prevent refuse fail except exclude former cease quit never")
# Ways of asking that have one answer, or none of their own: a request, a wish and a noun alone.
_CLOSE = pairs("""
    <how> <want>, <how> <can>, <can> <want>, <offer> <can>, <offer> <accept>, <accept> <can>, <when> <whatday>,
    <howlong> <howsoon>, <howlong> <when>, <when> <howsoon>, <plainhow> <how>, <howmuch> <what>, <who> <what>,
    <where> <what>, <when> <what>, <offer> <where>, <howmuch> <whatis>, <who> <whatis>, <where> <whatis>,
    <when> <whatis>, <what> <whatis>, <yesno> <can>, <yesno> <accept>
""")
_WEAK_FRAMES = frozenset({"<want>", "<whatis>"})
_ALIKE_FRAMES = frozenset({frozenset({"<yesno>", "<offer>"}), frozenset({"<what>", "<whatis>"})})
# A head that may be left out after one of these words: "insurance policy", "email address".
_HEADS = {
    "policy": {"insurance"}, "cover": {"insurance"}, "address": {"email"}, "account": {"savings", "current"},
}  # fmt: skip
_CLOSE_PREPOSITIONS = pairs("to into, on onto, till until, by via, on upon, near by, of for")
_ROLE_PAIRS = pairs("""
    from to, from into, before after, with without, in out, on off, up down, over under, inside outside,
    within after, above below, for against, into out, by for, from for, until after, until from, since until,
    before within
""")


_WAYS = words("frame value")
_DUTIES = words("should must ought shall")
# After these words it makes no difference whether one can, should or does: "who can I ask", "who should I ask".
_ASKED = words("<how> <who> <where> <what> <whatis> <howmuch> <howlong> <when>")


@public("llmops_sdk.caching.semantic.lexical")
class Finding(NamedTuple):
    """One difference between the texts.

    Attributes:
        reason: What differs.
        asked: What the asked text has, "" for nothing.
        stored: What the stored text has, "" for nothing.
    """

    reason: Reason
    asked: str
    stored: str


@dataclass(slots=True)
class Difference:
    """All that differs between two texts.

    Attributes:
        findings: Differences that change the answer.
        doubts: Differences that may change it.
        explained: How many words differ in writing only: misspellings, spellings, synonyms.
        asked_only: Words of content that only the asked text has, after what is explained.
        stored_only: Words of content that only the stored text has.
        shared: How many terms of content both have.
        shared_keys: The keys of all terms that both have.
        order: How the shared terms stand to each other.
        loose: How many small words stand on one side only.
    """

    findings: list[Finding] = field(default_factory=list[Finding])
    doubts: list[Finding] = field(default_factory=list[Finding])
    explained: int = 0
    asked_only: list[Term] = field(default_factory=list[Term])
    stored_only: list[Term] = field(default_factory=list[Term])
    shared: int = 0
    shared_keys: set[str] = field(default_factory=set[str])
    order: Order = "same"
    loose: int = 0


def find_difference(asked: Analysed, stored: Analysed, vocabulary: Container[str]) -> Difference:
    """Return what differs between two English texts that are analysed whole."""
    found = Difference()
    left, right = _unmatched(asked, stored, found)
    _check_values(_of(left, "value"), _of(right, "value"), found)
    if asked.negations % 2 != stored.negations % 2:
        found.findings.append(Finding("negation", _names(_of(left, "negation")), _names(_of(right, "negation"))))
    elif asked.negations != stored.negations:
        found.doubts.append(Finding("negation", _names(_of(left, "negation")), _names(_of(right, "negation"))))
    affixes = _of(left, "affix"), _of(right, "affix")
    if any(affixes):
        found.findings.append(Finding("affix", _names(affixes[0]), _names(affixes[1])))
    renamed = _check_words(_of(left, "content"), _of(right, "content"), found, vocabulary)
    _check_small_words(left, right, found)
    _check_frames(_of(left, "frame"), _of(right, "frame"), found)
    if asked.past != stored.past:
        found.doubts.append(Finding("tense", "past" if asked.past else "", "past" if stored.past else ""))
    if asked.degrees != stored.degrees:
        opposed = opposed_degrees(asked.degrees, stored.degrees, _ways(asked), _ways(stored))
        found.findings += [Finding("modifier", *opposed)] if opposed is not None else []
    found.order = order_of(asked.chunks, stored.chunks, renamed)
    if found.order == "differs":
        found.findings.append(Finding("order", _flat(asked), _flat(stored)))
    elif found.order == "crossed":
        found.doubts.append(Finding("order", _flat(asked), _flat(stored)))
    return found


def _ways(text: Analysed) -> frozenset[str]:
    """Return a text's ways of asking, with "<value>" if it has a number."""
    return frozenset("<value>" if term.role == "value" else term.key for term in text.terms if term.role in _WAYS)


def _flat(text: Analysed) -> str:
    return " ".join([key for chunk in text.chunks for key in chunk][:_MOST_TERMS])


def _names(terms: list[Term]) -> str:
    return " ".join(term.surface for term in terms[:_MOST_TERMS])


def _of(terms: list[Term], role: str) -> list[Term]:
    return [term for term in terms if term.role == role]


def _unmatched(asked: Analysed, stored: Analysed, found: Difference) -> tuple[list[Term], list[Term]]:
    """Return the terms of each text that the other one lacks, as often as it has it more often."""
    waiting: dict[str, list[Term]] = {}
    for term in stored.terms:
        waiting.setdefault(term.key, []).append(term)
    left: list[Term] = []
    for term in asked.terms:
        same = waiting.get(term.key)
        if same:
            other = same.pop()
            counts = term.role in {"content", "value"}
            found.shared += counts
            found.shared_keys.add(term.key)
            found.explained += counts and stem(term.surface) != stem(other.surface)
        else:
            left.append(term)
    return left, [term for same in waiting.values() for term in same]


def _check_values(left: list[Term], right: list[Term], found: Difference) -> None:
    for place in range(min(max(len(left), len(right)), _MOST_TERMS)):
        one = left[place] if place < len(left) else None
        other = right[place] if place < len(right) else None
        found.findings.append(
            Finding(_value_reason(one, other), one.surface if one else "", other.surface if other else "")
        )


def _value_reason(one: Term | None, other: Term | None) -> Reason:
    values = [term.value for term in (one, other) if term is not None and term.value is not None]
    kinds = {value.kind for value in values}
    if len(values) == 2 and len(kinds) == 1 and "clock" not in kinds and values[0].unit != values[1].unit:
        return "unit"
    for kind, reason in (("code", "code"), ("clock", "time"), ("year", "date")):
        if kind in kinds:
            return reason  # pyright: ignore[reportReturnType] - the pairs above are reasons
    return "number"


def _check_words(left: list[Term], right: list[Term], found: Difference, vocabulary: Container[str]) -> dict[str, str]:
    """Explain the words of content that only one text has; return the keys to read as others."""
    renamed: dict[str, str] = {}
    if len(left) <= _MOST_TERMS and len(right) <= _MOST_TERMS:
        for term in list(left):
            for other in right:
                if is_misspelling(term.surface, other.surface, vocabulary) and not _are_names(term, other):
                    renamed[other.key] = renamed[term.key] = min(term.key, other.key)
                    left.remove(term)
                    right.remove(other)
                    found.explained += 1
                    found.shared += 1
                    break
        for parts, wholes in ((left, right), (right, left)):
            _join_parts(parts, wholes, found)
        for term in left:
            for other in right:
                reason = _contrast(term, other)
                if reason is not None:
                    found.findings.append(Finding(reason, term.surface, other.surface))
    for side, (terms, others) in enumerate(((left, right), (right, left))):
        for term in terms:
            if stem(term.surface) in _FLIPS and not any(stem(one.surface) in _FLIPS for one in others):
                names = (term.surface, "") if side == 0 else ("", term.surface)
                found.findings.append(Finding("negation", *names))
    if not (left and right):
        kept = [term for term in left or right if not _is_implied(term, found)]
        found.loose += len(left or right) - len(kept)
        left, right = (kept, right) if left else (left, kept)
    found.asked_only, found.stored_only = left, right
    return renamed


def _are_names(one: Term, other: Term) -> bool:
    """Return whether two words are names that differ in letters, not only in their order or number: Kayla, Kaila."""
    first, second = one.surface, other.surface
    return one.named and other.named and len(first) == len(second) and sorted(first) != sorted(second)


def _join_parts(parts: list[Term], wholes: list[Term], found: Difference) -> None:
    """Take out words that one text writes in two parts: "data base" and "database"."""
    for first, second in itertools.pairwise(list(parts)):
        for whole in wholes:
            if whole.surface in {first.surface + second.surface, stem(first.surface + second.surface)}:
                parts.remove(first)
                parts.remove(second)
                wholes.remove(whole)
                found.explained += 1
                found.shared += 1
                return


def _is_implied(term: Term, found: Difference) -> bool:
    """Return whether a word that only one text has says nothing new: "policy" beside "insurance"."""
    anchors = _HEADS.get(term.key) or _HEADS.get(term.surface)
    if term.key == "price" and "<howmuch>" in found.shared_keys:
        return True
    return term.key == "need" or (anchors is not None and not anchors.isdisjoint(found.shared_keys))


def _contrast(one: Term, other: Term) -> Reason | None:
    """Return why two words exclude each other, or None."""
    if are_opposites(one.forms, other.forms):
        return "antonym"
    if any(_adds_affix(a, b) or _adds_affix(b, a) for a in one.forms for b in other.forms):
        return "affix"
    if {one.surface, one.surface[:-1]} & DATE_WORDS and {other.surface, other.surface[:-1]} & DATE_WORDS:
        return "date"
    return None


def _adds_affix(longer: str, shorter: str) -> bool:
    extra = len(longer) - len(shorter)
    if extra < 1 or extra > _LONGEST_AFFIX or len(shorter) < 4:
        return False
    if longer.endswith(shorter) and longer[:extra] in AFFIXES:
        return True
    return longer.startswith(shorter) and longer[-extra:] in {"less", "free"}


def _check_small_words(left: list[Term], right: list[Term], found: Difference) -> None:
    """Compare prepositions, pronouns and the words that join two things."""
    mine, theirs = _of(left, "preposition"), _of(right, "preposition")
    for term in mine:
        for other in theirs:
            pair = frozenset((term.surface, other.surface))
            if pair in _ROLE_PAIRS:
                found.findings.append(Finding("role", term.surface, other.surface))
    if mine or theirs:
        both = bool(mine) and bool(theirs)
        strong = {term.key for term in (*mine, *theirs)} - {"of", "for", "at", "in", "on", "to"}
        close = len(mine) == len(theirs) == 1 and frozenset(_names(mine + theirs).split()) in _CLOSE_PREPOSITIONS
        if (both or strong) and not close:
            found.doubts.append(Finding("role", _names(mine), _names(theirs)))
        found.loose += len(mine) + len(theirs)
    if _is_article(left, right) or _is_article(right, left):
        found.loose += 1
        left, right = ([term for term in terms if term.surface != "your"] for terms in (left, right))
    modals = [{term.surface for term in _of(terms, "auxiliary")} for terms in (left, right)]
    if _DUTIES & (modals[0] ^ modals[1]) and not _ASKED & found.shared_keys:
        found.doubts.append(Finding("question", " ".join(sorted(modals[0])), " ".join(sorted(modals[1]))))
    people = [{PRONOUNS[term.surface] for term in _of(terms, "pronoun")} for terms in (left, right)]
    if people[0] != people[1] and (people[0] | people[1]) - {"speaker"}:
        whom = _names(_of(left, "pronoun")), _names(_of(right, "pronoun"))
        (found.findings if all(people) else found.doubts).append(Finding("role", *whom))
    if any(term.surface in {"me", "us"} for term in (*left, *right)):
        found.doubts.append(Finding("role", _names(_of(left, "pronoun")), _names(_of(right, "pronoun"))))
    joiners = _of(left, "joiner"), _of(right, "joiner")
    if all(joiners):
        found.doubts.append(Finding("content", _names(joiners[0]), _names(joiners[1])))


def _is_article(terms: list[Term], others: list[Term]) -> bool:
    """Return whether one text has "your" where the other one has "the"."""
    return any(term.surface == "your" for term in terms) and any(term.surface == "the" for term in others)


def _check_frames(left: list[Term], right: list[Term], found: Difference) -> None:
    mine, theirs = {term.key for term in left}, {term.key for term in right}
    if not (mine or theirs):
        return
    finding = Finding("question", " ".join(sorted(mine)), " ".join(sorted(theirs)))
    if frozenset(mine | theirs) in _ALIKE_FRAMES:
        found.loose += 1
    elif mine and theirs:
        close = all(
            any(frozenset((one, other)) in _CLOSE for other in others)
            for ones, others in ((mine, theirs), (theirs, mine))
            for one in ones
        )
        (found.doubts if close else found.findings).append(finding)
    elif (mine | theirs) - _WEAK_FRAMES:
        found.doubts.append(finding)
    else:
        found.loose += 2
