"""The OpenAI chat completions and embeddings APIs on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from loopback import LoopbackServer, Recorded, sse


class OpenAIServer(LoopbackServer):
    """Serves `POST /v1/chat/completions` and `/v1/embeddings`."""

    @property
    def base_url(self) -> str:
        """Return the value for OPENAI_BASE_URL."""
        return f"{self.url}/v1"

    def _frame(self, request: Recorded, kind: str) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": kind,
            "created": 1,
            "model": f"{request.body['model']}-served",
            "system_fingerprint": "fp_1",
            "service_tier": "default",
        }

    def _usage(self) -> dict[str, Any]:
        reply = self.reply
        return {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": reply.output_tokens,
            "total_tokens": reply.input_tokens + reply.output_tokens,
            "prompt_tokens_details": {"cached_tokens": reply.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
        }

    def _finish(self) -> str:
        return self.reply.finish_reason or ("tool_calls" if self.reply.tool_calls else "stop")

    def whole(self, request: Recorded) -> dict[str, Any]:
        """Return the whole answer."""
        if request.path == "/v1/embeddings":
            texts = request.body["input"]
            data = [{"object": "embedding", "index": n, "embedding": [float(n), 1.0]} for n in range(len(texts))]
            # Out of order: the API allows it.
            return {
                "object": "list",
                "data": data[::-1],
                "model": request.body["model"],
                "usage": {"prompt_tokens": 5, "total_tokens": 5},
            }
        message: dict[str, Any] = {"role": "assistant", "content": self.reply.text or None}
        if self.reply.refusal:
            message["refusal"] = self.reply.refusal
        if self.reply.reasoning:
            message["reasoning_content"] = self.reply.reasoning
        if self.reply.tool_calls:
            message["tool_calls"] = [
                {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
                for n, (name, arguments) in enumerate(self.reply.tool_calls)
            ]
        choice = {"index": 0, "message": message, "finish_reason": self._finish()}
        return {**self._frame(request, "chat.completion"), "choices": [choice], "usage": self._usage()}

    def events(self, request: Recorded) -> Iterator[bytes]:
        """Yield the role, the text by words, interleaved tool calls, the finish reason, the usage and the end."""
        frame = self._frame(request, "chat.completion.chunk")

        def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
            return sse({**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

        yield event({"role": "assistant", "content": ""})
        if self.reply.reasoning:
            yield event({"reasoning_content": self.reply.reasoning})
        for piece in self.reply.pieces():
            yield event({"content": piece})
        for start in range(0, len(self.reply.refusal), 5):
            yield event({"refusal": self.reply.refusal[start : start + 5]})
        texts = [json.dumps(arguments) for _, arguments in self.reply.tool_calls]
        for n, (name, _) in enumerate(self.reply.tool_calls):
            head = {"index": n, "id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": ""}}
            yield event({"tool_calls": [head]})
        for half in (0, 1):
            for n, text in enumerate(texts):
                part = text[len(text) // 2 :] if half else text[: len(text) // 2]
                yield event({"tool_calls": [{"index": n, "function": {"arguments": part}}]})
        yield event({}, self._finish())
        if (request.body.get("stream_options") or {}).get("include_usage"):
            yield sse({**frame, "choices": [], "usage": self._usage()})
        yield sse("[DONE]")
