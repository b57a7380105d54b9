"""Analyse one text: everything of it that the comparison of two texts needs."""

from __future__ import annotations

import hashlib
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Final

from llmops_sdk._util._public import public
from llmops_sdk.caching.semantic.lexical._antonyms import JOINED_AFFIXES
from llmops_sdk.caching.semantic.lexical._degrees import Degree, degrees_of, keep_degrees
from llmops_sdk.caching.semantic.lexical._frames import ENGLISH, FRAMES, LIGHT, PRONOUNS, TENSES
from llmops_sdk.caching.semantic.lexical._marks import NO_MARKS, Marks, marks_of
from llmops_sdk.caching.semantic.lexical._stems import is_known, key_of, stem
from llmops_sdk.caching.semantic.lexical._synonyms import PHRASES
from llmops_sdk.caching.semantic.lexical._tokens import (
    BREAK,
    MAX_CHARACTERS,
    MAX_WORDS,
    Word,
    plain_text,
    rewrite,
    split_words,
    unify,
)
from llmops_sdk.caching.semantic.lexical._values import DATE_WORDS, Value, read_value
from llmops_sdk.caching.semantic.lexical._words import words

__all__ = ["NO_WORDS", "PREPOSITIONS", "Analysed", "Term", "analyse", "digest_of"]

NO_WORDS: Final[frozenset[str]] = frozenset()
PREPOSITIONS = words("""
    about above across after against along among around at before behind below beside between beyond by despite down
    during for from in inside into like near of off on onto out outside over per since than through to toward
    towards under until till up upon via vs versus with within without ago while as
""")
_NEGATIONS = words("not no never without neither nor none nobody nothing")
_BEFORE_MONTH = words("in of on until by since next last this from for early late")
_AUXILIARIES = words("""
    do does did is are was were am be been have has had will would shall should must can could may might ought
""")


@public("llmops_sdk.caching.semantic.lexical")
@dataclass(frozen=True, slots=True)
class Term:
    """One term of a text.

    Attributes:
        key: What is compared.
        surface: The word as written, in small letters.
        role: "content", "value", "frame", "preposition", "pronoun", "light", "negation", "affix", "joiner" or
            "auxiliary".
        named: Whether it is written with a capital letter inside a sentence.
        acronym: Whether it is written in capital letters only.
        known: Whether it is in the vocabulary.
        value: The value, if it is one.
        forms: The surface, its base form and the key, of a word of content.
    """

    key: str
    surface: str
    role: str
    named: bool = False
    acronym: bool = False
    known: bool = True
    value: Value | None = None
    forms: frozenset[str] = NO_WORDS


@public("llmops_sdk.caching.semantic.lexical")
@dataclass(frozen=True, slots=True)
class Analysed:
    """What the lexical checks know of one text. Keep it beside a stored entry: making it costs more than a comparison.

    Attributes:
        digest: SHA-256 of the whole text, with single spaces.
        plain: The words without case and punctuation, joined by spaces.
        terms: The terms in order, without fillers.
        chunks: The keys that count, in parts: a part begins at a preposition, a way of asking, or punctuation.
        negations: How many negations the text has.
        past: Whether it asks about the past.
        degrees: How exactly, how usually or since when: "roughly", "usually", "still".
        english: Whether the rules of English apply.
        cut: Whether the text is longer than what is analysed.
        marks: What counts as it is written: signs, code, capitals, quotations.
    """

    digest: str
    plain: str
    terms: tuple[Term, ...]
    chunks: tuple[tuple[str, ...], ...]
    negations: int
    past: bool
    english: bool
    cut: bool
    marks: Marks
    degrees: frozenset[Degree] = frozenset()


def analyse(text: str, *, vocabulary: Container[str] = NO_WORDS) -> Analysed:
    """Analyse a text for `compare_analysed`.

    The first 4,000 characters and 200 words are analysed. A longer text is only ever the same as an equal one.

    Args:
        text: A question or a request.
        vocabulary: Words that are spelled right, in small letters, such as
            `llmops_sdk.embeddings.vocabulary()`. Without it no misspelling is explained.

    Returns:
        The analysis, which is immutable and can be pickled.

    Example:
        >>> analyse("Could you please cancel order 48213?").terms[-1].value
        Value(kind='code', unit='', amount='48213')
    """
    read = text[:MAX_CHARACTERS]
    unified = unify(read)
    plain = plain_text(unified[:MAX_CHARACTERS])
    raw = split_words(plain)
    joined = " ".join(word.text for word in raw if word.text != BREAK)
    # A greeting of two words is left out of the words.
    cut = max(len(text), len(unified)) > MAX_CHARACTERS or len(raw) >= MAX_WORDS - 2
    digest, marks = digest_of(text), NO_MARKS if cut else marks_of(read, unified)
    english = _is_english(raw, plain)
    if not english:
        found = tuple(_term(raw, at, value) for at, value in _valued(raw) if raw[at].text != BREAK)
        joined = plain.lower().strip(" .?!¿¡。？！،؟")
        negations = sum(word.text in _NEGATIONS for word in raw)
        return Analysed(digest, joined, found, (), negations, past=False, english=False, cut=cut, marks=marks)
    words = rewrite(rewrite(keep_degrees(_capitals(raw)), PHRASES), FRAMES)
    words = _split_affixes(words, vocabulary)
    terms: list[Term] = []
    breaks: list[int] = []
    for at, value in _valued(words):
        if words[at].text == BREAK:
            breaks.append(len(terms))
        else:
            terms.append(_term(words, at, value, vocabulary))
    _ask_price(terms)
    return Analysed(
        digest,
        joined,
        tuple(terms),
        _chunks(terms, frozenset(breaks)),
        sum(term.role == "negation" for term in terms),
        past=any(word.text in TENSES for word in raw),
        english=True,
        cut=cut,
        marks=marks,
        degrees=degrees_of(raw),
    )


