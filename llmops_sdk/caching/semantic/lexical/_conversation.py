"""Compare two conversations: whether what was said before lets the stored answer serve the last question."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from llmops_sdk._util._public import public
from llmops_sdk.caching.semantic.lexical._analyse import NO_WORDS, Analysed, Term, analyse
from llmops_sdk.caching.semantic.lexical._checks import Finding
from llmops_sdk.caching.semantic.lexical._compare import Comparison, compare_analysed
from llmops_sdk.caching.semantic.lexical._words import words
from llmops_sdk.errors import ConfigError

__all__ = ["AnalysedConversation", "Turn", "analyse_conversation", "compare_conversations", "is_standalone"]

MAX_TURNS = 100
_ASSISTANT_SHARE = 0.8
_PROMPT_SHARE = 0.6

# Words that refer to what was said before.
_REFERRING = words("""
    it its that this these those they them their he him his she her one ones there then here same other others
    another else next now today tonight tomorrow yesterday still instead also too either both former latter above
    again already first second third last me my mine we us our i myself so yes yeah no ok okay such rest remaining
    new latest earliest extra total left instead
""")
# Said to change the subject: what follows has nothing to do with what was said.
_CHANGES = (
    "by the way", "btw", "unrelated but", "unrelated", "unrelated question", "different question", "separate question",
    "separately", "another question", "on another note", "on a different note", "before i go", "one more thing",
    "out of interest", "out of curiosity", "random question", "changing the subject", "different topic",
)  # fmt: skip
# The answer depends on what it is about, which the question does not name.
_DEPENDENT = words("""
    price cost fee charge rate deposit refund limit deadline excess date time balance penalty payment bill total
    open close available availability include option recommend status result happen reach take last work arrive
""")
_ELLIPTIC = words("""
    <howmuch> <howlong> <howmany> <howsoon> <howoften> <howfar> <when> <whatday> <where> <how> <who>
""")
# A message that asks in one of these ways does not answer what the assistant asked.
_ASKING = _ELLIPTIC | words("<what> <whatis> <why> <must> <accept> <plainhow>")
# A message that accepts an offer, or picks one of several.
_PICKS = words("one ones option do go yes yeah yep ok okay sure ahead sounds please")
_COUNTED = frozenset({"content", "value", "affix", "negation"})
_PARTICLES = words("off out up down before after without from under over")
_SMALL_TALK = words("""
    ok okay great cool lovely nice fair thanks thank good perfect brilliant ah oh yeah yes problem sure
    course happy sorry hear glad help welcome anything else worry luck congratulation haha lol right see hi hello
    hiya hey morning cheer cheers question quick hope well and or
