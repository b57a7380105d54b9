"""A request as a cassette knows it: what decides the answer, its digest, and what to say of one that is not there."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import takewhile
from typing import Any, TypeAlias, cast

from llmops_sdk.providers._types import Request

__all__ = ["Canonical", "canonical_chat", "canonical_embed", "differences", "digest", "nearest_request", "shortened"]

Canonical: TypeAlias = dict[str, Any]
"""JSON: what of a request decides its answer; what is empty is left out."""

# A vendor's own parameters that are about the connection, or that are secret.
_UNSAID = frozenset({"api_key", "api_base", "base_url", "headers", "extra_headers", "default_headers", "timeout"})
_LONG = 4_096
_SHOWN = 3
_SHOWN_CHARS = 60
_COMPARED = 200
_COMPARED_CHARS = 2_000


def canonical_chat(request: Request) -> Canonical:
    """What decides the answer of a chat: whole or streamed, and by which model, does not count."""
    return _said(
        messages=list(request.messages),
        tools=list(request.tools),
        schema=request.response_schema,
        params=dict(request.params),
        extra={name: value for name, value in request.extra.items() if name not in _UNSAID},
    )


def canonical_embed(texts: Sequence[str], request: Request) -> Canonical:
    """What decides vectors."""
    extra = {name: value for name, value in request.extra.items() if name not in _UNSAID}
    return _said(texts=list(texts), params=dict(request.params), extra=extra)


def _said(**parts: Any) -> Canonical:
    # Through JSON, so that a tuple is the list that comes back from the file.
    return json.loads(_text({name: part for name, part in parts.items() if part}))


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=repr)


def digest(asked: Canonical) -> str:
    """16 hexadecimal digits that are the same for the same request."""
    return blake2b(_text(asked).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def shortened(value: Any) -> Any:
    """The same with every long text, as an image's, replaced by its digest: the key has the whole."""
    if isinstance(value, str) and len(value) > _LONG:
        whole = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        return f"{value[: _SHOWN_CHARS // 2]}… ({len(value)} characters, blake2b {whole})"
    if isinstance(value, Mapping):
        return {key: shortened(each) for key, each in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return [shortened(each) for each in cast("list[Any]", value)]
    return value


def nearest_request(asked: Canonical, known: Iterable[Canonical]) -> Canonical | None:
    """The recorded request that is most like the one asked, or None where there is none."""
    wanted = _text(shortened(asked))[:_COMPARED_CHARS]
    best: tuple[float, Canonical] | None = None
    for number, one in enumerate(known):
        if number >= _COMPARED:
            break
        matcher = difflib.SequenceMatcher(None, wanted, _text(one)[:_COMPARED_CHARS], autojunk=False)
        likeness = matcher.quick_ratio() if best and matcher.quick_ratio() <= best[0] else matcher.ratio()
        if best is None or likeness > best[0]:
            best = (likeness, one)
    return best[1] if best else None


def differences(asked: Canonical, recorded: Canonical) -> str:
    """Where two requests differ, in words: the first few places."""
    found = list(_places("", shortened(asked), recorded))
    more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more


def _places(where: str, asked: Any, recorded: Any) -> Iterator[str]:
    if asked == recorded:
        return
    if isinstance(asked, dict) and isinstance(recorded, dict):
        one, other = cast("dict[str, Any]", asked), cast("dict[str, Any]", recorded)
        for key in sorted({*one, *other}):
            yield from _places(f"{where}.{key}" if where else key, one.get(key), other.get(key))
    elif isinstance(asked, list) and isinstance(recorded, list):
        ones, others = cast("list[Any]", asked), cast("list[Any]", recorded)
        for at in range(max(len(ones), len(others))):
            one, other = (each[at] if at < len(each) else None for each in (ones, others))
            yield from _places(f"{where}[{at}]", one, other)
    else:
        one, other = _shown(asked), _shown(recorded)
        # From a little before the first difference.
        alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
        begin = max(alike - _SHOWN_CHARS // 2, 0)
        yield f"{where} is {_brief(one, begin)}, recorded is {_brief(other, begin)}"


def _brief(text: str, begin: int) -> str:
    end = begin + _SHOWN_CHARS
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if len(text) > end else ''}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else _text(value)
