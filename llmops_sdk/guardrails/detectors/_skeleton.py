"""Write a text in the few characters that tell which words are plain, so that the linear engine reads it fast."""

from __future__ import annotations

import re

from llmops_sdk.guardrails.detectors._signs import compiled

__all__ = ["LONGEST_PLAIN", "SPACES", "skeleton_of", "with_long_words"]

SPACES = " \t\r\n\u3001\u3002\uff01\uff0c\uff1b\uff1f"
"""What stands between words."""
LONGEST_PLAIN = 64
"""A longer word is never plain."""
_SAMPLE = 4096
_NOT_ASCII = re.compile(r"[^\x00-\x7f][^\x00-\x7f]*+")
# Letters of other scripts, their marks, and the quotes of typeset prose; not the forms of letters that stand for ASCII.
_OTHER_PLAIN = re.compile(
    r"(?![\x00-\x7f\uff00-\uffef\u2100-\u214f\U0001d400-\U0001d7ff])[^\W\d_]"
    r"|(?!\d)[\u0591-\u06ff\u0900-\u109f]|[\u2014\u2018\u2019\u201c\u201d\u2026]"
)


def with_long_words(skeleton: bytes) -> bytes:
    """Return a skeleton with question marks for the words that are too long to be plain."""
    # The first engine answers faster, and the second one tells all places.
    if not compiled(_LONG_WORD_SIGN).search(skeleton):
        return skeleton
    return _LONG_WORD.sub(lambda match: b"?" * (match.end() - match.start()), skeleton)


_LONG_WORD_SIGN = rf"[^ \t\r\n]{{{LONGEST_PLAIN + 1}}}"
_LONG_WORD = re.compile(rb"[^ \t\r\n]{%d,}+" % (LONGEST_PLAIN + 1))


def skeleton_of(text: str) -> bytes:
    """Return the text in ASCII, of the same length: other plain characters as quotes, all others as question marks."""
    text = text.replace("?", ":")
    if not text.isascii():
        for space in SPACES[4:]:
            text = text.replace(space, " ")
        # Where there are few other characters, only these are translated.
        is_sparse = len(_NOT_ASCII.findall(text, 0, _SAMPLE)) * 16 < min(len(text), _SAMPLE)
        text = _NOT_ASCII.sub(_in_skeleton, text) if is_sparse else text.translate(_SKELETON)
    return text.encode("ascii", "replace")


def _in_skeleton(match: re.Match[str]) -> str:
    return match[0].translate(_SKELETON)


class _Skeleton(dict[int, str]):
    """What stands in a skeleton for each character that is not ASCII, filled at its first use."""

    def __missing__(self, code: int) -> str:
        found = self[code] = chr(code) if code < 0x80 else "'" if _OTHER_PLAIN.match(chr(code)) else "?"
        return found


_SKELETON = _Skeleton()