""")


@dataclass(frozen=True, slots=True)
class Turn:
    """A message before the last one.

    Attributes:
        role: Whose it is, as in "user".
        keys: The words and values of content in order, without small talk.
        facts: The values, names and unknown words among them.
        names: The names among them.
        asks: Whether it asks something.
    """

    role: str
    keys: tuple[str, ...]
    facts: frozenset[str]
    names: frozenset[str]
    asks: bool


@public("llmops_sdk.caching.semantic.lexical")
@dataclass(frozen=True, slots=True)
class AnalysedConversation:
    """What the checks know of a conversation. Keep it beside a stored entry.

    Attributes:
        last: The last message.
        last_role: The role of the last message.
        before: The message before the last one, or None.
        turns: The messages before the last one.
        said: Their digests.
        rules: Digests of the messages that are neither the user's nor the assistant's, such as instructions.
        standalone: Whether the last message asks for nothing that was said before.
        cut: Whether the conversation is longer than what is analysed.
    """

    last: Analysed
    last_role: str
    before: Analysed | None
    turns: tuple[Turn, ...]
    said: tuple[str, ...]
    rules: tuple[str, ...]
    standalone: bool
    cut: bool


def analyse_conversation(
    messages: Sequence[Mapping[str, str]], *, vocabulary: Container[str] = NO_WORDS
) -> AnalysedConversation:
    """Analyse a conversation for `compare_conversations`.

    Args:
        messages: The messages in order, each with `role` and `content`, both texts. The last one is the question. Put
            what else an answer depends on, such as images and tools, into the key of the cache.
        vocabulary: Words that are spelled right; see `analyse`.

    Raises:
        ConfigError: There is no message, or a role or a content is not a text.
    """
    for message in messages:
        if not isinstance(message.get("content"), str) or not isinstance(message.get("role"), str):
            raise ConfigError("a message needs a role and a content that are texts")
    if not messages:
        raise ConfigError("a conversation needs at least one message")
    analysed = [
        (message["role"], analyse(message["content"], vocabulary=vocabulary)) for message in messages[-MAX_TURNS:]
    ]
    spoken = [(role, text) for role, text in analysed[:-1] if role in {"user", "assistant"}]
    last = analysed[-1][1]
    return AnalysedConversation(
        last,
        analysed[-1][0],
        spoken[-1][1] if spoken else None,
        tuple(_turn(role, text) for role, text in spoken),
        tuple(text.digest for _, text in spoken),
        tuple(text.digest for role, text in analysed[:-1] if role not in {"user", "assistant"}),
        is_standalone(last),
        len(messages) > MAX_TURNS or any(text.cut for _, text in analysed),
    )


def _turn(role: str, text: Analysed) -> Turn:
    counted = [term for term in text.terms if term.role in _COUNTED or term.surface in _PARTICLES]
    counted = [term for term in counted if term.role == "value" or term.surface not in _SMALL_TALK]
    return Turn(
        role,
        tuple(term.key for term in counted),
        frozenset(term.key for term in counted if _is_fact(term)),
        frozenset(term.key for term in counted if term.role == "content" and term.named and not term.acronym),
        any(term.role == "frame" for term in text.terms),
    )


def _is_fact(term: Term) -> bool:
    return term.role == "value" or (term.role == "content" and (term.named or term.acronym or not term.known))


def is_standalone(last: Analysed) -> bool:
    """Return whether a question says all that its answer needs: it refers to nothing, and names what it is about.

    Example:
        >>> [is_standalone(analyse(text)) for text in ("Do you deliver on Sundays?", "Can you deliver it on Sunday?")]
        [True, False]
    """
    said = f" {last.plain} ".replace(" is there ", " is ").replace(" are there ", " are ")
    changes = any(f" {one} " in said for one in _CHANGES)
    for one in _CHANGES:
        said = said.replace(f" {one} ", " ")
    words = said.split()
    if not last.english or last.cut or not _REFERRING.isdisjoint(words) or (not changes and "i" in words):
        return False
    frames = {term.key for term in last.terms if term.role == "frame"}
    content = [term for term in last.terms if term.role in {"content", "value"}]
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


def compare_conversations(
    asked: AnalysedConversation,
    stored: AnalysedConversation,
    *,
    similarity: float,
    vocabulary: Container[str] = NO_WORDS,
) -> Comparison:
    """Compare two conversations: may the answer to the last message of one answer the last message of the other?

    The last messages must be the same question. Then one of these must hold:

    - The question stands alone, and the conversations are not about different names.
    - One conversation says everything that the other one says, in the same order; what it says besides is small talk
      within or between messages, and nothing new follows the last thing they share. A last message that answers the
      assistant ("yes please", "the second one") needs the same message before it, too.

    Histories in other words are "unsure": that is left to a judge.

    Args:
        asked: The conversation that asks.
        stored: The conversation whose answer is stored.
        similarity: The cosine of the last messages, from -1 to 1.
        vocabulary: Words that are spelled right; see `analyse`.

    Returns:
        "same" only if both the question and what it refers to agree.

    Example:
        >>> trip = [{"role": "user", "content": "I fly to Rome"}, {"role": "assistant", "content": "Lovely."}]
        >>> other = [{"role": "user", "content": "I fly to Oslo"}, {"role": "assistant", "content": "Lovely."}]
        >>> last = [{"role": "user", "content": "do I need a visa?"}]
        >>> pair = [analyse_conversation(one + last) for one in (trip, other)]
        >>> compare_conversations(*pair, similarity=1.0).decision
        'different'
    """
    question = compare_analysed(asked.last, stored.last, similarity=similarity, vocabulary=vocabulary)
    if question.decision != "same":
        return question
    if asked.rules != stored.rules or asked.last_role != stored.last_role:
        return Comparison("different", "history", 0.05, (Finding("history", "instructions", "instructions"),))
    if asked.cut or stored.cut:
        return Comparison("unsure", "length", 0.3)
    if asked.said == stored.said:
        return question
    if asked.standalone and stored.standalone:
        names = _names(asked), _names(stored)
        if _names_own(asked.last) or not all(names) or names[0] & names[1]:
            return Comparison("same", question.reason, min(question.score, 0.95), question.checks)
        return Comparison("unsure", "history", 0.4, (Finding("history", _shown(names[0]), _shown(names[1])),))
    return _compare_histories(asked, stored, question)


def _compare_histories(asked: AnalysedConversation, stored: AnalysedConversation, question: Comparison) -> Comparison:
    mine, theirs = _facts(asked), _facts(stored)
    finding = Finding("history", _shown(mine - theirs), _shown(theirs - mine))
    if mine - theirs and theirs - mine:
        return Comparison("different", "history", 0.05, (finding,))
    if _is_inside(asked, stored) or _is_inside(stored, asked):
        return Comparison("same", question.reason, min(question.score, 0.9), question.checks)
    return Comparison("unsure", "history", 0.2, (finding,))


def _is_inside(shorter: AnalysedConversation, longer: AnalysedConversation) -> bool:
    """Return whether the longer conversation says all that the shorter one says, and small talk besides."""
    return _facts(shorter) <= _facts(longer) and _continues(shorter, longer) and _same_prompt(shorter, longer)


def _facts(talk: AnalysedConversation) -> set[str]:
    return {fact for turn in talk.turns for fact in turn.facts}


def _names(talk: AnalysedConversation) -> set[str]:
    return {name for turn in talk.turns for name in turn.names}


def _names_own(last: Analysed) -> bool:
    return any(term.named or term.acronym for term in last.terms)


def _shown(keys: set[str]) -> str:
    return " ".join(sorted(keys)[:8])


def _continues(shorter: AnalysedConversation, longer: AnalysedConversation) -> bool:
    """Return whether the longer conversation has all words of the shorter one in order, and nothing new at its end."""
    wanted = [key for turn in shorter.turns if turn.role == "user" for key in turn.keys]
    at = 0
    for turn in (turn for turn in longer.turns if turn.role == "user"):
        before = at
        for key in turn.keys:
            at += at < len(wanted) and key == wanted[at]
        if before == len(wanted) and (turn.asks or turn.facts):
            return False
    said = {key for turn in shorter.turns if turn.role == "assistant" for key in turn.keys}
    again = {key for turn in longer.turns for key in turn.keys}
    return at == len(wanted) and len(said & again) >= _ASSISTANT_SHARE * len(said)


def _same_prompt(shorter: AnalysedConversation, longer: AnalysedConversation) -> bool:
    """Return whether the last messages follow the same message, unless they are questions of their own."""
    if shorter.before is None or longer.before is None:
        return shorter.before is longer.before
    frames = {term.key for term in shorter.last.terms if term.role == "frame"}
    content = sum(term.role == "content" for term in shorter.last.terms)
    picks = _PICKS & set(shorter.last.plain.split())
    if picks or not (frames & _ASKING or ("<yesno>" in frames and content > 1)):
        # It answers the assistant. What it accepts may stand in any message before it: only equal histories would do.
        return False
    mine, theirs = set(shorter.turns[-1].keys), {key for turn in longer.turns[-3:] for key in turn.keys}
    return len(mine & theirs) >= _PROMPT_SHARE * len(mine)
