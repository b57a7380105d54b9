"""A real SMTP server on loopback, as small as RFC 5321 allows: EHLO, STARTTLS, AUTH PLAIN, MAIL, RCPT, DATA.

The standard library has none since Python 3.12.
"""

from __future__ import annotations

import base64
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Mail", "SmtpReceiver", "certificate", "smtp_receiver"]


@dataclass
class Mail:
    """A mail as it came."""

    sender: str
    to: list[str]
    content: bytes = b""
    user: str = ""
    encrypted: bool = False


@dataclass
class SmtpReceiver:
    """A running server."""

    port: int
    mails: list[Mail] = field(default_factory=list[Mail])
    commands: list[str] = field(default_factory=list[str])
    refusals: dict[str, str] = field(default_factory=dict[str, str])
    """An answer other than the usual one, by the command's name."""


class _Conversation(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.mail = Mail("", [])
        self.user, self.encrypted = "", False
        if self.server.implicit:
            self._encrypt()
        self._say("220 loopback")
        while line := self.rfile.readline(4_096).decode("utf-8", "replace").strip():
            name, _, rest = line.partition(" ")
            name = name.upper()
            self.server.receiver.commands.append(name)
            if name in self.server.receiver.refusals:
                self._say(self.server.receiver.refusals[name])
            elif name == "QUIT":
                self._say("221 bye")
                return
            else:
                self._answer(name, rest)

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def _answer(self, name: str, rest: str) -> None:
        if name == "EHLO":
            extensions = ["loopback", *([] if self.encrypted or self.server.context is None else ["STARTTLS"])]
            extensions += ["AUTH PLAIN", "SIZE 1000000"]
            self._say("\r\n".join(f"250{'-' if one != extensions[-1] else ' '}{one}" for one in extensions))
        elif name == "STARTTLS":
            self._say("220 go on")
            self._encrypt()
        elif name == "AUTH":
            self.user = base64.b64decode(rest.split()[1]).decode().replace("\0", " ").strip()
            self._say("235 ok")
        elif name == "MAIL":
            self.mail = Mail(rest.partition("<")[2].partition(">")[0], [], b"", self.user, self.encrypted)
            self._say("250 ok")
        elif name == "RCPT":
            self.mail.to.append(rest.partition("<")[2].partition(">")[0])
            self._say("250 ok")
        elif name == "DATA":
            self._say("354 go on")
            lines: list[bytes] = []
            while (line := self.rfile.readline(100_000)) not in {b".\r\n", b""}:
                lines.append(line.removeprefix(b"."))
            self.mail.content = b"".join(lines)
            self.server.receiver.mails.append(self.mail)
            self._say("250 taken")
        else:
            self._say("250 ok")

    def _encrypt(self) -> None:
        assert self.server.context is not None
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.encrypted = True
        self.rfile.close()
        self.rfile = self.request.makefile("rb")

    def _say(self, text: str) -> None:
        self.request.sendall(text.encode() + b"\r\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    receiver: SmtpReceiver
    context: ssl.SSLContext | None = None
    implicit = False

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that does not like the certificate hangs up."""


def certificate(folder: Path) -> Path:
    """Make a certificate for localhost that signs itself; return the file with it and its key."""
    file = folder / "localhost.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", file, "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_text(file.read_text() + (folder / "cert.pem").read_text())
    return file


@contextmanager
def smtp_receiver(tls: Path | None = None, *, implicit: bool = False) -> Iterator[SmtpReceiver]:
    """Serve until the end of the block; with a certificate over TLS, from the start or by STARTTLS."""
    server = _Server(("127.0.0.1", 0), _Conversation)
    server.receiver = SmtpReceiver(server.server_address[1])
    server.implicit = implicit
    if tls is not None:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(tls)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server.receiver
    finally:
        server.shutdown()
        server.server_close()
