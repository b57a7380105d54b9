"""Take a conversation apart: what user and assistant state and ask, sentence by sentence."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from llmops_sdk.caching.semantic.lexical._analyse import NO_WORDS, Analysed, Term, analyse
from llmops_sdk.caching.semantic.lexical._marks import Mark
from llmops_sdk.caching.semantic.lexical._stems import key_of
from llmops_sdk.caching.semantic.lexical._values import DATE_WORDS
from llmops_sdk.caching.semantic.lexical._words import words
from llmops_sdk.caching.semantic.lexical.conversations._senses import sense_of
from llmops_sdk.caching.semantic.lexical.conversations._small_talk import (
    ASIDES,
    EXCLAIMED,
    GENERIC,
    GREETINGS,
    NO,
    SMALL_TALK,
    YES,
)

__all__ = ["History", "Reply", "Statement", "Told", "history_of"]

_SENTENCE = re.compile(r"(?<=[.?!])\s++|\n++|\s-\s|;\s|[()]")
_COUNTED = frozenset({"content", "value", "affix"})
_PARTICLES = words("off out up down before after without under over inside outside from")
_RELATIONS = words("before after without under over inside outside")
# "I am", "it is", "we have a": what follows says what somebody or something is or has.
_SUBJECTS = words("i we it that this")
_BEING = words("am is are was were")
_HAVING = words("have had got")
_OWNED = words("a an the no got my our two three four five")
_BETWEEN = words("a an the no got my our just really very so quite also currently still not on in at only already")
_STATED = 2  # words of content that follow
# A question for yes or no has one of them after its verb: "have you", not "have a".
_ASKED = words("i we you he she it they there that this these the my your his her our their")
_CORRECTING = words("actually instead rather wait correction meant scratch scrap forget ignore nevermind changed")
_BEGINNING = 2  # messages in which people greet
_KIND = words("worries worry problem problems rush bother")
_LEAST = 4  # words of a sentence that tell its language


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of a message.

    Attributes:
        place: Its number in the conversation.
        turn: The number of its message.
        plain: All its words, without those with which a kind sentence begins.
        sense: The words in order that say who does what, how and when: see `_senses`.
        keys: The words and values of content in order, without small talk.
        content: Those of them that may hold a detail.
        facts: The values, dates, names and unknown words among them.
        hard: The values, dates and names among them.
        values: The values and dates among them.
        named: The names among them that are no abbreviations.
        states: The words that say what the speaker, or what was spoken of, is or has.
        negative: Whether it denies.
        asks: Whether it asks.
        agrees: Whether it begins with "yes".
        chooses: Whether it has an "or".
        corrects: Whether it takes something back.
        digresses: Whether the speaker says that it is beside the matter.
        aside: Whether it is beside the matter: the speaker says so, laughs, or exclaims something not about himself.
    """

    place: int
    turn: int
    plain: str
    sense: tuple[str, ...]
    keys: tuple[str, ...]
    content: frozenset[str]
    facts: frozenset[str]
    hard: frozenset[str]
    values: frozenset[str]
    named: frozenset[str]
    states: frozenset[str]
    negative: bool
    asks: bool
    agrees: bool
    chooses: bool
    corrects: bool
    digresses: bool
    aside: bool

    @property
    def content_keys(self) -> list[str]:
        """Return the keys that may hold a detail, in order."""
        return [key for key in self.keys if key in self.content]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the user replied to a question of the assistant.

    Attributes:
        turn: The number of the message.
        question: The words of the question that may hold a detail.
        content: The words of the reply, up to its first comma, that may hold a detail.
        sense: What the reply says: see `_senses`.
        negative: Whether the reply denies.
    """

    turn: int
    question: frozenset[str]
    content: frozenset[str]
    sense: tuple[str, ...]
    negative: bool


@dataclass(frozen=True, slots=True)
class History:
    """What was said before the last message.

    Attributes:
        user: What the user said.
        assistant: What the assistant said.
        replies: What the user replied to questions of the assistant.
        confirmed: What the assistant asked and the user confirmed.
        turns: How many messages there are.
        opening: The first message of the user that says anything.
        marks: Signs, code and paths that the user wrote.
        english: Whether the rules of English apply.
    """

    user: tuple[Statement, ...]
    assistant: tuple[Statement, ...]
    replies: tuple[Reply, ...]
    confirmed: frozenset[str]
    turns: int
    opening: int
    marks: frozenset[Mark]
    english: bool


class Told:
    """What was said, by who said it: made for a comparison, as it is large.

    Attributes:
        user: What the user said or confirmed.
        stated: What the user said, and the assistant stated.
        all: All that was said.
        messages: What may hold a detail, of each message.
    """

    def __init__(self, history: History) -> None:
        self.user = history.confirmed.union(*_words(history.user))
        self.stated = self.user.union(*_words(one for one in history.assistant if not one.asks))
        self.all = self.stated.union(*_words(history.assistant))
        self.messages: list[set[str]] = [set() for _ in range(history.turns)]
        for one in (*history.user, *history.assistant):
            self.messages[one.turn] |= one.content


def _words(said: Iterable[Statement]) -> Iterator[Iterable[str]]:
    for one in said:
        yield one.keys
        yield one.content


def history_of(messages: Sequence[tuple[str, str]], *, vocabulary: Container[str]) -> History:
    """Return what was said.

    Args:
        messages: The role, "user" or "assistant", and the text of each message.
        vocabulary: Words that are spelled right; see `analyse`.
    """
    said: dict[str, list[Statement]] = {"user": [], "assistant": []}
    replies: list[Reply] = []
    confirmed: set[str] = set()
    marks: set[Mark] = set()
    languages: list[bool] = []
    asked: Statement | None = None
    place = 0
    for turn, (role, text) in enumerate(messages):
        read = [(part, analyse(part, vocabulary=vocabulary)) for part in _sentences(text)]
        found = [_statement(part, one, place + at, turn) for at, (part, one) in enumerate(read)]
        place += len(found)
        said[role] += found
        languages += [one.english for _, one in read if len(one.plain.split()) >= _LEAST]
        if role == "assistant":
            asked = next((one for one in reversed(found) if (one.asks or one.chooses) and one.sense), None)
            continue
        marks |= {mark for _, one in read for mark in (*one.marks.decisive, *one.marks.written) if len(mark.text) > 1}
        if asked is not None and found:
            reply = _reply(text, asked, turn, vocabulary)
            replies.append(reply)
            if found[0].agrees and not asked.chooses:
                confirmed |= asked.content
        asked = None
    return History(
        tuple(said["user"]),
        tuple(said["assistant"]),
        tuple(replies),
        frozenset(confirmed),
        len(messages),
        next((one.turn for one in said["user"] if one.content), 0),
        frozenset(marks),
        2 * sum(languages) >= len(languages),
    )


def _sentences(text: str) -> list[str]:
    """Return the sentences of a text; one that ends in an aside in the parts between its commas."""
    parts: list[str] = []
    for sentence in _SENTENCE.split(text):
        clauses = sentence.split(", ")
        ends = len(clauses) > 1 and not _is_aside(clauses[0]) and any(map(_is_aside, clauses[1:]))
        parts += clauses if ends else [sentence]
    return [part for part in parts if part.strip()]


def _is_aside(clause: str) -> bool:
    said = clause.lower().replace(",", " ").rstrip(" .!?").split()
    return not EXCLAIMED.isdisjoint(said) or any(f" {one} " in f" {' '.join(said)} " for one in ASIDES)


def _reply(text: str, asked: Statement, turn: int, vocabulary: Container[str]) -> Reply:
    """Return what a user replied. The assistant needs it, or it would not have asked; what follows may be talk."""
    first = _sentences(text)[0].split(", ")[0]
    reply = _statement(first, analyse(first, vocabulary=vocabulary), 0, turn)
    question = asked.content or frozenset(asked.sense)
    if reply.asks:
        return Reply(turn, question, NO_WORDS, (), reply.negative)
    return Reply(turn, question, reply.content, reply.sense, reply.negative)


def _statement(text: str, read: Analysed, place: int, turn: int) -> Statement:
    counted = [
        term
        for term in read.terms
        if term.role == "value"
        or ((term.role in _COUNTED or term.surface in _PARTICLES) and term.surface not in SMALL_TALK)
    ]
    if turn < _BEGINNING and all(term.surface in GREETINGS for term in counted):
        counted = []
    keys = tuple(term.key.rstrip("$") for term in counted)
    content = _content(keys)
    facts = [term for term in counted if _is_fact(term)]
    plain = read.plain.split()
    states = _states(plain)
    digresses = any(f" {one} " in f" {read.plain} " for one in ASIDES)
    laughs = not EXCLAIMED.isdisjoint(plain) or (text.rstrip().endswith("!") and _SUBJECTS.isdisjoint(plain))
    return Statement(
        place=place,
        turn=turn,
        plain=_plain(plain),
        sense=sense_of(read.terms),
        keys=keys,
        content=_set(content),
        facts=_set(term.key for term in facts),
        hard=_set(term.key for term in facts if term.known or term.named or term.role == "value"),
        values=_set(term.key for term in facts if _is_value(term)),
        named=_set(term.key for term in facts if term.named and not term.acronym),
        states=_set(key for key in content if not states.isdisjoint(key.split())),
        negative=(read.negations % 2 == 1 or (bool(plain) and plain[0] in NO)) and not _is_kind(plain),
        asks=text.rstrip().endswith("?") or _asks(read, plain),
        agrees=bool(plain) and plain[0] in YES,
        chooses="or" in plain,
        corrects=not _CORRECTING.isdisjoint(plain),
        digresses=digresses,
        aside=digresses or laughs,
    )


def _is_kind(plain: list[str]) -> bool:
    """Return whether a denial denies nothing: "no worries"."""
    return len(plain) > 1 and plain[0] in NO and plain[1] in _KIND and len(plain) == 2


def _plain(words: list[str]) -> str:
    """Return a sentence without the small talk with which it begins."""
    start = next((at for at, word in enumerate(words) if word not in SMALL_TALK), len(words))
    return " ".join(words[start:])


def _content(keys: tuple[str, ...]) -> list[str]:
    """Return the words that may hold a detail; "under" and its like with the word that follows: "under warranty"."""
    return [
        f"{key} {after}" if key in _RELATIONS and after else key
        for key, after in zip(keys, (*keys[1:], ""), strict=False)
        if key not in GENERIC
    ]


def _set(keys: Iterable[str]) -> frozenset[str]:
    """Return a set; most are empty, and an empty one of its own would take 200 bytes."""
    return frozenset(keys) or NO_WORDS


def _is_value(term: Term) -> bool:
    # "Sat", "may" and "mar" are words, too.
    return term.role == "value" or (term.surface.rstrip("s") in DATE_WORDS and len(term.surface) > 3)


def _is_fact(term: Term) -> bool:
    if _is_value(term):
        return True
    return term.role == "content" and term.key not in GENERIC and (term.named or term.acronym or not term.known)


def _states(plain: list[str]) -> frozenset[str]:
    found: set[str] = set()
    for at, (subject, verb) in enumerate(pairwise(plain)):
        rest = plain[at + 2 :]
        has = verb in _HAVING and not _OWNED.isdisjoint(rest[:1])
        if subject in _SUBJECTS and (verb in _BEING or has):
            start = next((place for place, word in enumerate(rest) if word not in _BETWEEN), len(rest))
            found |= {key_of(word) for word in rest[start : start + _STATED]}
    return frozenset(found)


def _asks(read: Analysed, plain: list[str]) -> bool:
    """Return whether a sentence without a question mark begins like a question."""
    first = next((term.key for term in read.terms[:2] if term.role == "frame"), "<want>")
    exclaims = plain[:2] == ["what", "a"]
    return first != "<want>" and not exclaims and (first != "<yesno>" or not _ASKED.isdisjoint(plain[1:2]))
