"""Tell who does what in a sentence, with the small words that turn it round: "move in", "I might", "he lent me"."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

from llmops_sdk.caching.semantic.lexical._analyse import NO_WORDS, Term
from llmops_sdk.caching.semantic.lexical._stems import key_of, stem
from llmops_sdk.caching.semantic.lexical._words import words
from llmops_sdk.caching.semantic.lexical.conversations._small_talk import GENERIC, SMALL_TALK

__all__ = ["Slot", "bare", "is_same_sense", "sense_of", "slots_of", "turns", "words_of"]

Slot = tuple[str, str, bool]
# They turn a verb round, say that something did not happen, or whom it happens to.
_TURNING = words("""
    not out off up down back away over without against until from instead should might may must ought me you longer used
    than
""")
_COMPARING = words("than over instead")
_SUFFERED = words("was were been being got")
_BEFORE_MORE = words("from until")
_PERSONS = words("i we me us you")
# Words of any sentence that neither turn nor tell.
_PLAIN = words("but and if now just still also then so as than when while because since there here any some the a")
# Who may act: where he stands tells whether he does.
_PEOPLE = _PERSONS | frozenset(key_of(one) for one in words("""
    mother father mum mom dad parent son daughter child kid baby brother sister sibling wife husband partner boyfriend
    girlfriend fiance fiancee spouse ex aunt uncle cousin nephew niece grandma grandpa nan gran grandson granddaughter
    friend mate neighbour roommate flatmate housemate colleague coworker boss manager supervisor employee employer
    staff assistant landlord landlady tenant lodger agent agency owner buyer seller customer client guest host visitor
    teacher pupil student tutor nurse doctor dentist surgeon patient carer driver passenger courier engineer plumber
    builder electrician technician police officer lawyer solicitor accountant bank insurer company shop store garage
    council school hospital airline hotel supplier lender broker man woman boy girl people person team
"""))  # fmt: skip
_NOT = "not"
_IDLE = words("""
    one ones time times person people lot lots bit thing things stuff way kind sort type piece number name such own
    really quite very actually basically literally simply whole here there
""")
_PLURALS = words("people children men women feet teeth wives lives knives leaves shelves data media")
_LEADING = GENERIC - frozenset(key_of(one) for one in _IDLE)
_DONE = "'d"  # marks what is done, such as "cancelled"
_WISHED = "^"  # marks what is wished: "to cancel"
_LONGEST = 40  # words of a sentence whose order is looked at


def sense_of(terms: Sequence[Term]) -> tuple[str, ...]:
    """Return the words of a sentence that say who does what, in order, with a mark at what is done.

    Who begins with "I" and who asks "can you" wish for the same, so the person that a sentence begins with is left out
    if he is one of the two.
    """
    found: list[str] = []
    asked = False
    before = ""
    for term in terms:
        surface = term.surface
        counted = term.role in {"content", "value", "affix"} and surface not in _PLAIN
        if term.role == "negation":
            found.append(_NOT)
        elif surface in _TURNING - _PERSONS:
            found.append(surface)
        elif surface in _PERSONS:
            found += [{"we": "i", "us": "me"}.get(surface, surface)] if found else []
        elif counted and (asked or surface not in SMALL_TALK):
            wished = (asked or before == "to") and not term.named and term.role == "content"
            found.append(term.key.rstrip("$") + _DONE * _is_done(surface, before) + _WISHED * wished)
        # "I want to clear it": small talk is a verb here.
        asked = term.key == "<want>" or (asked and surface == "to")
        before = surface
    return tuple(found)


def _is_done(surface: str, before: str) -> bool:
    if surface in _PLURALS or before == "be" or surface.endswith("ing"):
        return False
    if before in _SUFFERED:
        return True
    return surface.endswith("ed") or (stem(surface) != surface and not surface.endswith(("s", "er", "est")))


def _bare(key: str) -> str:
    return key.removesuffix(_WISHED).removesuffix(_DONE)


def bare(sense: Sequence[str]) -> list[str]:
    """Return the words of a sense without marks."""
    return [_bare(key) for key in sense]


def words_of(sense: Sequence[str]) -> set[str]:
    """Return the words of a sense without marks, persons and negations."""
    return {_bare(key) for key in sense} - _PERSONS - {_NOT}


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


def turns(words: set[str]) -> bool:
    """Return whether one of the words may turn a sentence round."""
    return not _TURNING.isdisjoint(words)


def is_same_sense(one: Sequence[str], other: Sequence[str], names: frozenset[str] = NO_WORDS) -> bool:
    """Return whether two sentences with the same content say who does what in the same way.

    Args:
        one: The sense of a sentence.
        other: The sense of another one.
        names: The names in them, which may be of people.
    """
    if one == other:
        return True
    done = [{_bare(key) for key in said if _DONE in key} for said in (one, other)]
    wished = {_bare(key) for key in (*one, *other) if key.endswith(_WISHED)}
    mine, theirs = ([_bare(key) for key in said] for said in (one, other))
    shared = set(mine) & set(theirs)
    if (done[0] ^ done[1]) & shared:
        return False
    following = (*pairwise(mine), *pairwise(theirs))
    if any(key in wished and key not in shared and after in shared for key, after in following):
        return False  # "I want to drop the claim"
    if _turns(mine, shared) or _turns(theirs, shared):
        return False
    extra = frozenset(mine) - shared, frozenset(theirs) - shared
    if all(extra) and not slots_of(mine, extra[0]).isdisjoint(slots_of(theirs, extra[1])):
        return False
    if [key for key in _denied(mine) if key in shared] != [key for key in _denied(theirs) if key in shared]:
        return False
    return not _is_reordered(mine, theirs, shared, _PEOPLE | names)


def _turns(said: Sequence[str], shared: set[str]) -> bool:
    """Return whether a sentence has a word beside or between the shared ones that may turn them round."""
    inside = [at for at, key in enumerate(said) if key in shared]
    if not inside:
        return False
    first, last = inside[0], inside[-1]
    for at, (key, after) in enumerate(pairwise([*said, ""])):
        # "From Basic" is what the sentence says beyond the shared words; "from" before a shared word turns that round.
        if key in shared or (key in _BEFORE_MORE and after not in shared):
            continue
        if key in _TURNING and first - 1 <= at <= last + (key not in _PERSONS):
            return True
        if key in _PEOPLE and key not in _PERSONS and first - 1 <= at < last:
            return True  # "the seller withdrew", where "I withdrew" names nobody
        # "I'm thinking of cancelling"; what stands further in is another clause.
        if key in _LEADING and (first < at < last or first - 1 == at <= 1):
            return True
    return False


def _denied(said: Sequence[str]) -> list[str]:
    return sorted(after for key, after in pairwise([*said, _NOT]) if key == _NOT)


def _is_reordered(one: Sequence[str], other: Sequence[str], shared: set[str], people: frozenset[str]) -> bool:
    """Return whether somebody stands at the other side of a word, or two words have changed sides of a third one."""
    at = [{key: said.index(key) for key in said[:_LONGEST] if key != _NOT} for said in (one, other)]
    both = [key for key in at[0] if key in shared and key in at[1]]
    moved = {pair for pair in combinations(sorted(both, key=at[0].__getitem__), 2) if at[1][pair[0]] > at[1][pair[1]]}
    if any((left in people or right in people) and "#" not in left[:1] + right[:1] for left, right in moved):
        return True
    if moved and not _COMPARING.isdisjoint(shared):
        return True
    return any((right, third) in moved and (left, third) in moved for left, right in moved for third in both)
