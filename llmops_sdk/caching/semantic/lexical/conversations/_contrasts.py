"""Find what two histories put in each other's place: another thing, the opposite, another order, another reply."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from llmops_sdk.caching.semantic.lexical._antonyms import are_opposites
from llmops_sdk.caching.semantic.lexical._words import words
from llmops_sdk.caching.semantic.lexical.conversations._senses import bare, is_same_sense, slots_of, turns, words_of
from llmops_sdk.caching.semantic.lexical.conversations._statements import History, Reply, Statement

__all__ = [
    "advises_otherwise",
    "has_other_end",
    "has_other_opening",
    "has_other_order",
    "other_replies",
    "picks_of",
    "swapped_words",
]

_ARTICLES = words("a an the my our your")
_HALF = 0.5
_ALIKE = 0.6
_CHANGING = words("no wait scratch scrap forget ignore nevermind changed meant correction")
_COMMON = 32  # statements with a word; such a word does not tell which statements belong together


def _matches(
    asked: Sequence[Statement], stored: Sequence[Statement], words: Callable[[Statement], AbstractSet[str]]
) -> Iterator[tuple[Statement, Statement]]:
    """Return each statement with the one of the other history that shares most words with it."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    sizes = [len(words(said)) for said in stored]
    for at, said in enumerate(stored):
        for key in words(said):
            places[key].append(at)
    for said in asked:
        shared: defaultdict[int, int] = defaultdict(int)
        for key in words(said):
            if len(found := places.get(key, ())) <= _COMMON:
                for at in found:
                    shared[at] += 1
        if shared:
            best = max(shared, key=lambda at: (shared[at], -sizes[at], -at))
            yield said, stored[best]


def swapped_words(asked: History, stored: History) -> tuple[frozenset[str], frozenset[str]] | None:
    """Return what differs between two statements of users that say another thing in nearly the same words, or None.

    Who words a statement anew hardly keeps all words but one. So a word in the place of another one is a detail, also
    where both words are said somewhere in both histories: "I am on Standard, my friend is on Premium".
    """
    for one, other, turned in ((asked, stored, False), (stored, asked, True)):
        for said, match in _matches(one.user, other.user, _content):
            if _says_another_thing(said, match):
                left, right = said.content - match.content, match.content - said.content
                return (right, left) if turned else (left, right)
    return None


def _says_another_thing(said: Statement, match: Statement) -> bool:
    spoken = [[word for word in one.plain.split() if word not in _ARTICLES] for one in (said, match)]
    if spoken[0] != spoken[1] and sorted(spoken[0]) == sorted(spoken[1]):
        return True  # nobody tells the same with the same words in another order
    shared = said.content & match.content
    left, right = said.content - shared, match.content - shared
    if len(shared) > 1 and are_opposites(left, right):
        return True
    if _puts_in_place(said, match):
        return True
    if len(shared) < _ALIKE * max(len(said.content), len(match.content)):
        return False
    if (
        said.negative != match.negative
        or _is_moved(said, match)
        or not is_same_sense(said.sense, match.sense, said.named | match.named)
    ):
        return True
    only = frozenset(said.keys).difference(match.keys), frozenset(match.keys).difference(said.keys)
    return are_opposites(*only) or not slots_of(said.content_keys, left).isdisjoint(slots_of(match.content_keys, right))


def _puts_in_place(said: Statement, match: Statement) -> bool:
    """Return whether a word stands in the place of another one, in sentences that have most words in common."""
    mine, theirs = words_of(said.sense), words_of(match.sense)
    shared = mine & theirs
    least = _HALF if turns(mine ^ theirs) else _ALIKE
    if len(shared) < max(2, least * max(len(mine), len(theirs))) or mine <= shared or theirs <= shared:
        return False
    places = [slots_of(bare(one.sense), frozenset(words - shared)) for one, words in ((said, mine), (match, theirs))]
    return not places[0].isdisjoint(places[1])


def advises_otherwise(asked: Sequence[Statement], stored: Sequence[Statement]) -> bool:
    """Return whether two assistants say the same but for a word that stands in the place of another one."""
    return any(
        said.plain != match.plain and _puts_in_place(said, match) for said, match in _matches(asked, stored, _sense)
    )


def _content(said: Statement) -> AbstractSet[str]:
    return said.content


def _sense(said: Statement) -> AbstractSet[str]:
    return words_of(said.sense)


