"""Features of the injection model: hashes of character and word n-grams and of sequences of word classes.

The training script and the detector share this module, so that both see a text in the same way. Everything is integer
arithmetic on arrays, in linear time: the same text gives the same features on every machine.
"""

from __future__ import annotations

import functools
import itertools
import unicodedata
from typing import TYPE_CHECKING, Any, NamedTuple

from llmops_sdk._util._optional import require
from llmops_sdk.guardrails.detectors.injection._injection_words import CLASSES, SEQUENCES

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = [
    "CHUNK",
    "CLASS_SLOTS",
    "GRAM_SLOTS",
    "REQUEST_SLOTS",
    "REQUEST_STRIDE",
    "REQUEST_WINDOW",
    "SHORTEST",
    "WINDOW",
    "WORD_SLOTS",
    "Folded",
    "Grams",
    "fold",
    "grams",
    "numpy",
    "request_slots",
    "window_bounds",
]

CHUNK = 1 << 16
"""The most folded characters that `grams` takes at once."""

WINDOW, STRIDE = 256, 64
"""The size of a window and the distance from one to the next, in folded characters."""
REQUEST_WINDOW, REQUEST_STRIDE = 128, 32
"""The same for the windows that are scored for requests, which are shorter than most attacks."""
SHORTEST = 40
"""A window counts as at least this long, so that a few characters cannot reach the threshold."""

_GRAM_BITS = (17, 19, 19)  # of character 3-, 4- and 5-grams
_WORD_BITS = (17, 18)  # of single words and pairs
_OFFSETS = (0, 1 << 17, (1 << 17) + (1 << 19), (1 << 17) + (1 << 20), (1 << 18) + (1 << 20))
GRAM_SLOTS = (1 << 19) + (1 << 20)
"""The size of the table of n-grams, for which the five kinds share one array."""
WORD_SLOTS = (1 << 17) + (1 << 18)
"""The slots at the end of that table that are words and pairs of words."""

_REQUEST_BITS = (16, 17, 14, 16)  # of words and pairs, and of those that begin a sentence
_REQUEST_OFFSETS = (0, 1 << 16, 3 << 16, (3 << 16) + (1 << 14))
REQUEST_SLOTS = (1 << 18) + (1 << 14)
"""The size of the table for requests."""

_CLASSES = len(CLASSES) + 1
_GAP = 5  # the most words from one class word to the next of a pair
_ATTACK = _CLASSES + _CLASSES**2 + _CLASSES**3
CLASS_SLOTS = _ATTACK + 1
"""The size of the table of classes, pairs and triples of classes, with one slot more for all of `SEQUENCES`."""

_K, _MIX = 0x01000193, 0x9E3779B1  # the multipliers of FNV and of Fibonacci hashing; both are odd
_FOLDED = 0x20000
_DROP, _SPACE = 0, 0x20
_OPENERS = ".!?:>|\"'-*#)("  # what stands before the first word of a sentence or of an item


@functools.cache
def numpy() -> Any:
    """Return numpy, or raise an error that says what to install."""
    return require("numpy", extra="guards", purpose="The guard injection")


class Folded(NamedTuple):
    """A text as the model reads it.

    Attributes:
        codes: The code points, in lower case and of compatible forms, without invisible characters and with single
            spaces; every digit is a 0.
        places: For each code its index in the text, or None if both are the same.
    """

    codes: NDArray[np.uint32]
    places: NDArray[np.intp] | None


class Grams(NamedTuple):
    """The features of a folded text.

    Attributes:
        chars: For n from 3 to 5, the slot of the n-gram at each character.
        starts: The index of the first character of each word.
        words: The slot of each word, and of each word with the next.
        hashes: The hash of each word, and of each word with the next.
        classed: For the places of `_class_slots`, the index of the character, and the slot.
    """

    chars: list[NDArray[np.uint32]]
    starts: NDArray[np.intp]
    words: list[NDArray[np.uint32]]
    hashes: tuple[NDArray[np.uint32], NDArray[np.uint32]]
    classed: tuple[NDArray[np.intp], NDArray[np.intp]]


