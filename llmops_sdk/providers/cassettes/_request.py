"""Reduce a request to what decides its answer, digest it, and describe how two requests differ."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from itertools import takewhile, zip_longest
from typing import Any, TypeAlias, cast

from llmops_sdk.config._secrets import is_secret_name
from llmops_sdk.providers._canonical import canonical_numbers
from llmops_sdk.providers._types import Request

__all__ = [
    "CanonicalRequest",
    "canonical_chat",
    "canonical_embed",
    "differences",
    "digest",
    "nearest_request",
    "same_request",
    "secret_values",
    "shortened",
]

CanonicalRequest: TypeAlias = dict[str, Any]
"""The parts of a request that decide its answer, as JSON; empty parts are absent."""

# Parameters of a vendor that concern the connection, at any depth. Headers and the query of the URL hold credentials
# under any name.
_IGNORED = frozenset({"api_base", "base_url", "default_query", "extra_query", "timeout"})
_LONG_CHARS = 4_096
_SHOWN_DIFFERENCES = 3
_SHOWN_CHARS = 60
_COMPARED_REQUESTS = 200
_COMPARED_CHARS = 2_000


def canonical_chat(request: Request) -> CanonicalRequest:
    """Return what decides the answer of a chat. Model and streaming do not count."""
    return _canonical(
        request,
        messages=list(request.messages),
        # A vendor's own tool may hold credentials, as OpenAI's "mcp" does. A function's schema has none.
        tools=[tool if tool.get("type") == "function" else _without_secrets(tool) for tool in request.tools],
        schema=request.response_schema,
    )


def canonical_embed(texts: Sequence[str], request: Request) -> CanonicalRequest:
    """Return what decides vectors."""
    return _canonical(request, texts=list(texts))


def _canonical(request: Request, **parts: Any) -> CanonicalRequest:
    parts["params"] = canonical_numbers(request.params)
    parts["extra"] = canonical_numbers(_without_secrets(request.extra))
    # JSON turns tuples into lists, as they come back from the file.
    return json.loads(_text({name: part for name, part in parts.items() if part}))


def _is_ignored(name: object) -> bool:
    if not isinstance(name, str):
        return False
    lower = name.lower()
    return lower in _IGNORED or lower.endswith(("headers", "cookies")) or is_secret_name(name)


def _without_secrets(value: Any) -> Any:
    """Return a vendor's parameters without those of the connection and the secret ones, at any depth."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value)
        return {name: _without_secrets(item) for name, item in entries.items() if not _is_ignored(name)}
    if isinstance(value, list | tuple):
        return [_without_secrets(item) for item in cast("Sequence[Any]", value)]
    return value


def secret_values(value: Any, *, secret: bool = False) -> Iterator[str]:
    """Yield the texts under secret names in a vendor's parameters, since an answer may quote them."""
    if isinstance(value, Mapping):
        for name, item in cast("Mapping[Any, Any]", value).items():
            yield from secret_values(item, secret=secret or (isinstance(name, str) and is_secret_name(name)))
    elif isinstance(value, list | tuple):
        for item in cast("Sequence[Any]", value):
            yield from secret_values(item, secret=secret)
    elif secret and isinstance(value, str):
        yield value


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=repr)


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def digest(request: CanonicalRequest) -> str:
    """Return 16 hexadecimal digits, equal for equal requests."""
    return _hash(_text(request))


def shortened(value: Any) -> Any:
    """Replace long texts, such as images, by their digest. The digest of the request covers the whole text."""
    if isinstance(value, str) and len(value) > _LONG_CHARS:
        return f"{value[: _SHOWN_CHARS // 2]}… ({len(value)} characters, blake2b {_hash(value)})"
    if isinstance(value, Mapping):
        return {key: shortened(one) for key, one in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return [shortened(one) for one in cast("list[Any]", value)]
    return value


def same_request(request: CanonicalRequest, recorded: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the recordings of a request that has the same messages in another spelling.

    The arguments of tool calls are JSON in a text, which may have other spaces, and a text may be a list of one part.
    Programs that store conversations give them back in a spelling of their own.

    Args:
        request: The request.
        recorded: Recordings, each with its `request`.
    """
    if not any(message.get("tool_calls") for message in request.get("messages", ())):
        return []
    wanted = _respelled(shortened(request))
    return [one for one in recorded if _respelled(one.get("request")) == wanted]


def _respelled(value: Any) -> Any:
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value)
        found = {name: _respelled(one) for name, one in entries.items() if one is not None}
        if isinstance(found.get("arguments"), str):
            with suppress(ValueError, RecursionError):
                found["arguments"] = json.loads(found["arguments"])
        parts = found.get("content")
        texts = cast("list[Any]", parts) if isinstance(parts, list) else []
        if len(texts) == 1 and isinstance(texts[0], Mapping) and {*texts[0]} == {"type", "text"}:
            found["content"] = texts[0]["text"]
        return found
    if isinstance(value, list):
        return [_respelled(one) for one in cast("list[Any]", value)]
    return value


def nearest_request(request: CanonicalRequest, recorded: Iterable[CanonicalRequest]) -> CanonicalRequest | None:
    """Return the recorded request that is most similar, or None if there are no recordings."""
    wanted = _text(shortened(request))[:_COMPARED_CHARS]
    best: tuple[float, CanonicalRequest] | None = None
    for number, other in enumerate(recorded):
        if number >= _COMPARED_REQUESTS:
            break
        matcher = difflib.SequenceMatcher(None, wanted, _text(other)[:_COMPARED_CHARS], autojunk=False)
        similarity = matcher.quick_ratio() if best and matcher.quick_ratio() <= best[0] else matcher.ratio()
        if best is None or similarity > best[0]:
            best = (similarity, other)
    return best[1] if best else None


def differences(request: CanonicalRequest, recorded: CanonicalRequest) -> str:
    """Describe the first differences between two requests."""
    found = list(_differences("", shortened(request), recorded))
    more = f", and {len(found) - _SHOWN_DIFFERENCES} more" if len(found) > _SHOWN_DIFFERENCES else ""
    return "; ".join(found[:_SHOWN_DIFFERENCES]) + more


def _differences(path: str, request: Any, recorded: Any) -> Iterator[str]:
    if request == recorded:
        return
    if isinstance(request, dict) and isinstance(recorded, dict):
        one, other = cast("dict[str, Any]", request), cast("dict[str, Any]", recorded)
        for key in sorted({*one, *other}):
            yield from _differences(f"{path}.{key}" if path else key, one.get(key), other.get(key))
    elif isinstance(request, list) and isinstance(recorded, list):
        pairs = zip_longest(cast("list[Any]", request), cast("list[Any]", recorded))
        for number, (one, other) in enumerate(pairs):
            yield from _differences(f"{path}[{number}]", one, other)
    else:
        one, other = _shown(request), _shown(recorded)
        # Start a little before the first difference.
        equal = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
        start = max(equal - _SHOWN_CHARS // 2, 0)
        yield f"{path} is {_excerpt(one, start)}, recorded is {_excerpt(other, start)}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else _text(value)


def _excerpt(text: str, start: int) -> str:
    end = start + _SHOWN_CHARS
    return f"{'…' if start else ''}{text[start:end]}{'…' if len(text) > end else ''}"
