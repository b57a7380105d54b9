"""Read a judge's verdict from its answer: one label, or none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

__all__ = ["parse_verdict", "plain_label"]

_LONGEST_ANSWER = 20_000  # characters; the verdict is the first or the last line, so the middle does not count
_VERDICT = re.compile(r"(?:^|(?<=[\W_]))verdict[*_\s]*(?:[:=]|is\b)(.*)$", re.IGNORECASE)
_WORD = re.compile(r"(?:(?<!\w)[+\-\u2212\u00b1](?=\d))?[^\W_]++(?:[+#%\-\u2212]++(?!\w))?")
_CLAUSE = re.compile(r"[.!?;,|)\]\u3002\u2013\u2014\u2192]")
_INTRODUCES = frozenset({
    "my", "our", "the", "a", "final", "overall", "own", "so", "thus", "therefore", "hence", "and", "in", "to", "sum",
    "conclusion", "summary", "result", "answer", "step",
})  # fmt: skip
_PAIRED = '"\u201c\u201d\u201e\u00ab\u00bb`'
_DENIES = frozenset("!\u00ac\u2260\u2717\u2718\u274c")
"""Marks before a label that turn it around."""
_LEAD = frozenset({"response", "answer", "output", "assistant", "option", "label", "the", "is"})
_CODE_FENCE = "```"


def parse_verdict(answer: str, labels: Iterable[str]) -> str | None:
    r"""Return the label that an answer gives, or None where it gives none, or more than one.

    A line that ends with "Verdict: LABEL" counts wherever it stands; two such lines that disagree are no verdict. One
    within quotation marks or in a block quote does not count, as judges quote what they judge, and one in a sentence
    such as "the output says verdict: LABEL" only makes another verdict doubtful. Without such a line, the answer counts
    if it is a JSON object with the key `verdict`, or if its first or last line is a label and nothing else. A label
    somewhere in a sentence never counts: "not correct" is not "correct".

    Args:
        answer: What the judge wrote. Of more than 20,000 characters the first and the last 10,000 count.
        labels: The labels that the judge may give. Letter case and punctuation around them do not matter, but signs
            such as those of -1 and A+ do.

    Example:
        >>> parse_verdict("Both name the city.\n**Verdict: Correct**", ["correct", "incorrect"])
        'correct'
        >>> parse_verdict("Response 1 is better, or maybe 2", ["1", "2", "tie"]) is None
        True
    """
    known = {plain_label(label): label for label in labels}
    if len(answer) > _LONGEST_ANSWER:
        answer = answer[: _LONGEST_ANSWER // 2] + "\n" + answer[-_LONGEST_ANSWER // 2 :]
    lines = [line.strip() for line in answer.splitlines() if line.strip() and not line.strip().startswith(_CODE_FENCE)]
    if not lines:
        return None
    stated = [found for found in map(_stated, lines) if found is not None]
    own = [_label(text, known) for text, is_own in stated if is_own]
    other = {_label(text, known) for text, is_own in stated if not is_own} - {None}
    if own or other:
        verdict = _only(own)
        return verdict if other <= {verdict} else None
    if answer.lstrip().startswith(("{", _CODE_FENCE)):
        return _label(_from_json("\n".join(lines)), known)
    ends = [lines[0]] if len(lines) == 1 else [lines[0], lines[-1]]
    given = [found for found in (_label(line, known) for line in ends) if found is not None]
    return _only(given) if given else None


def _stated(line: str) -> tuple[str, bool] | None:
    """Return what follows the word "verdict" in a line that states one, and whether it is surely the judge's own."""
    match = _VERDICT.search(line)
    if match is None or not _WORD.search(match[1]) or line.startswith(">"):
        return None
    before = line[: match.start()]
    # An odd number of quotation marks: the word is within a quotation.
    if before.endswith(("'", "\u2018")) or sum(map(before.count, _PAIRED)) % 2:
        return None
    words = _WORD.findall(_CLAUSE.split(before)[-1].casefold())
    return match[1], all(word in _INTRODUCES or word.isdecimal() for word in words)


def _only(found: Iterable[str | None]) -> str | None:
    distinct = set(found)
    return distinct.pop() if len(distinct) == 1 else None


def _from_json(text: str) -> str:
    try:
        value = json.loads(text, object_pairs_hook=_single_keys)
    except (ValueError, RecursionError):
        return ""
    verdict = value.get("verdict") if isinstance(value, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return str(verdict) if isinstance(verdict, (str, int, float)) else ""


def _single_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the object, or an empty one where a key is there twice: two verdicts are none."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else {}


def plain_label(text: str) -> str:
    """Return a label without letter case and punctuation; the signs of numbers and of grades such as A+ stay.

    Args:
        text: The label, as the caller or the judge writes it.
    """
    return " ".join(_WORD.findall(text.casefold()))


def _is_denied(text: str) -> bool:
    """Return whether marks turn a label around or doubt it, as in `!correct`, `correct?` and a struck-out one."""
    words = list(_WORD.finditer(text))
    if not words or "~~" in text:
        return True
    return not _DENIES.isdisjoint(text[: words[0].start()]) or "?" in text[words[-1].end() :]


def _label(text: str, known: Mapping[str, str]) -> str | None:
    """Return the label that a text is, with at most a word such as "Response" before it."""
    if _is_denied(text):
        return None
    plain = plain_label(text)
    if plain in known:
        return known[plain]
    words = plain.split(" ")
    while words and words[0] in _LEAD:
        del words[0]
    return known.get(" ".join(words))
