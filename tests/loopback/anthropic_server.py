"""The Anthropic messages API on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from loopback import Fault, LoopbackServer, Recorded, sse


class AnthropicServer(LoopbackServer):
    """Serves `POST /v1/messages`."""

    def error_body(self, fault: Fault) -> dict[str, Any]:
        """Return an error in the vendor's form."""
        return {"type": "error", "error": {"type": "simulated", "message": fault.error}}

    def error_event(self) -> bytes:
        """Return an error in the middle of a stream."""
        return sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error")

    def _stop(self) -> str:
        return self.reply.finish_reason or ("tool_use" if self.reply.tool_calls else "end_turn")

    def _input(self) -> dict[str, Any]:
        # This API does not count cached tokens as input tokens.
        cached, created = self.reply.cached_tokens, self.reply.cache_creation_tokens
        return {
            "input_tokens": self.reply.input_tokens - cached - created,
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": created,
        }

    def _message(self, request: Recorded, content: list[Any], stop: str | None, output: int) -> dict[str, Any]:
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": f"{request.body['model']}-served",
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": {**self._input(), "output_tokens": output},
        }

    def whole(self, request: Recorded) -> dict[str, Any]:
        """Return the whole answer."""
        content: list[Any] = [{"type": "text", "text": self.reply.text}] if self.reply.text else []
        content += [
            {"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": arguments}
            for n, (name, arguments) in enumerate(self.reply.tool_calls)
        ]
        return self._message(request, content, self._stop(), self.reply.output_tokens)

    def events(self, request: Recorded) -> Iterator[bytes]:
        """Yield the start, each block with its deltas, the stop reason and the end."""
        yield sse({"type": "message_start", "message": self._message(request, [], None, 1)}, "message_start")
        index = 0
        if self.reply.text:
            yield from self._block(index, {"type": "text", "text": ""}, "text_delta", "text", self.reply.pieces())
            index += 1
        for n, (name, arguments) in enumerate(self.reply.tool_calls):
            text = json.dumps(arguments)
            start = {"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": {}}
            halves = [text[: len(text) // 2], text[len(text) // 2 :]]
            yield from self._block(index, start, "input_json_delta", "partial_json", halves)
            index += 1
        delta = {"stop_reason": self._stop(), "stop_sequence": None}
        usage = {"output_tokens": self.reply.output_tokens}
        yield sse({"type": "message_delta", "delta": delta, "usage": usage}, "message_delta")
        yield sse({"type": "message_stop"}, "message_stop")

    @staticmethod
    def _block(index: int, start: dict[str, Any], kind: str, key: str, pieces: list[str]) -> Iterator[bytes]:
        head = {"type": "content_block_start", "index": index, "content_block": start}
        yield sse(head, "content_block_start")
        for piece in pieces:
            delta = {"type": "content_block_delta", "index": index, "delta": {"type": kind, key: piece}}
            yield sse(delta, "content_block_delta")
        yield sse({"type": "content_block_stop", "index": index}, "content_block_stop")
