"""Notifiers on this machine: a command that is run, and a file that grows."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
from collections.abc import Sequence

import orjson

from llmops_sdk.config import NotifierSettings
from llmops_sdk.errors import NotifierError
from llmops_sdk.monitoring.notify._message import Message, payload
from llmops_sdk.monitoring.notify._sender import TIMEOUT

__all__ = ["CommandSender", "FileSender"]


class CommandSender:
    """Runs a program without a shell. It gets JSON on its standard input, and its output is discarded.

    Args:
        name: The notifier's name.
        settings: Its settings.
        timeout: Seconds after which the program and its children are killed.
    """

    pause = 0.0

    def __init__(self, name: str, settings: NotifierSettings, timeout: float = TIMEOUT) -> None:
        self._name = name
        self._command = list(settings.command)
        self._timeout = timeout

    def send(self, batch: Sequence[Message]) -> None:
        """Run the command once; status 0 means that it has taken the messages."""
        try:
            process = subprocess.Popen(  # noqa: S603 - a list of arguments from the settings, no shell
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # so that its children can be killed, too
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise NotifierError(f"[notify.{self._name}] cannot be run: {reason}", notifier=self._name) from None
        try:
            process.communicate(orjson.dumps(payload(batch)) + b"\n", timeout=self._timeout)
        except subprocess.TimeoutExpired:
            raise NotifierError(
                f"[notify.{self._name}] did not end within {self._timeout:g} seconds", notifier=self._name
            ) from None
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode:
            raise NotifierError(f"[notify.{self._name}] ended with status {process.returncode}", notifier=self._name)


class FileSender:
    """Appends a line of JSON for each message.

    Args:
        name: The notifier's name.
        settings: Its settings.
    """

    pause = 0.0

    def __init__(self, name: str, settings: NotifierSettings) -> None:
        assert settings.path is not None
        self._name = name
        self._path = settings.path

    def send(self, batch: Sequence[Message]) -> None:
        """Append the lines in one write, and wait until they are on the disk."""
        lines = b"".join(orjson.dumps({"message_id": one.id, **payload([one])}) + b"\n" for one in batch)
        try:
            self._append(lines)
        except OSError as error:
            raise NotifierError(
                f"[notify.{self._name}] cannot be written: {error.strerror}", notifier=self._name
            ) from None

    def _append(self, lines: bytes) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            state = os.fstat(descriptor)
            regular = stat.S_ISREG(state.st_mode)
            if regular and state.st_size and os.pread(descriptor, 1, state.st_size - 1) != b"\n":
                lines = b"\n" + lines  # a full disk cut the last line
            if os.write(descriptor, lines) < len(lines):
                raise OSError(28, "No space left on device")
            if regular:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
