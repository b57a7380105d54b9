"""Compare what was said before: whether everything that may matter in one history is said in the other one too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from llmops_sdk.caching.semantic.lexical._antonyms import are_opposites
from llmops_sdk.caching.semantic.lexical.conversations._contrasts import (
    advises_otherwise,
    has_other_end,
    has_other_opening,
    has_other_order,
    other_replies,
    picks_of,
    swapped_words,
)
from llmops_sdk.caching.semantic.lexical.conversations._senses import Slot, slots_of
from llmops_sdk.caching.semantic.lexical.conversations._statements import History, Statement, Told
from llmops_sdk.caching.semantic.lexical.conversations._topics import (
    SideTopics,
    are_greetings,
    is_anchored,
    side_topics,
)

__all__ = ["Agreement", "agree"]

# So many words of content may be said in one history alone, and in both together. What is told anew has other words;
# what is told in many other words is another story.
_MOST_ONE = 6
_MOST_BOTH = 4
_PICKED = 2  # words with which an assistant picks something
_NONE: frozenset[str] = frozenset()


class Agreement(NamedTuple):
    """How two histories stand to each other.

    Attributes:
        decision: "same", "different" or "unsure".
        mine: What only the first one says, of the kind that decided.
        theirs: What only the second one says.
    """

    decision: Literal["same", "different", "unsure"]
    mine: frozenset[str] = _NONE
    theirs: frozenset[str] = _NONE


@dataclass(frozen=True, slots=True)
class _Left:
    """What one history says and the other one does not.

    Attributes:
        unsaid: Values, dates, names and unknown words that the user says and the other user does not.
        facts: Values, dates and names that nobody says in the other history.
        states: What the user says that he, or the thing, is or has, what he replied when he was asked, and what
            he picked of what was offered.
        words: Words of content that nobody says in the other history.
        slots: The places of these words.
        alone: Whether the user states something in these words only.
        told: Values and dates that the assistant states.
        side: The side topics.
        core: All that the user says but for side topics.
    """

    unsaid: frozenset[str]
    facts: frozenset[str]
    states: frozenset[str]
    words: frozenset[str]
    slots: frozenset[Slot]
    alone: bool
    told: frozenset[str]
    side: SideTopics
    core: list[Statement]


def _is_within(shorter: History, longer: History) -> bool:
    """Return whether one user says all words of content of the other one, in the same order.

    Two users who want opposite things often say the same words: what they tell in other words may be the difference.
    """
    rest = iter([key for said in longer.user for key in said.content_keys])
    return all(key in rest for said in shorter.user for key in said.content_keys)


def agree(asked: History, stored: History, question: frozenset[str], *, refers: bool) -> Agreement:
    """Compare two histories: may what was said in one stand for what was said in the other?

    Two users who tell the same in their own words agree in all facts. Two users with different matters differ in a
    fact, in a word that stands in the place of another one, or in what they say to be or to have. All of these are
    looked for in both directions; what is said of side topics is not.

    Args:
        asked: What was said before one question.
        stored: What was said before the other one.
        question: The words of the question that may hold a detail.
        refers: Whether the last message has a word such as "it" that stands for what was said.
    """
    said, heard = Told(asked), Told(stored)
    mine, theirs = _left(asked, heard, question), _left(stored, said, question)
    if mine.unsaid and theirs.unsaid:
        both = bool(mine.facts and theirs.facts)
        return Agreement("different" if both else "unsure", mine.unsaid, theirs.unsaid)
    for one, other in ((mine.facts, theirs.facts), (mine.states, theirs.states)):
        if one or other:
            return Agreement("unsure", one, other)
    if not (asked.english and stored.english) or asked.marks != stored.marks:
        return Agreement("unsure")
    if (contrast := _contrast(asked, stored, mine, theirs)) is not None:
        return contrast
    if not _is_wording((mine, said), (theirs, heard)):
        return Agreement("unsure", mine.words, theirs.words)
    if mine.told and theirs.told:
        return Agreement("unsure", mine.told, theirs.told)
    if refers and has_other_end(_serious(asked, mine), _serious(stored, theirs)):
        return Agreement("unsure")
    if refers and all(left.side.turns - left.side.asides for left in (mine, theirs)):
        return Agreement("unsure")  # "it" may be what only one of them asked about
    if are_greetings(asked, stored):
        return Agreement("same")
    if not (_is_within(asked, stored) or _is_within(stored, asked)):
        return Agreement("unsure", mine.words, theirs.words)
    anchored = is_anchored(asked, heard, question, mine.side, refers=refers) and is_anchored(
        stored, said, question, theirs.side, refers=refers
    )
    return Agreement("same" if anchored else "unsure")


def _contrast(asked: History, stored: History, mine: _Left, theirs: _Left) -> Agreement | None:
    """Return that two histories put something in each other's place, or None."""
    if has_other_opening(asked, stored) or has_other_order(mine.core, theirs.core):
        return Agreement("unsure")
    if (swapped := swapped_words(asked, stored)) is not None:
        return Agreement("unsure", *swapped)
    if (replies := other_replies(asked, stored)) is not None:
        return Agreement("unsure", replies, replies)
    for role in ("user", "assistant"):
        picks = _picks(role, (asked, mine), (stored, theirs)), _picks(role, (stored, theirs), (asked, mine))
        if all(picks):
            return Agreement("unsure", *picks)
    otherwise = advises_otherwise(_serious(asked, mine), _serious(stored, theirs))
    return Agreement("unsure") if otherwise or _deny_otherwise(mine.core, theirs.core) else None


