"""Read and repair the body of a vendor's response before litellm does.

litellm maps unknown finish reasons to "stop", and loses text that comes as a list of parts. httpx ends a line at
characters that JSON leaves inside a text. A server that ignores `stream` answers whole. All of that is visible only in
the response's body.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import orjson

from llmops_sdk.providers.litellm.wire._finish import is_known

__all__ = ["BodyReader", "parts_text"]

_Json = dict[str, Any]

# Only lines with one of these are parsed: most chunks have no finish reason, and text as text.
_NOTEWORTHY: Final = re.compile(
    rb'"(?:finish_reason|stop_reason|finishReason|done_reason)"\s*:\s*"|"content"\s*:\s*\[\s*[\]{"]|"error"\s*:\s*"'
    rb'|"reasoning_details"\s*:\s*\['
)
# These end a line for `str.splitlines`, and JSON does not escape them.
_LINE_ENDS: Final = {b"\xc2\x85": b"\\u0085", b"\xe2\x80\xa8": b"\\u2028", b"\xe2\x80\xa9": b"\\u2029"}
_MAX_LINE = 64 * 1024 * 1024


class BodyReader:
    """Reads the body of one response.

    Args:
        lines_are_json: Whether a stream has lines of JSON, as Ollama's, and no server-sent events.

    Attributes:
        has_finish: Whether the body has had a place for a finish reason.
        finish: The finish reason as the vendor wrote it, or None.
        service_tier: The tier that served, as in "flex", or None.
        error: The text of an error that came in place of an answer, or None.
        needs_tier: Whether litellm fails at an answer without a service tier, as for Groq.
    """

    def __init__(self, *, lines_are_json: bool = False) -> None:
        self.has_finish = False
        self.finish: str | None = None
        self.service_tier: str | None = None
        self.error: str | None = None
        self.needs_tier = False
        self._reasoning_details: list[_Json] = []
        self._lines_are_json = lines_are_json
        self._rest = b""
        self._whole = False
        self._started = False

    def whole(self, data: bytes) -> bytes:
        """Return the body of a whole answer, repaired."""
        body = _object(data)
        if body is None:
            return data
        changed = self._read(body)
        return orjson.dumps(body) if changed else data

    def take_reasoning_details(self) -> tuple[_Json, ...]:
        """Return OpenRouter's reasoning details, or their pieces in a stream, that came since the last call."""
        taken, self._reasoning_details = tuple(self._reasoning_details), []
        return taken

    def attach(self, response: Any) -> None:
        """Let an httpx response of a stream pass through this reader."""
        if hasattr(response, "_content"):  # read already
            return
        read, aread = response.iter_bytes, response.aiter_bytes

        def iter_bytes(chunk_size: int | None = None) -> Iterator[bytes]:
            for data in read(chunk_size):
                if lines := self._feed(data):
                    yield lines
            if rest := self._end():
                yield rest

        async def aiter_bytes(chunk_size: int | None = None) -> AsyncIterator[bytes]:
            async for data in aread(chunk_size):
                if lines := self._feed(data):
                    yield lines
            if rest := self._end():
                yield rest

        response.iter_bytes, response.aiter_bytes = iter_bytes, aiter_bytes

    def _feed(self, data: bytes) -> bytes:
        """Return the lines that are complete now, repaired."""
        self._rest += data
        if not self._started:
            start = self._rest.lstrip()
            if not start:
                return self._take_all()  # white space keeps the connection alive
            self._started = True
            self._whole = start.startswith(b"{") and not self._lines_are_json
        if self._whole:
            return b""
        end = self._rest.rfind(b"\n") + 1
        if not end:
            return self._take_all() if len(self._rest) > _MAX_LINE else b""
        lines, self._rest = self._rest[:end], self._rest[end:]
        return b"".join(map(self._line, lines.splitlines(keepends=True)))

    def _take_all(self) -> bytes:
        data, self._rest = self._rest, b""
        return data

    def _end(self) -> bytes:
        """Return the part of the stream without a line's end; the events of a whole answer to a stream's request."""
        data = self._take_all()
        if not self._whole:
            return self._line(data)
        answer = _object(data)
        if answer is None:
            return data
        self._read(answer)
        return b"".join(_events_of(answer))

    def _line(self, line: bytes) -> bytes:
        for sign, escaped in _LINE_ENDS.items():
            if sign in line:
                line = line.replace(sign, escaped)
        if _NOTEWORTHY.search(line) is None:
            return line
        start = line.find(b"{")
        try:
            body: object = orjson.loads(line[start:])
        except orjson.JSONDecodeError:
            return line
        if not isinstance(body, dict) or not self._read(cast("_Json", body)):
            return line
        return line[:start] + orjson.dumps(body) + b"\n"

    def _read(self, body: _Json) -> bool:
        """Note the finish reason, and return whether the body was changed."""
        if isinstance(body.get("service_tier"), str):
            self.service_tier = body["service_tier"]
        if isinstance(body.get("error"), str):
            self.error = body["error"]
        changed = self.needs_tier and "choices" in body and "service_tier" not in body
        if changed:
            body["service_tier"] = None
        found, word = _finish_word(body)
        self.has_finish = self.has_finish or found
        self.finish = word or self.finish
        for number, choice in enumerate(_mappings(body.get("choices"))):
            if isinstance(choice.get("finish_reason"), str) and not is_known(choice["finish_reason"]):
                cast("_Json", choice)["finish_reason"] = "stop"  # litellm fails at some words; `finish` has this one
                changed = True
            for name in ("message", "delta"):
                message = cast("_Json", choice.get(name) if isinstance(choice.get(name), dict) else {})
                if number == 0:
                    self._reasoning_details += map(dict, _mappings(message.get("reasoning_details")))
                if isinstance(message.get("content"), list):
                    _flatten(message)
                    changed = True
        return changed


def _mappings(value: object) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list):
        return ()
    return [cast("Mapping[str, Any]", one) for one in cast("list[object]", value) if isinstance(one, Mapping)]


def _finish_word(body: Mapping[str, Any]) -> tuple[bool, str | None]:
    """Return whether an answer's body, or a piece of one, has a finish reason's place, and the word there."""
    for list_name, name in (("choices", "finish_reason"), ("candidates", "finishReason")):
        if entries := _mappings(body.get(list_name)):
            word = entries[0].get(name)
            return True, word if isinstance(word, str) else None
    delta = body.get("delta")
    holders = [body, cast("Mapping[str, Any]", delta)] if isinstance(delta, Mapping) else [body]
    for holder in holders:
        for name in ("stop_reason", "done_reason", "finish_reason"):
            if name in holder:
                word = holder[name]
                return True, word if isinstance(word, str) else None
    return False, None


def parts_text(content: object) -> tuple[str, str]:
    """Return the text and the reasoning of content that is a list of parts."""
    texts: list[str] = []
    reasonings: list[str] = []
    for part in cast("list[object]", content) if isinstance(content, list) else []:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            values = cast("Mapping[str, Any]", part)
            thought = values.get("thinking", values.get("reasoning"))
            if thought is not None:
                inner, _ = parts_text(thought)
                reasonings.append(thought if isinstance(thought, str) else inner)
            elif isinstance(text := values.get("text", values.get("content")), str):
                texts.append(text)
    return "".join(texts), "".join(reasonings)


def _flatten(message: _Json) -> None:
    """Replace a message's list of parts with its text and its reasoning."""
    message["content"], reasoning = parts_text(message["content"])
    if reasoning and not message.get("reasoning_content"):
        message["reasoning_content"] = reasoning


def _object(data: bytes) -> _Json | None:
    try:
        value: object = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return cast("_Json", value) if isinstance(value, dict) else None


def _events_of(answer: _Json) -> Iterator[bytes]:
    """Yield the events of a stream that gives a whole answer of OpenAI's or Anthropic's form; of another, one event."""
    if choices := _mappings(answer.get("choices")):
        yield from _openai_events(answer, choices[0])
    elif answer.get("type") == "message":
        yield from _anthropic_events(answer)
    else:
        yield _event(answer)


def _openai_events(answer: _Json, choice: Mapping[str, Any]) -> Iterator[bytes]:
    frame = {name: value for name, value in answer.items() if name not in {"choices", "usage"}}
    frame["object"] = "chat.completion.chunk"
    message: Any = choice.get("message")
    delta: Mapping[str, Any] = cast("Mapping[str, Any]", message) if isinstance(message, Mapping) else {}
    calls = [{**call, "index": number} for number, call in enumerate(_mappings(delta.get("tool_calls")))]
    delta = {
        **{name: value for name, value in delta.items() if value is not None},
        **({"tool_calls": calls} if calls else {}),
    }
    yield _event({**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _event({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": choice.get("finish_reason")}]})
    if answer.get("usage") is not None:
        yield _event({**frame, "choices": [], "usage": answer["usage"]})
    yield b"data: [DONE]\n\n"


# What a block begins with in place of its content, and the deltas that bring the content.
_ANTHROPIC_BLOCKS: Final[Mapping[str, Sequence[tuple[str, Any, str, str]]]] = {
    "text": [("text", "", "text_delta", "text")],
    "thinking": [("thinking", "", "thinking_delta", "thinking"), ("signature", "", "signature_delta", "signature")],
    "tool_use": [("input", {}, "input_json_delta", "partial_json")],
}


def _anthropic_events(answer: _Json) -> Iterator[bytes]:
    yield _event({"type": "message_start", "message": {**answer, "content": [], "stop_reason": None}})
    for index, block in enumerate(_mappings(answer.get("content"))):
        parts = _ANTHROPIC_BLOCKS.get(str(block.get("type")), ())
        start = {**block, **{key: empty for key, empty, _, _ in parts}}
        yield _event({"type": "content_block_start", "index": index, "content_block": start})
        for key, _, delta_type, name in parts:
            value = block.get(key)
            if value:
                text = value if isinstance(value, str) else orjson.dumps(value).decode()
                delta = {"type": delta_type, name: text}
                yield _event({"type": "content_block_delta", "index": index, "delta": delta})
        yield _event({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": answer.get("stop_reason"), "stop_sequence": answer.get("stop_sequence")}
    yield _event({"type": "message_delta", "delta": delta, "usage": answer.get("usage") or {}})
    yield _event({"type": "message_stop"})


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"