def _folded_code(code: int) -> int:
    char = chr(code)
    if char.isspace() or (code < _SPACE):
        return _SPACE
    category = unicodedata.category(char)
    if category == "Cf" or 0x300 <= code <= 0x36F or 0xFE00 <= code <= 0xFE0F:
        return _DROP
    if category == "Nd":
        return 0x30
    char = unicodedata.normalize("NFKC", char).strip()[:1] or " "
    char = char.lower()[0]
    return 0x30 if char.isdecimal() else ord(char)


@functools.cache
def _fold_table(size: int) -> NDArray[np.uint32]:
    return numpy().array([_folded_code(code) for code in range(size)], "uint32")


@functools.cache
def _opens_sentence(size: int) -> NDArray[np.bool_]:
    return numpy().array([chr(code) in _OPENERS for code in range(size)], "bool")


@functools.cache
def _word_table(size: int) -> NDArray[np.bool_]:
    return numpy().array([chr(code).isalnum() for code in range(size)], "bool")


def fold(text: str) -> Folded:
    """Return a text as the model reads it.

    The detector's only normalisation. To score other views of the text (`guardrails.normalise.views`), fold each view.

    Args:
        text: Any text, also with lone surrogates.
    """
    np = numpy()
    if text.isascii():
        codes = _fold_table(128)[np.frombuffer(text.encode("ascii"), "uint8")]
    else:
        raw = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        codes = _fold_table(_FOLDED)[np.minimum(raw, _FOLDED - 1)]
        codes[(raw >= 0xE0000) & (raw < 0xE0100)] = _DROP
    space = codes == _SPACE
    keep = codes != _DROP
    keep[1:] &= ~(space[1:] & space[:-1])
    if keep.all():
        return Folded(codes, None)
    places = np.flatnonzero(keep)
    return Folded(codes[places], places)


