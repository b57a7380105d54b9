"""What the last message of a conversation asks of what was said before: nothing, something, or all of it."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_sdk.caching.semantic.lexical._analyse import Analysed
from llmops_sdk.caching.semantic.lexical._words import words
from llmops_sdk.caching.semantic.lexical.conversations._small_talk import GENERIC

__all__ = ["acts", "content_of", "is_explicit", "is_standalone", "refers"]

# Words that refer to what was said before.
_REFERRING = words("""
    it its that this these those they them their he him his she her one ones there then here same other others
    another else next now today tonight tomorrow yesterday still instead also too either both former latter above
    again already first second third last me my mine we us our i myself so yes yeah no ok okay such rest remaining
    new latest earliest extra total left instead
""")
# Those of them that stand for a thing, and those that go on with what was said: "and data?", "is it cheaper then?"
_POINTING = words("it its that this these those they them their he him his she her one ones there")
_CONTINUING = words("""
    and but so then else another again still instead other same here both either too yes yeah no ok okay now
    today tonight tomorrow yesterday first second last next
""")
# Said to change the subject: what follows has nothing to do with what was said.
_CHANGES = (
    "by the way", "btw", "unrelated but", "unrelated", "unrelated question", "different question", "separate question",
    "separately", "another question", "on another note", "on a different note", "before i go", "one more thing",
    "out of interest", "out of curiosity", "random question", "changing the subject", "different topic",
)  # fmt: skip
_CHANGING = frozenset(word for one in _CHANGES for word in one.split())
# The answer depends on what it is about, which the question does not name.
_DEPENDENT = words("""
    price cost fee charge rate deposit refund limit deadline excess date time balance penalty payment bill total
    open close available availability include option recommend status result happen reach take last work arrive
""")
_MEASURING = words("<howmuch> <howlong> <howmany> <howsoon> <howoften> <howfar> <when> <whatday> <where> <who>")
_ELLIPTIC = _MEASURING | {"<how>"}
# A message that asks in one of these ways is no order.
_ASKING = _ELLIPTIC | words("<what> <whatis> <why> <must> <accept> <plainhow> <yesno>")
# It picks one of several, or accepts what was offered.
_PICKS = words("one ones option options former latter both either")
_PLACES = ("the first", "the second", "the third", "the last")  # at the end: "where do I click first?" picks nothing
_ORDERS = ("do it", "do that", "do this", "do so", "do them", "go ahead", "go on", "go for it")


def _subject(plain: str) -> tuple[list[str], bool]:
    """Return the words of a question without those that change the subject, and whether there are any of them."""
    said = f" {plain} ".replace(" is there ", " is ").replace(" are there ", " are ")
    changes = any(f" {one} " in said for one in _CHANGES)
    for one in _CHANGES:
        said = said.replace(f" {one} ", " ")
    return said.split(), changes


def is_standalone(last: Analysed) -> bool:
    """Return whether a question says all that its answer needs: it refers to nothing, and names what it is about.

    Args:
        last: The question.

    Example:
        >>> from llmops_sdk.caching.semantic.lexical import analyse
        >>> [is_standalone(analyse(text)) for text in ("Do you deliver on Sundays?", "Can you deliver it on Sunday?")]
        [True, False]
    """
    words, changes = _subject(last.plain)
    if not last.english or last.cut or not _REFERRING.isdisjoint(words) or (not changes and "i" in words):
        return False
    frames = {term.key for term in last.terms if term.role == "frame"}
    content = [term for term in last.terms if term.role in {"content", "value"} and term.key not in GENERIC]
    named = {term.surface for term in content if term.named or term.acronym}
    for at, word in enumerate(words):
        asked_for = words[max(at - 2, 0) : at] == ["what", "is"] and bool({"for", "of", "to"} & set(words[at:]))
        if word == "the" and not changes and not asked_for and (at + 1 == len(words) or words[at + 1] not in named):
            return False
    if changes and frames and len(content) > 1:
        return True
    if not frames or "<can>" in frames or "<must>" in frames or len(content) < (1 if named else 2):
        return False
    if named:
        return True
    if frames & _ELLIPTIC or any(term.key in _DEPENDENT for term in content):
        return False
    return bool({"you", "your"} & set(words)) or frames == {"<offer>"} or len(content) > 3


def is_explicit(last: Analysed, messages: Sequence[frozenset[str]]) -> bool:
    """Return whether a question begins a topic of its own after a history.

    It points at nothing, and names what it is about in words that no message has together. Where the answer usually
    depends on a thing ("how much", "the limit"), or on the speaker ("can I"), it takes more words to name that.

    Args:
        last: The question.
        messages: The content of each message of the history.
    """
    spoken, changes = _subject(last.plain.replace("instead of", " "))
    if not last.english or last.cut or not (_POINTING | _CONTINUING).isdisjoint(spoken):
        return False
    frames = {term.key for term in last.terms if term.role == "frame"} - {"<want>"}
    if not frames or ("my" in spoken and frames != {"<how>"}):
        return False
    content = content_of(last) - (_CHANGING if changes else frozenset())
    named = {term.key for term in last.terms if term.role == "content" and (term.named or term.acronym)}
    # The name of the company may be in any message.
    own = content - (named & frozenset[str]().union(*messages))
    if not own or any(len(own & said) > len(own) / 3 for said in messages):
        return False
    needed = 2
    if not changes:
        needed += bool(frames & _MEASURING) or not content.isdisjoint(_DEPENDENT)
        needed += "i" in spoken or bool(frames & {"<can>", "<must>"})
    return len(content) + bool(named & content) >= needed


def content_of(text: Analysed) -> frozenset[str]:
    """Return the words of a message that may hold a detail."""
    return frozenset(term.key for term in text.terms if term.role in {"content", "value", "affix"}) - GENERIC


def acts(last: Analysed) -> bool:
    """Return whether a message answers the assistant or orders something, instead of asking."""
    frames = {term.key for term in last.terms if term.role == "frame"}
    said = last.plain.split()
    picks = not _PICKS.isdisjoint(said) or last.plain.removesuffix(" please").removesuffix(" then").endswith(_PLACES)
    if picks or any(f" {one} " in f" {last.plain} " for one in _ORDERS):
        return True
    if "<can>" in frames:
        return "you" in said
    return frames.isdisjoint(_ASKING)


def refers(last: Analysed) -> bool:
    """Return whether a message has a word such as "it" that stands for what was said."""
    return not _POINTING.isdisjoint(last.plain.split())
