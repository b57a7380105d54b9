"""Read a judge's verdict from its answer: one label, or none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

__all__ = ["parse_verdict"]

_LONGEST_ANSWER = 20_000  # characters; the verdict is the first or the last line, so the middle does not count
_VERDICT = re.compile(r"(?:^|[\W_])verdict[*_\s]*(?:[:=]|is\b)[\W_]*([^\W_].*)$", re.IGNORECASE)
_MARKS = re.compile(r"[\W_]+")
_LEAD = frozenset({"response", "answer", "output", "assistant", "option", "label", "the", "is"})
_CODE_FENCE = "```"


def parse_verdict(answer: str, labels: Iterable[str]) -> str | None:
    r"""Return the label that an answer gives, or None where it gives none, or more than one.

    A line that ends with "Verdict: LABEL" counts wherever it stands; two such lines that disagree are no verdict.
    Without one, the answer counts if it is a JSON object with the key `verdict`, or if its first or last line is a
    label and nothing else. A label somewhere in a sentence never counts: "not correct" is not "correct".

    Args:
        answer: What the judge wrote. Of more than 20,000 characters the first and the last 10,000 count.
        labels: The labels that the judge may give; letter case and punctuation around them do not matter.

    Example:
        >>> parse_verdict("Both name the city.\n**Verdict: Correct**", ["correct", "incorrect"])
        'correct'
        >>> parse_verdict("Response 1 is better, or maybe 2", ["1", "2", "tie"]) is None
        True
    """
    known = {_plain(label): label for label in labels}
    if len(answer) > _LONGEST_ANSWER:
        answer = answer[: _LONGEST_ANSWER // 2] + "\n" + answer[-_LONGEST_ANSWER // 2 :]
    lines = [line.strip() for line in answer.splitlines() if line.strip() and not line.strip().startswith(_CODE_FENCE)]
    if not lines:
        return None
    stated = [match[1] for match in map(_VERDICT.search, lines) if match is not None]
    if stated:
        return _only(_label(text, known) for text in stated)
    if answer.lstrip().startswith(("{", _CODE_FENCE)):
        return _label(_from_json("\n".join(lines)), known)
    ends = [lines[0]] if len(lines) == 1 else [lines[0], lines[-1]]
    given = [found for found in (_label(line, known) for line in ends) if found is not None]
    return _only(given) if given else None


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


def _plain(text: str) -> str:
    return _MARKS.sub(" ", text.casefold()).strip()


def _label(text: str, known: Mapping[str, str]) -> str | None:
    """Return the label that a text is, with at most a word such as "Response" before it."""
    plain = _plain(text)
    if plain in known:
        return known[plain]
    words = plain.split(" ")
    while words and words[0] in _LEAD:
        del words[0]
    return known.get(" ".join(words))
