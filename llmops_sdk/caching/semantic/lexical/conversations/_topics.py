"""Tell the topics of a history apart: what the last question refers to, and what was asked beside it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from llmops_sdk.caching.semantic.lexical.conversations._statements import History, Statement, Told

__all__ = ["SideTopics", "are_greetings", "is_anchored", "known_share", "side_topics"]

_HALF = 0.5
_FEW = 2  # words of a beginning that says what it is about in a verb and a thing


@dataclass(frozen=True, slots=True)
class SideTopics:
    """What a history says beside the matter.

    Attributes:
        places: The places of the statements.
        turns: The messages that end with them, and the replies.
        asides: Those of them that the user, or what follows on it, calls beside the matter.
    """

    places: frozenset[int]
    turns: frozenset[int]
    asides: frozenset[int]


def known_share(said: Statement, other: Told) -> float:
    """Return the share of the words of a statement that the other history has."""
    return len(said.content & other.stated) / len(said.content)


def side_topics(one: History, other: Told, question: frozenset[str]) -> SideTopics:
    """Return what only one history talks about and the question does not.

    A side topic begins where the user asks for something strange to the other history and to the question, or says
    that it is beside the matter. The reply, and remarks on it, belong to it. To ask for something says nothing about
    the matter itself: that is why a side topic may be left out, and a statement may not. What the conversation begins
    with is what it is about, never a side topic.

    Args:
        one: The history whose side topics are wanted.
        other: What the other one says.
        question: The words of the question that may hold a detail.
    """
    by_turn: defaultdict[int, list[Statement]] = defaultdict(list)
    for said in (*one.user, *one.assistant):
        if said.content:
            by_turn[said.turn].append(said)
    places: set[int] = set()
    turns: set[int] = set()
    asides: set[int] = set()
    for turn in sorted({said.turn for said in one.user if said.content})[1:]:
        content, reply = by_turn[turn], by_turn.get(turn + 1, [])
        strange = [part for part in content if known_share(part, other) <= _HALF and not part.content & question]
        asks = any(part.asks or part.digresses for part in strange)
        follows = turn - 1 in turns
        if not strange or not (asks or follows):
            continue
        answer = [part for part in reply if known_share(part, other) <= _HALF]
        if asks and len(strange) == len(content) and len(answer) * 2 < len(reply):
            continue  # the other history has the answer: it was asked for in other words
        places |= {part.place for part in (*strange, *answer)}
        if content[-1] in strange:
            turns |= {turn, turn + 1}
            if any(part.aside for part in strange) or (follows and turn - 1 in asides):
                asides |= {turn, turn + 1}
    return SideTopics(frozenset(places), frozenset(turns), frozenset(asides))


def are_greetings(one: History, other: History) -> bool:
    """Return whether neither history says anything: the users greet, and the assistants name the same, if anything."""
    if any(said.content for said in (*one.user, *other.user)):
        return False
    names = [{key for said in talk.assistant for key in said.hard} for talk in (one, other)]
    return names[0] == names[1]


def is_anchored(one: History, other: Told, question: frozenset[str], side: SideTopics, *, refers: bool) -> bool:
    """Return whether the other history has what a question refers to.

    That is what the conversation began with, and what was said last. A question that names a topic of both histories
    refers to that topic instead, if it has no word such as "it".

    Args:
        one: A history.
        other: What the other one says.
        question: The words of the question that may hold a detail.
        side: The side topics of the first one.
        refers: Whether the question has a word such as "it".
    """
    core = [said for said in one.user if said.content and said.place not in side.places]
    if not core:
        return False
    opening = {key for said in core if said.turn == core[0].turn and not said.aside for key in said.content}
    strange = len(opening - other.stated - question)
    if strange > _HALF * len(opening) or (strange and len(opening) <= _FEW):
        return False
    topics = [key for key in question if key in other.all]
    if not refers and any(key in said.keys for key in topics for said in (*one.user, *one.assistant)):
        return True
    # What the user calls beside the matter is not what "it" stands for later. Any other side topic may be.
    last = max((said.turn for said in core if said.turn not in side.asides), default=0)
    later = [said for said in one.user if said.turn >= last and said.turn not in side.asides and said.content]
    if any(said.place in side.places and not said.aside for said in later) and (refers or later[-1].turn > last):
        return False
    content = {
        key
        for said in (*one.user, *one.assistant)
        if last <= said.turn <= last + 1 and said.place not in side.places
        for key in said.content
    }
    return len(content & other.all) >= _HALF * len(content)
