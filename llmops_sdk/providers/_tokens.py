"""Count tokens without a network, in the cl100k_base encoding (GPT-4's), for the offline provider.

The vocabulary is a file inside litellm's distribution; reading it does not import litellm. If a release of litellm
lacks the file, each four letters or digits of a word and each other sign count as one token, and one warning says so.

A message counts as its text, its tool calls' names and arguments, and 3 tokens for its frame. The count of a
conversation is the sum over its messages. Images do not count.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.util
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from llmops_sdk.providers._messages import text_of

__all__ = ["count_messages", "count_tokens", "load_counter", "text_pieces", "vocabulary_path"]

_log = logging.getLogger("llmops_sdk")

# tiktoken names the file by the SHA-1 of the vocabulary's address.
_VOCABULARY = "litellm_core_utils/tokenizers/9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
# The encoding is this split into words plus the vocabulary: https://github.com/openai/tiktoken.
_SPLIT = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_FRAME = 3
_PIECE = re.compile(r"\s*\S{1,24}|\s+")
_PLAIN = re.compile(r"\w{1,4}|[^\w\s]")


def vocabulary_path() -> Path | None:
    """Return the path of the vocabulary, or None if litellm does not contain it."""
    spec = importlib.util.find_spec("litellm")  # finds the folder without importing it
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder, _VOCABULARY)
        if path.is_file():
            return path
    return None


def load_counter(path: Path | None) -> Callable[[str], int]:
    """Return a function that counts the tokens of a text: exactly by the vocabulary at `path`, roughly without it."""
    if path is None or hashlib.sha256(data := path.read_bytes()).hexdigest() != _SHA256:
        _log.warning("llmops: token vocabulary not found; offline token counts are rough (logged once)")
        return lambda text: sum(1 for _ in _PLAIN.finditer(text))
    import tiktoken

    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in data.splitlines())}
    encoding = tiktoken.Encoding("cl100k_base", pat_str=_SPLIT, mergeable_ranks=ranks, special_tokens={})
    return lambda text: len(encoding.encode_ordinary(text))


@functools.cache
def _counter() -> Callable[[str], int]:
    return load_counter(vocabulary_path())


def count_tokens(text: str) -> int:
    """Return the number of tokens in `text`.

    Example:
        >>> from llmops_sdk.providers import count_tokens
        >>> count_tokens("Where is my card?")
        5
    """
    return _counter()(text) if text else 0


def count_messages(messages: Sequence[Mapping[str, Any]]) -> int:
    """Return the number of tokens in a conversation: the sum over its messages."""
    return sum(_FRAME + count_tokens(text_of(message)) + _count_calls(message) for message in messages)


def _count_calls(message: Mapping[str, Any]) -> int:
    calls = message.get("tool_calls")
    if not isinstance(calls, list | tuple):
        return 0
    total = 0
    for call in cast("Sequence[object]", calls):
        function = cast("Mapping[str, object]", call).get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            values = cast("Mapping[str, object]", function)
            total += sum(count_tokens(v) for key in ("name", "arguments") if isinstance(v := values.get(key), str))
    return total


def text_pieces(text: str) -> list[str]:
    """Split `text` into pieces of about a token, each a word with the space before it."""
    return _PIECE.findall(text)