def has_other_end(asked: Sequence[Statement], stored: Sequence[Statement]) -> bool:
    """Return whether two assistants ask or offer different things at the end, right before the last question."""
    ends = [[one for one in said if one.turn == said[-1].turn] for said in (asked, stored) if said]
    if len(ends) < 2:
        return bool(ends)
    plain = [{one.plain for one in said} for said in (stored, asked)]
    for end, heard in zip(ends, plain, strict=True):
        if any(one.plain not in heard for one in end if one.sense and (one.asks or one.chooses)):
            return True
    words = [frozenset[str]().union(*(one.content for one in said)) for said in (asked, stored)]
    news = [
        any(one.content - known for one in told) for told, known in zip((asked, stored), reversed(words), strict=True)
    ]
    return all(news)


def _is_moved(said: Statement, match: Statement) -> bool:
    """Return whether the same words in another order may say another thing: "cancel A, keep B", "from A to B"."""
    if said.keys == match.keys or sorted(said.keys) != sorted(match.keys):
        return False
    return "from" in said.keys or len(said.facts) > 1 or are_opposites(said.content, said.content)


def other_replies(asked: History, stored: History) -> frozenset[str] | None:
    """Return the words of a question of the assistant to which two users replied differently, or None.

    One says yes and the other one no, or they choose different things: both may be said in both histories.
    """
    for one in asked.replies:
        same: list[bool] = []
        for other in stored.replies:
            shared = len(one.question & other.question)
            sizes = sorted((len(one.question), len(other.question)))
            if one.negative != other.negative and shared >= _ALIKE * sizes[0]:
                return one.question
            if shared >= _ALIKE * sizes[1]:
                same.append(_is_same_reply(one, other))
        if same and not any(same):
            return one.question
    return None


def _is_same_reply(one: Reply, other: Reply) -> bool:
    if one.content and other.content:
        return one.content <= other.content or other.content <= one.content
    if one.sense and other.sense and set(one.sense).isdisjoint(other.sense):
        return False
    return not one.sense or not other.sense or is_same_sense(one.sense, other.sense)


def picks_of(said: Sequence[Statement], before: Sequence[Statement], other: Sequence[Statement]) -> frozenset[str]:
    """Return what somebody picks: words of earlier messages that he says more often than the other one does.

    "Repair it" after "repair or replace?" says nothing new, and differs from "replace it".

    Args:
        said: What he says, without side topics.
        before: All that is said in his conversation.
        other: What the other one says, without side topics.
    """
    first: dict[str, int] = {}
    for one in before:
        for key in words_of(one.sense):
            first[key] = min(first.get(key, one.turn), one.turn)
    times, others = (Counter(key for one in talk for key in words_of(one.sense)) for talk in (said, other))
    picks: set[str] = set()
    for one in said:
        sense = words_of(one.sense)
        again = {key for key in sense if first.get(key, one.turn) < one.turn}
        if not one.asks and not one.aside and len(again) >= len(sense) / 2:
            picks |= {key for key in again if times[key] > others[key]}
    return frozenset(picks)


def has_other_order(asked: Sequence[Statement], stored: Sequence[Statement]) -> bool:
    """Return whether a user takes something back, and the two end with different things.

    "Tuesday, no, Thursday" has the words of "Thursday, no, Tuesday".

    Args:
        asked: What one user said, without side topics.
        stored: What the other one said.
    """
    taken_back = [said for said in (*asked, *stored) if said.corrects and said.content]
    # "Actually" fills pauses, too.
    every = any(not _CHANGING.isdisjoint(said.plain.split()) for said in taken_back)
    if not every and not any(said.facts for said in taken_back):
        return False
    orders = [{key: place for place, key in enumerate(_told(talk, every=every))} for talk in (asked, stored)]
    shared = orders[0].keys() & orders[1].keys()
    return sorted(shared, key=orders[0].__getitem__) != sorted(shared, key=orders[1].__getitem__)


def _told(talk: Sequence[Statement], *, every: bool) -> list[str]:
    return [key for said in talk for key in said.keys if key in (said.content if every else said.facts)]


def has_other_opening(asked: History, stored: History) -> bool:
    """Return whether two users begin with different facts.

    What a conversation begins with is what it is about, also where the other one names it in passing: "chasing order
    5831, my sister sends back 5813".
    """
    one, other = (
        {key for said in talk.user if said.turn == talk.opening for key in said.hard} for talk in (asked, stored)
    )
    return bool(one - other and other - one)
