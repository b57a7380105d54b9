"""Compare two conversations: whether what was said before lets the stored answer serve the last question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from llmops_sdk._util._public import public
from llmops_sdk.caching.semantic.lexical._analyse import NO_WORDS, Analysed, analyse, digest_of
from llmops_sdk.caching.semantic.lexical._checks import Finding
from llmops_sdk.caching.semantic.lexical._compare import Comparison, compare_analysed
from llmops_sdk.caching.semantic.lexical._tokens import MAX_CHARACTERS, MAX_WORDS
from llmops_sdk.caching.semantic.lexical.conversations._histories import agree
from llmops_sdk.caching.semantic.lexical.conversations._standalone import (
    acts,
    content_of,
    is_explicit,
    is_standalone,
    refers,
)
from llmops_sdk.caching.semantic.lexical.conversations._statements import History, Told, history_of
from llmops_sdk.errors import ConfigError

__all__ = ["AnalysedConversation", "analyse_conversation", "compare_conversations", "is_standalone"]

MAX_TURNS = 100
_SHARED = 1 / 3  # of the words of histories about different things
_OFTEN = 3  # times that a name is said; what is said more often is what a conversation is about


@public("llmops_sdk.caching.semantic.lexical")
@dataclass(frozen=True, slots=True)
class AnalysedConversation:
    """What the checks know of a conversation. Keep it beside a stored entry.

    Attributes:
        last: The last message.
        last_role: The role of the last message.
        history: What user and assistant said before the last message.
        said: The digests of these messages.
        rules: Digests of the messages that are neither the user's nor the assistant's, such as instructions.
        standalone: Whether the last message asks for nothing that was said before.
        cut: Whether the conversation is longer than what is analysed.
    """

    last: Analysed
    last_role: str
    history: History
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
    read = [(message["role"], message["content"]) for message in messages[-MAX_TURNS:]]
    spoken = [(role, text) for role, text in read[:-1] if role in {"user", "assistant"}]
    last = analyse(read[-1][1], vocabulary=vocabulary)
    return AnalysedConversation(
        last,
        read[-1][0],
        history_of(spoken, vocabulary=vocabulary),
        tuple(digest_of(text) for _, text in spoken),
        tuple(digest_of(text) for role, text in read[:-1] if role not in {"user", "assistant"}),
        is_standalone(last),
        len(messages) > MAX_TURNS or last.cut or any(_is_long(text) for _, text in spoken),
    )


def compare_conversations(
    asked: AnalysedConversation,
    stored: AnalysedConversation,
    *,
    similarity: float,
    vocabulary: Container[str] = NO_WORDS,
) -> Comparison:
    """Compare two conversations: may the answer to the last message of one answer the last message of the other?

    The last messages must be the same question. If they order something or answer the assistant ("go ahead", "the
    second one"), the histories must be equal. Otherwise one of these must hold:

    - The question stands alone, or begins a topic that neither history has, and the conversations are not about
      different names.
    - The histories agree: what either user says or confirms as a value, a date or a name, or to be or to have, the
      other history has, too; one user says all words of content of the other one, in order; no word stands in the place
      of another one; nobody denies what the other one says; sentences in nearly the same words say who does what alike,
      and whether it is done or only wished for. Small talk, what the user calls beside the matter, and questions about
      something else are left out. A question with "it" needs the same topic before it, and the same advice or offer of
      the assistant.

    What is told in many other words is "unsure": that is left to a judge.

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
    if _are_unlike(asked, stored) and ((asked.standalone and stored.standalone) or _is_new(asked, stored)):
        names = _names(asked), _names(stored)
        if _names_own(asked.last) or not all(names) or names[0] & names[1]:
            return Comparison("same", question.reason, min(question.score, 0.95), question.checks)
        return Comparison("unsure", "history", 0.4, (Finding("history", _shown(names[0]), _shown(names[1])),))
    if acts(asked.last) or acts(stored.last):
        # What it accepts or orders may stand in any message before it, and what is wanted too: a wrong answer acts.
        return Comparison("unsure", "history", 0.2, (Finding("history", asked.last.plain, stored.last.plain),))
    return _compare_histories(asked, stored, question)


def _are_unlike(asked: AnalysedConversation, stored: AnalysedConversation) -> bool:
    """Return whether two histories are about different things.

    After histories that tell the same but for a detail, the detail may be what any question is about.
    """
    mine, theirs = (
        {key for said in talk.history.user for key in said.content} - content_of(talk.last) for talk in (asked, stored)
    )
    return len(mine & theirs) <= _SHARED * min(len(mine), len(theirs))


def _is_new(asked: AnalysedConversation, stored: AnalysedConversation) -> bool:
    """Return whether the question begins a topic of its own."""
    messages = [frozenset(message) for talk in (asked, stored) for message in Told(talk.history).messages]
    return all(is_explicit(talk.last, messages) for talk in (asked, stored))


def _compare_histories(asked: AnalysedConversation, stored: AnalysedConversation, question: Comparison) -> Comparison:
    topic = content_of(asked.last) & content_of(stored.last)
    found = agree(asked.history, stored.history, topic, refers=refers(asked.last))
    if found.decision == "same":
        return Comparison("same", question.reason, min(question.score, 0.9), question.checks)
    finding = Finding("history", _shown(found.mine), _shown(found.theirs))
    return Comparison(found.decision, "history", 0.05 if found.decision == "different" else 0.2, (finding,))


def _is_long(text: str) -> bool:
    return len(text) > MAX_CHARACTERS or len(text.split()) > MAX_WORDS


def _names(talk: AnalysedConversation) -> set[str]:
    """Return what a conversation is about: the names with which the user begins it, and those said again and again."""
    said = talk.history.user
    first = next((one.turn for one in said if one.content), 0)
    often = Counter(name for one in (*said, *talk.history.assistant) for name in one.named)
    return {name for one in said if one.turn == first for name in one.named} | {
        name for name, times in often.items() if times > _OFTEN
    }


def _names_own(last: Analysed) -> bool:
    return any(term.named or term.acronym for term in last.terms)


def _shown(keys: set[str] | frozenset[str]) -> str:
    return " ".join(sorted(keys)[:8])