@functools.cache
def _powers(size: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    np = numpy()
    inverse = pow(_K, -1, 1 << 32)
    with np.errstate(over="ignore"):
        return tuple(
            np.cumprod(np.concatenate([[1], np.full(size, base)]).astype("uint32"), dtype="uint32")
            for base in (_K, inverse)
        )


def _word_hashes(codes: Any, starts: Any, ends: Any) -> Any:
    """Return for each word sum(code * K**place) mod 2**32: prefix sums give it, as K has an inverse."""
    np = numpy()
    powers, inverses = _powers(CHUNK)
    sums = np.zeros(len(codes) + 1, "uint32")
    np.cumsum(codes * powers[: len(codes)], dtype="uint32", out=sums[1:])
    return (sums[ends] - sums[starts]) * inverses[starts] * np.uint32(_MIX)


@functools.cache
def _class_table() -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    np = numpy()
    hashes, classes = np.zeros(1 << 18, "uint32"), np.zeros(1 << 18, "intp")
    for number, (_, words) in reversed(list(enumerate(CLASSES, 1))):
        for word in words:
            codes = fold(word).codes
            found = _word_hashes(codes, np.array([0]), np.array([len(codes)]))
            hashes[found >> 14], classes[found >> 14] = found, number
    return hashes, classes


@functools.cache
def _attack_table() -> NDArray[np.bool_]:
    """Return for the slot of a pair or a triple whether it is one of `SEQUENCES`."""
    number = {name: index for index, (name, _) in enumerate(CLASSES, 1)}
    table = numpy().zeros(_ATTACK, "bool")
    for pattern in SEQUENCES:
        for names in itertools.product(*(place.split("|") for place in pattern.split())):
            index = functools.reduce(lambda sum_, name: sum_ * _CLASSES + number[name], names, 0)
            table[_CLASSES + index + (_CLASSES**2 if len(names) == 3 else 0)] = True
    return table


@functools.cache
def _steps() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the distances of pairs of class words, as a column, and the places of as many words far behind all."""
    np = numpy()
    return np.array([[1], [2], [3]]), np.full(3, 1 << 30)


def _class_slots(hashes: Any, starts: Any) -> tuple[Any, Any]:
    """Return the places and slots of class words, of pairs at most `_GAP` words apart, and of triples of such pairs."""
    np = numpy()
    known, classes = _class_table()
    slots = hashes >> 14
    found = np.flatnonzero(known[slots] == hashes)
    if not len(found):
        return found, found
    kinds = classes[slots[found]]
    # All three distances at once: behind the last word come some that are far from all.
    steps, far = _steps()
    following = np.concatenate([found, far])
    later = np.arange(len(found)) + steps
    step, near = np.nonzero(following[later] - found <= _GAP)
    near_later = near + step + 1
    pairs = kinds[near] * _CLASSES + kinds[near_later]
    # A triple is two pairs of neighbours, one behind the other.
    first = near[: np.searchsorted(step, 1)]
    middle = np.flatnonzero(first[1:] - first[:-1] == 1)
    triples = pairs[middle] * _CLASSES + kinds[first[middle] + 2]
    place = starts[np.concatenate([found, found[near_later], found[first[middle] + 2]])]
    slot = np.concatenate([kinds, _CLASSES + pairs, _CLASSES + _CLASSES**2 + triples])
    attack = place[_attack_table()[slot]]
    if not len(attack):
        return place, slot
    return np.concatenate([place, attack]), np.concatenate([slot, np.full(len(attack), _ATTACK)])


def grams(codes: NDArray[np.uint32]) -> Grams:
    """Return the features of a folded text.

    Args:
        codes: At most `CHUNK` folded code points.
    """
    np = numpy()
    k, mix = np.uint32(_K), np.uint32(_MIX)
    rolled = codes * k + np.uint32(1)
    rolled = rolled[:-1] * k + codes[1:]
    chars: list[Any] = []
    for order in range(3):
        rolled = rolled[:-1] * k + codes[order + 2 :]
        chars.append(((rolled * mix) >> np.uint32(32 - _GRAM_BITS[order])) + np.uint32(_OFFSETS[order]))
    bounded = np.zeros(len(codes) + 2, "int8")
    bounded[1:-1] = _word_table(_FOLDED)[codes]
    edges = np.flatnonzero(bounded[1:] != bounded[:-1])
    starts, ends = edges[::2], edges[1::2]
    hashes = _word_hashes(codes, starts, ends)
    pairs = (hashes[:-1] * k + hashes[1:]) * mix
    words = [
        (one >> np.uint32(32 - bits)) + np.uint32(offset)
        for one, bits, offset in zip((hashes, pairs), _WORD_BITS, _OFFSETS[3:], strict=True)
    ]
    return Grams(chars, starts, words, (hashes, pairs), _class_slots(hashes, starts))


def request_slots(codes: NDArray[np.uint32], found: Grams) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places and the slots of the features of requests: words and pairs, and those that begin a sentence.

    Args:
        codes: The folded code points.
        found: Their features, as `grams` returns them.
    """
    np = numpy()
    mix, k = np.uint32(_MIX), np.uint32(_K)
    starts, (words, pairs) = found.starts, found.hashes
    before = _opens_sentence(_FOLDED)
    first = np.flatnonzero((starts < 2) | before[codes[starts - 1]] | before[codes[np.maximum(starts - 2, 0)]])
    both = first[: np.searchsorted(first, len(pairs))]
    first_words, first_pairs = (words[first] * mix + np.uint32(77)) * k, (pairs[both] * mix + np.uint32(5)) * k
    slots = [
        (one >> np.uint32(32 - bits)) + np.uint32(offset)
        for one, bits, offset in zip(
            (words, pairs, first_words, first_pairs), _REQUEST_BITS, _REQUEST_OFFSETS, strict=True
        )
    ]
    return np.concatenate([starts, starts[: len(pairs)], starts[first], starts[both]]), np.concatenate(slots)


def window_bounds(size: int, window: int = WINDOW, stride: int = STRIDE) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the starts and the ends of the windows over so many folded characters.

    Args:
        size: The number of characters; there is one window even if it is 0.
        window: The size of a window in characters.
        stride: The distance from one window to the next in characters.
    """
    np = numpy()
    last = max(0, size - window)
    starts = np.minimum(np.arange(0, last + stride, stride), last)
    return starts, np.minimum(starts + window, size)
