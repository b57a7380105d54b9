"""Write a text in the few characters that tell which words are plain, so that the linear engine reads it fast."""

from __future__ import annotations

import codecs
import re

from llmops_sdk.guardrails.detectors._signs import compiled

__all__ = ["LONGEST_PLAIN", "SPACES", "is_long_word", "skeleton_of", "with_long_words"]

SPACES = " \t\r\n\u3001\u3002\uff01\uff0c\uff1b\uff1f"
"""What stands between words."""
LONGEST_PLAIN = 64
"""A longer word is never plain."""
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


def is_long_word(skeleton: bytes) -> bool:
    """Tell whether a skeleton is one word that is too long to be plain."""
    return len(skeleton) > LONGEST_PLAIN and not any(map(skeleton.__contains__, b" \t\r\n"))


def skeleton_of(text: str) -> bytes:
    """Return the text in ASCII, of the same length: other plain characters as quotes, all others as question marks."""
    text = text.replace("?", ":")
    if not text.isascii():
        for space in SPACES[4:]:
            text = text.replace(space, " ")
        # The codec asks for each run of other characters, a translation for each character.
        if (len(text.encode("utf-8", "replace")) - len(text)) * 16 < len(text):
            return text.encode("ascii", _CODEC_ERRORS)
        text = text.translate(_SKELETON)
    return text.encode("ascii", "replace")


def _in_skeleton(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return error.object[error.start : error.end].translate(_SKELETON), error.end


class _Skeleton(dict[int, str]):
    """What stands in a skeleton for each character that is not ASCII, filled at its first use."""

    def __missing__(self, code: int) -> str:
        found = self[code] = chr(code) if code < 0x80 else "'" if _OTHER_PLAIN.match(chr(code)) else "?"
        return found


_SKELETON = _Skeleton()
_CODEC_ERRORS = "llmops_sdk.skeleton"
codecs.register_error(_CODEC_ERRORS, _in_skeleton)
