"""A provider on loopback that turns slow, then dead, then well again, when it is told to.

It speaks just enough of the OpenAI API for one short answer. `GET /mode/NAME` sets how it behaves:

- `well`: it answers within 20 ms.
- `slow`: an answer takes 3 s.
- `dead`: it closes each connection without an answer.

Run by `traffic_load.py`; it prints its port.
"""

from __future__ import annotations

import asyncio
import json

LATENCY = {"well": 0.02, "slow": 3.0}
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-x",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Fine."}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }
).encode()


class Provider:
    """The server's state.

    Attributes:
        mode: How it behaves now.
        calls: How many requests it got in each mode.
    """

    def __init__(self) -> None:
        self.mode = "well"
        self.calls: dict[str, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        path = head.split(" ", 2)[1]
        if path.startswith("/mode/"):
            self.mode = path.removeprefix("/mode/")
            await _send(writer, json.dumps(self.calls).encode())
            return True
        lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        await reader.readexactly(int(lines.get("content-length", "0")))
        self.calls[self.mode] = self.calls.get(self.mode, 0) + 1
        if self.mode == "dead":
            return False
        await asyncio.sleep(LATENCY[self.mode])
        await _send(writer, ANSWER)
        return True


async def _send(writer: asyncio.StreamWriter, body: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


async def main() -> None:
    """Serve until the process is killed."""
    server = await asyncio.start_server(Provider().serve, "127.0.0.1", 0, backlog=4_096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
