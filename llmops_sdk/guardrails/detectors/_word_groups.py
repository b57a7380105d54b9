"""Find the stretches of a text with arrays, all at once, where none is too long.

`_stretches` says what a stretch is, and finds the same ones word by word, which takes longer for a kilobyte or more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from llmops_sdk._util._optional import require
from llmops_sdk.guardrails.detectors._signs import compiled
from llmops_sdk.guardrails.detectors._skeleton import LONGEST_PLAIN

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["Runs", "groups", "runs_in"]

_SPACES = " \t\r\n"
_PLAIN_SIGNS = f"{_SPACES}.,;:!'\"()-"
_FEW, _SPARSE = 64, 4
"""With more matches of the context, and more than one in so many words, to search them takes longer."""
_DIGIT, _AT, _LETTER, _ALNUM = 1, 2, 4, 8


def _table(kind: Callable[[str], int]) -> bytes:
    return bytes(map(kind, map(chr, range(128)))) + bytes(128)


def _kinds_of(char: str) -> int:
    kinds = _DIGIT * char.isdigit() + _AT * (char == "@") + _ALNUM * (char.isalnum() or char == "_")
    return kinds + _LETTER * (char.isalpha() and char not in "aAiI")  # those are words of English


_IN_WORD = _table(lambda char: char not in _SPACES)
_ACTIVE = _table(lambda char: not char.isalpha() and char not in _PLAIN_SIGNS)
_KINDS = _table(_kinds_of)


@functools.cache
def _numpy() -> Any:
    return require("numpy", extra="guards", purpose="a guard that searches texts")


class Runs(NamedTuple):
    """The runs of words that are not plain, with the plain word before each.

    Attributes:
        ends: Where each word of the text ends.
        starts: Where each run starts.
        stops: Where each run ends, which may be inside of its last word.
        first: The number of the first word of each run.
        last: The number of the last word of each run.
        is_inside: Whether a run ends inside of its last word.
        has_digit: Whether a run has a digit.
        has_sign: Whether a run has an "@" without a host, a match of the context, or two words of one character.
    """

    ends: NDArray[np.intp]
    starts: NDArray[np.intp]
    stops: NDArray[np.intp]
    first: NDArray[np.intp]
    last: NDArray[np.intp]
    is_inside: NDArray[np.bool_]
    has_digit: NDArray[np.bool_]
    has_sign: NDArray[np.bool_]


def runs_in(skeleton: bytes, context: str, longest: int) -> Runs | None:
    """Return the runs of words, or None if a word is too long, or the context has very many matches.

    Args:
        skeleton: The text as `skeleton_of` returns it.
        context: A regular expression, of google-re2, of parts of words that are not plain though they look so.
        longest: The most characters of a word.

    Raises:
        MissingDependencyError: numpy is not installed.
    """
    np = _numpy()
    in_word = np.frombuffer(b"\0%b\0" % skeleton.translate(_IN_WORD), "bool")
    edges = (in_word[1:] != in_word[:-1]).nonzero()[0]
    begins, ends = edges[::2], edges[1::2]
    sizes = ends - begins
    if not len(edges):
        return Runs(*[edges] * 5, *[edges > 0] * 3)
    if sizes.max() > longest:
        return None
    kinds = np.frombuffer(skeleton.translate(_KINDS) + b"\0", "uint8")

    active = sizes > LONGEST_PLAIN
    places = np.frombuffer(skeleton.translate(_ACTIVE), "bool").nonzero()[0]
    active[begins.searchsorted(places, "right") - 1] = True
    most = _FEW + len(begins) // _SPARSE
    signs = [match.start() for match in islice(compiled(context).finditer(skeleton), most)]
    if len(signs) == most:
        return None
    if signs:
        active[begins.searchsorted(signs, "right") - 1] = True

    # A letter that stands alone goes on with a run. What follows it in its word does not belong to the run.
    letter = (kinds[begins] & _LETTER) > (kinds[begins + 1] & _ALNUM)
    letter[0] = False
    member = active | letter
    is_inside = (letter > active) & (sizes > 1)
    # Whether each word, and what is behind the last one, goes on with the run of the word before it.
    goes_on = np.zeros(len(begins) + 1, "bool")
    np.logical_and((member > is_inside)[:-1], member[1:], out=goes_on[1:-1])
    openers = (member > goes_on[:-1]).nonzero()[0]
    last = (member > goes_on[1:]).nonzero()[0]
    # The word before the run belongs to it, or as much as the run before left of it.
    has_before = openers > 0
    first = openers - has_before
    starts = begins[first] + (member[first] & has_before)
    ends_inside = is_inside[last]
    stops = ends[last] if not is_inside.any() else np.where(ends_inside, begins[last] + 1, ends[last])

    has_digit, has_sign = np.zeros((2, len(first)), "bool")
    found = kinds[places]
    has_digit[starts.searchsorted(places[found == _DIGIT | _ALNUM], "right") - 1] = True
    at = places[found == _AT]
    if len(at):
        signs += at[kinds[at + 1] & _ALNUM == 0].tolist()
    if signs:
        has_sign[starts.searchsorted(signs, "right") - 1] = True
    pairs = (sizes[:-1] <= 2) & ((sizes[1:] == 1) | is_inside[1:]) & member[1:]
    has_sign[last.searchsorted(pairs.nonzero()[0] + 1)] = True
    return Runs(ends, starts, stops, first, last, ends_inside, has_digit, has_sign)


def groups(runs: Runs, far: NDArray[np.bool_], reach: int) -> list[tuple[int, int]]:
    """Return the start and end of each group of runs whose findings may touch.

    Args:
        runs: The runs of words.
        far: For each run whether a finding may go on behind it for `reach` words, not for one.
        reach: The number of these words.
    """
    np = _numpy()
    reached = runs.last + np.where(far, reach, 1) - runs.is_inside
    reached = np.maximum.accumulate(np.minimum(reached, len(runs.ends) - 1))
    is_opener = np.ones(len(reached) + 1, "bool")
    is_opener[1:-1] = runs.first[1:] > reached[:-1]
    starts = runs.starts[is_opener[:-1]]
    ends = runs.ends[reached[is_opener[1:]]]
    return list(zip(starts.tolist(), ends.tolist(), strict=True))
