"""Find what two histories put in each other's place: another thing, the opposite, another order, another reply."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from llmops_sdk.caching.semantic.lexical._antonyms import are_opposites
from llmops_sdk.caching.semantic.lexical.conversations._statements import History, Statement

__all__ = [
    "Slot",
    "has_other_opening",
    "has_other_order",
    "is_same_offer",
    "other_replies",
    "slots_of",
    "swapped_words",
]

Slot = tuple[str, str, bool]
_ALIKE = 0.6
_COMMON = 32  # statements with a word; such a word does not tell which statements belong together


def slots_of(keys: Sequence[str], words: frozenset[str]) -> set[Slot]:
    """Return what stands right before and after some words of a statement: the places in which others may stand.

    "A room with a sea view" and "a garden view" have one place with two words. A number takes no word's place.

    Args:
        keys: The words of the statement, in order.
        words: Those whose places are wanted.
    """
    found: set[Slot] = set()
    for at, key in enumerate(keys):
        if key in words:
            number = key[0] == "#"
            found |= {("after", keys[at - 1] if at else "", number), ("before", "".join(keys[at + 1 : at + 2]), number)}
    return {slot for slot in found if slot[1] and slot[1] not in words}


def _matches(asked: History, stored: History) -> Iterator[tuple[Statement, Statement]]:
    """Return each statement of the user with the one of the other history that shares most words with it."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for at, said in enumerate(stored.user):
        for key in said.content:
            places[key].append(at)
    for said in asked.user:
        shared: defaultdict[int, int] = defaultdict(int)
        for key in said.content:
            if len(found := places.get(key, ())) <= _COMMON:
                for at in found:
                    shared[at] += 1
        if shared:
            best = max(shared, key=lambda at: (shared[at], -len(stored.user[at].content), -at))
            yield said, stored.user[best]


def swapped_words(asked: History, stored: History) -> tuple[frozenset[str], frozenset[str]] | None:
    """Return what differs between two statements of users that say another thing in nearly the same words, or None.

    Who words a statement anew hardly keeps all words but one. So a word in the place of another one is a detail, also
    where both words are said somewhere in both histories: "I am on Standard, my friend is on Premium".
    """
    for one, other, turned in ((asked, stored, False), (stored, asked, True)):
        for said, match in _matches(one, other):
            if _says_another_thing(said, match):
                left, right = said.content - match.content, match.content - said.content
                return (right, left) if turned else (left, right)
    return None


def _says_another_thing(said: Statement, match: Statement) -> bool:
    shared = said.content & match.content
    left, right = said.content - shared, match.content - shared
    if len(shared) > 1 and are_opposites(left, right):
        return True
    if len(shared) < _ALIKE * max(len(said.content), len(match.content)):
        return False
    if said.negative != match.negative or _is_moved(said, match):
        return True
    only = frozenset(said.keys).difference(match.keys), frozenset(match.keys).difference(said.keys)
    return are_opposites(*only) or not slots_of(said.content_keys, left).isdisjoint(slots_of(match.content_keys, right))


def _is_moved(said: Statement, match: Statement) -> bool:
    """Return whether the same words in another order may say another thing: "cancel A, keep B", "from A to B"."""
    if said.keys == match.keys or sorted(said.keys) != sorted(match.keys):
        return False
    return "from" in said.keys or len(said.facts) > 1 or are_opposites(said.content, said.content)


def other_replies(asked: History, stored: History) -> frozenset[str] | None:
    """Return the words of a question of the assistant to which one user said yes and the other one no, or None."""
    for one in asked.replies:
        for other in stored.replies:
            least = min(len(one.question), len(other.question))
            if one.negative != other.negative and len(one.question & other.question) >= _ALIKE * least:
                return one.question
    return None


def has_other_order(asked: History, stored: History) -> bool:
    """Return whether a user takes a fact back, and the two end with different ones.

    "Tuesday, no, Thursday" has the words of "Thursday, no, Tuesday".
    """
    if not any(said.corrects and said.facts for said in (*asked.user, *stored.user)):
        return False
    orders = [{key: place for place, key in enumerate(_facts(talk))} for talk in (asked, stored)]
    shared = orders[0].keys() & orders[1].keys()
    return sorted(shared, key=orders[0].__getitem__) != sorted(shared, key=orders[1].__getitem__)


def _facts(talk: History) -> list[str]:
    return [key for said in talk.user for key in said.keys if key in said.facts]


def has_other_opening(asked: History, stored: History) -> bool:
    """Return whether two users begin with different facts.

    What a conversation begins with is what it is about, also where the other one names it in passing: "chasing order
    5831, my sister sends back 5813".
    """
    one, other = (
        {key for said in talk.user if said.turn == talk.opening for key in said.hard} for talk in (asked, stored)
    )
    return bool(one - other and other - one)


def is_same_offer(asked: Sequence[Statement], stored: Sequence[Statement]) -> bool:
    """Return whether the assistant offers the same, in the same order, but for a kind word on one side.

    "Yes please" and "the second one" mean what the last message says, word by word. "Go on then, do it" may accept
    what any message offered.

    Args:
        asked: What one assistant said, without side topics.
        stored: What the other one said.
    """
    known = {key for one in stored for key in one.keys}, {key for one in asked for key in one.keys}
    for said, heard in zip((asked, stored), known, strict=True):
        if any(not one.aside and not one.content <= heard for one in said):
            return False
    offers = [[one.keys for one in said if one.content and (one.asks or one.chooses)] for said in (asked, stored)]
    return offers[0] == offers[1] and _last(asked) == _last(stored)


def _last(said: Sequence[Statement]) -> list[tuple[str, ...]]:
    return [one.keys for one in said if one.turn == said[-1].turn and one.content]