def _left(one: History, other: Told, question: frozenset[str]) -> _Left:
    side = side_topics(one, other, question)
    told = other.stated | question
    core = [said for said in one.user if said.place not in side.places]
    # A joke may name what it likes; but not where the other user jokes about another name.
    serious = [said for said in core if not said.aside]
    states = {key for said in core for key in said.states} | {
        key for reply in one.replies if reply.turn not in side.turns for key in reply.content
    }
    offered = {key for said in one.assistant if said.asks or said.chooses for key in said.content}
    # What is picked of several offers is said in both histories, by the assistants.
    picked = {key for said in core if not said.asks and said.content <= offered - other.user for key in said.content}
    values = {value for said in one.assistant if said.place not in side.places for value in said.values}
    return _Left(
        frozenset(key for said in core for key in said.facts) - other.user - question,
        frozenset(key for said in serious for key in said.hard) - told,
        frozenset(states - told | picked),
        frozenset(key for said in serious for key in said.content) - told,
        frozenset(slot for said in one.user for slot in slots_of(said.content_keys, said.content - told)),
        any(said.content and said.content.isdisjoint(told) for said in serious if not said.asks)
        or any(len(said.content) == 1 and said.content.isdisjoint(told) for said in one.user),
        frozenset(values) - other.all,
        side,
        core,
    )


def _deny_otherwise(asked: list[Statement], stored: list[Statement]) -> bool:
    """Return whether one of two users denies with words that hold nothing else: "I don't think I do"."""
    denied = [
        sum(said.negative and not said.content and "i" in said.plain.split() for said in one) for one in (asked, stored)
    ]
    return denied[0] != denied[1]


def _picks(
    role: Literal["user", "assistant"], one: tuple[History, _Left], other: tuple[History, _Left]
) -> frozenset[str]:
    """Return what the user, or the assistant in answer to him, picks in one history only."""
    if role == "user":
        return picks_of(one[1].core, (*one[0].user, *one[0].assistant), other[1].core)
    said = [said for said in _serious(*one) if len(said.content) <= _PICKED]
    return picks_of(said, one[0].user, _serious(*other))


def _serious(one: History, left: _Left) -> list[Statement]:
    return [said for said in one.assistant if said.place not in left.side.places and said.turn not in left.side.turns]


def _is_wording(one: tuple[_Left, Told], other: tuple[_Left, Told]) -> bool:
    """Return whether the words that only one of two users says may be his way to tell the same.

    They are not if they are many, opposites, stand in one place, or are all that is stated. A word that the assistant
    takes up, or that is said again, is what a conversation is about.
    """
    mine, theirs = one[0], other[0]
    if are_opposites(mine.words, theirs.words) or mine.slots & theirs.slots or (mine.alone and theirs.alone):
        return False
    both = bool(mine.words and theirs.words)
    if len(mine.words) + len(theirs.words) > (_MOST_BOTH if both else _MOST_ONE):
        return False
    return not both or not any(
        sum(key in message for message in told.messages) > 1 for left, told in (one, other) for key in left.words
    )
