"""Ollama's chat and embedding APIs on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from loopback import LoopbackServer, Recorded


class OllamaServer(LoopbackServer):
    """Serves `POST /api/chat`, `/api/embed`, and `/api/show`, which litellm asks for a model's abilities."""

    def _frame(self, request: Recorded, message: dict[str, Any], *, done: bool) -> dict[str, Any]:
        frame = {"model": request.body.get("model"), "created_at": "2026-01-01T00:00:00Z", "message": message}
        counts = {"prompt_eval_count": self.reply.input_tokens, "eval_count": self.reply.output_tokens}
        return {**frame, "done": done, **({"done_reason": "stop", **counts} if done else {})}

    def whole(self, request: Recorded) -> dict[str, Any]:
        """Return the whole answer."""
        if request.path == "/api/show":
            return {"template": "", "model_info": {}, "capabilities": ["completion", "tools"]}
        if request.path == "/api/embed":
            vectors = [[float(number), 1.0] for number in range(len(request.body["input"]))]
            return {"model": request.body["model"], "embeddings": vectors, "prompt_eval_count": self.reply.input_tokens}
        message: dict[str, Any] = {"role": "assistant", "content": self.reply.text}
        if self.reply.tool_calls:
            message["tool_calls"] = self._calls()
        return self._frame(request, message, done=True)

    def _calls(self) -> list[Any]:
        return [{"function": {"name": name, "arguments": values}} for name, values in self.reply.tool_calls]

    def error_event(self) -> bytes:
        """Return an error in the middle of a stream."""
        return json.dumps({"error": "overloaded"}).encode() + b"\n"

    def events(self, request: Recorded) -> Iterator[bytes]:
        """Yield a line of JSON for each word, and one that ends the answer."""
        for piece in self.reply.pieces():
            frame = self._frame(request, {"role": "assistant", "content": piece}, done=False)
            yield json.dumps(frame).encode() + b"\n"
        if self.reply.tool_calls:
            message = {"role": "assistant", "content": "", "tool_calls": self._calls()}
            yield json.dumps(self._frame(request, message, done=False)).encode() + b"\n"
        yield json.dumps(self._frame(request, {"role": "assistant", "content": ""}, done=True)).encode() + b"\n"