def digest_of(text: str) -> str:
    """Return the digest of a text with single spaces, or as it is where lines are indented: there, spaces mean much."""
    shown = text.strip()
    if not any(line[:1] in " \t" for line in shown.splitlines()[1:] if line):
        shown = " ".join(text.split())
    return hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()


def _ask_price(terms: list[Term]) -> None:
    """Write "what does a ticket cost" as "how much does a ticket cost"."""
    for at, term in enumerate(terms[:-1]):
        asks = term.key == "<what>" and terms[at + 1].role == "auxiliary"
        if asks and any(other.surface == "cost" for other in terms[at + 2 :]):
            terms[at] = replace(term, key="<howmuch>")


def _is_english(words: list[Word], plain: str) -> bool:
    if any(ord(letter) > 0x24F and letter.isalpha() for letter in plain):
        return False
    real = [word.text for word in words if word.text != BREAK]
    return len(real) <= 3 or any(word in ENGLISH for word in real)


def _capitals(words: list[Word]) -> list[Word]:
    """Return the words with "US" told from "us"."""
    return [Word("usa", True, True) if word.text == "us" and word.acronym else word for word in words]


def _split_affixes(words: list[Word], vocabulary: Container[str]) -> list[Word]:
    """Return the words with "non-", "self-" and their like as words of their own, for every way to write them."""
    out: list[Word] = []
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else Word(BREAK)
        text = word.text
        spaced = text in {"non", "self", "semi", "un"}
        if text in JOINED_AFFIXES and following.text != BREAK and (following.glued or spaced):
            out.append(Word(f"{text}-"))
            continue
        for prefix in ("non", "self"):
            rest = text[len(prefix) :]
            if text.startswith(prefix) and len(rest) > 3 and text not in vocabulary and is_known(rest, vocabulary):
                out += [Word(f"{prefix}-"), word._replace(text=rest)]
                break
        else:
            out.append(word)
    return out


def _valued(words: list[Word]) -> list[tuple[int, Value | None]]:
    """Return the position of each word or value; a value stands at its first word."""
    found: list[tuple[int, Value | None]] = []
    taken: set[int] = set()
    for at in range(len(words)):
        if at in taken:
            continue
        read = read_value(words, at)
        if read is None:
            found.append((at, None))
        else:
            found.append((at, read[0]))
            taken |= read[1]
    return found


def _term(words: list[Word], at: int, value: Value | None, vocabulary: Container[str] = NO_WORDS) -> Term:
    word = words[at]
    text = word.text
    if value is not None:
        return Term(value.key, text, "value", value=value)
    role = _role(text)
    if text == "may" and (word.capital or (at and words[at - 1].text in _BEFORE_MONTH)):
        return Term("may$", text, "content")
    key = key_of(text) if role == "content" else text
    dated = role == "content" and (text in DATE_WORDS or (text[-1] == "s" and text[:-1] in DATE_WORDS))
    if dated:
        key = text[:3] if text[:3] not in {"tod", "tom", "wee"} else key
    forms = frozenset((text, stem(text), key)) if role == "content" else NO_WORDS
    if role == "preposition" and (at + 1 == len(words) or words[at + 1].text == BREAK):
        key = f"{text}$"  # "how much is it for" asks what "how much is it" does not
    known = role != "content" or is_known(text, vocabulary)
    return Term(key, text, role, word.capital and not dated, word.acronym, known or dated, None, forms)


def _role(text: str) -> str:
    if text[0] == "<":
        return "frame"
    if text[-1] == "-":
        return "affix"
    if text in _NEGATIONS:
        return "negation"
    if text in PREPOSITIONS:
        return "preposition"
    if text in {"and", "or"}:
        return "joiner"
    if text in PRONOUNS:
        return "pronoun"
    if text in _AUXILIARIES:
        return "auxiliary"
    return "light" if text in LIGHT else "content"


def _chunks(terms: list[Term], breaks: frozenset[int]) -> tuple[tuple[str, ...], ...]:
    chunks: list[list[str]] = [[]]
    for at, term in enumerate(terms):
        if at in breaks or term.role in {"preposition", "frame"}:
            chunks.append([])
        if term.role in {"content", "value", "preposition", "frame", "affix", "negation", "joiner"} or term.surface in {
            "you",
            "your",
        }:
            chunks[-1].append(term.key)
            if len(chunks[-1]) > 2 and chunks[-1][-2] in {"and", "or"}:
                chunks[-1][-3], chunks[-1][-1] = sorted((chunks[-1][-3], chunks[-1][-1]))
    return tuple(tuple(chunk) for chunk in chunks if chunk)
