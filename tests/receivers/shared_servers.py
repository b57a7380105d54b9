"""Real Redis and Postgres servers on free ports of loopback, which a test may kill, stop and start again."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from real_backends import environment, eventually, free_port

__all__ = ["PASSWORD", "PostgresServer", "RedisServer", "Server", "library_path", "serve", "with_libraries"]

PASSWORD = f"{secrets.token_hex(4)}d/of@pass"
"""What no message may show; it has what ends a part of a URL."""
_QUOTED = PASSWORD.replace("/", "%2F").replace("@", "%40")
_INSTALL = "install it with the system's package manager, as `make test-integration` does on Debian"


def library_path() -> str:
    """Return the folder with the clients' libraries, which have an environment of their own."""
    (packages,) = environment("shared").parent.glob("lib/python*/site-packages")
    return str(packages)


@contextmanager
def with_libraries() -> Iterator[None]:
    """Let this process import the clients' libraries."""
    path = library_path()
    sys.path.append(path)
    try:
        yield
    finally:
        sys.path.remove(path)


class Server(ABC):
    """A server in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def answers(self) -> bool: ...

    def start(self) -> None:
        """Start it, and wait until it answers; after a SIGKILL it may need more than one try."""

        def answers() -> bool:
            if self.process is None or self.process.poll() is not None:
                self.process = self._popen()
            return self.answers()

        try:
            eventually(answers, bool, self.command()[0])
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._log()}") from None

    def kill(self) -> None:
        """Send SIGKILL, and wait for its end."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)

    def pause(self) -> None:
        """Stop every process of it, so that it hangs."""
        self._signal_all(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in [self.process.pid, *map(int, children)]:
            os.kill(pid, number)

    def _log(self) -> str:
        log = self.folder / "log"
        return log.read_text("utf-8", "replace")[-2_000:] if log.exists() else ""

    def _popen(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                start_new_session=True, **_user(),
            )  # fmt: skip


class RedisServer(Server):
    @property
    def url(self) -> str:
        return f"redis://:{_QUOTED}@127.0.0.1:{self.port}/1"

    def command(self) -> list[str]:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        assert program, f"no redis-server: {_INSTALL}"
        return [program, "--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", PASSWORD, "--save", ""]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                connection.sendall(f"AUTH {PASSWORD}\r\n".encode())
                return connection.recv(100).startswith(b"+OK")
        except OSError:
            return False


class PostgresServer(Server):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        # Debian has the programs of the server not on the path.
        places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin")), *map(Path, os.get_exec_path())]
        wanted = ("initdb", "postgres", "pg_isready")
        found = [place for place in places if all((place / name).exists() for name in wanted)]
        assert found, f"no PostgreSQL: {_INSTALL}"
        self._bin = found[0]
        (folder / "password").write_text(PASSWORD)
        if _user():
            for one in (folder, folder / "password"):
                shutil.chown(one, "postgres")
        subprocess.run(
            [self._bin / "initdb", "-D", folder / "data", "-A", "scram-sha-256", "-U", "ada", "-E", "UTF8",
             "--locale", "C", "--pwfile", folder / "password"],
            check=True, capture_output=True, cwd=folder, **_user(),
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"postgresql://ada:{_QUOTED}@127.0.0.1:{self.port}/postgres"

    def command(self) -> list[str]:
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        more = [f"--{name}={value}" for name, value in options.items()]
        return [str(self._bin / "postgres"), "-D", str(self.folder / "data"), *more]

    def answers(self) -> bool:
        said = subprocess.run(
            [self._bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False, timeout=30
        )
        return said.returncode == 0


def _user() -> dict[str, str]:
    """Return what starts a process as another user: a Postgres does not run as root."""
    return {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}


@contextmanager
def serve(kind: type[Server]) -> Iterator[Server]:
    """Run a server until the end of the block."""
    # Not in pytest's folder, which other users cannot enter.
    with tempfile.TemporaryDirectory(prefix="llmops-server-") as name:
        if _user():
            shutil.chown(name, "postgres")
        server = kind(Path(name))
        server.start()
        try:
            yield server
        finally:
            server.go_on()
            server.kill()
