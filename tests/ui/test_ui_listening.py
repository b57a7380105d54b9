"""The page's socket names its protocol: asyncio sends small answers at once only on such sockets."""

from __future__ import annotations

import socket

from llmops_sdk.ui._server import _listening


def test_the_socket_names_its_protocol():
    with _listening("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP
