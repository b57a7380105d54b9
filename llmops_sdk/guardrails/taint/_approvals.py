"""Approvals of tool calls by a person: for one tool with exactly these arguments, for a limited time."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import threading
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._private_files import folder_problem, replace_file
from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails.taint._arguments import call_digest

__all__ = ["ApprovalRequest", "Approvals", "Use"]

Use: TypeAlias = Literal["answer", "run"]
"""Where an approval is spent: on the answer that has the call, and on the run of the tool."""

_USES: tuple[Use, ...] = ("answer", "run")
_MOST_PENDING = 256
_MOST_GRANTS = 4096
_LONGEST_PENDING = 20_000
_KEEP_PENDING = 7 * 86_400.0
_MOST_BYTES = 64 * 1024 * 1024
_DIGEST = re.compile("[0-9a-f]{64}")


@public("llmops_sdk.guardrails")
@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequest:
    """A call of a tool that waits for a person.

    Attributes:
        digest: 64 hex digits of scope, tool and arguments; an approval counts for them alone.
        tool: The tool's name.
        arguments: The arguments by name. A model wrote them: show them as plain text, without terminal codes or HTML.
        reason: Why a person is asked, without content.
        tainted: The arguments that come from untrusted content, as the rule names them.
        scope: The policy's scope, such as a tenant.
        created: When it was made, in seconds since the epoch.
    """

    digest: str
    tool: str
    arguments: Mapping[str, Any] = field(repr=False)
    reason: str = ""
    tainted: tuple[str, ...] = ()
    scope: str = ""
    created: float = 0.0


@dataclass(slots=True)
class _State:
    """Grants by digest, with the time until which each use of them is open; and requests, oldest first."""

    grants: dict[str, dict[str, float]] = field(default_factory=dict[str, "dict[str, float]"])
    pending: dict[str, ApprovalRequest] = field(default_factory=dict[str, ApprovalRequest])


@public("llmops_sdk.guardrails")
class Approvals:
    """Holds granted and pending approvals, in memory or in a file that survives a restart.

    A grant counts once: for one answer with the call, and for one run of the tool.

    Args:
        path: A file in a folder of this user; it is made with mode 0600. It holds the arguments of pending calls.
        ttl: Seconds for which a grant counts.
        clock: The clock, for tests.

    Raises:
        ConfigError: The file or its folder belongs to another user or is open to others, or the file is damaged.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.guardrails import Approvals, ToolPolicy
        >>> approvals = Approvals()
        >>> policy = ToolPolicy({"pay": {"approval": "always"}}, approvals=approvals)
        >>> try:
        ...     policy.check_call("pay", {"amount": 5}, [])
        ... except llmops.GuardrailViolation as error:
        ...     print(error.reason)
        approval needed: pay
        >>> approvals.grant(approvals.pending()[0].digest)
        >>> policy.check_call("pay", {"amount": 5}, [])
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, ttl: float = 900.0, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        if not ttl > 0:
            raise ConfigError(f"ttl={ttl!r}: use a number of seconds above 0", key="ttl", value=ttl)
        self.ttl = ttl
        self._path = None if path is None else Path(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._state = _State()
        with self._changing():
            pass

    def pending(self) -> tuple[ApprovalRequest, ...]:
        """Return the calls that wait for a person, oldest first: the latest 256 of the last seven days."""
        with self._changing() as state:
            return tuple(state.pending.values())

    def grant(self, digest: str, ttl: float | None = None) -> None:
        """Approve a call.

        Args:
            digest: The digest of its request.
            ttl: Seconds for which the approval counts, or None for that of this object.

        Raises:
            ValueError: It is no digest, or `ttl` is not above 0.
        """
        if not _DIGEST.fullmatch(digest):
            raise ValueError("a digest has 64 hex digits: use the one of the ApprovalRequest")
        if ttl is not None and not ttl > 0:
            raise ValueError("ttl must be above 0")
        with self._changing() as state:
            until = self._clock.time() + (self.ttl if ttl is None else ttl)
            state.grants.pop(digest, None)
            state.grants[digest] = dict.fromkeys(_USES, until)
            state.pending.pop(digest, None)

    def refuse(self, digest: str) -> None:
        """Remove a call that waits, and its approval if it has one."""
        with self._changing() as state:
            state.grants.pop(digest, None)
            state.pending.pop(digest, None)

    def allow_run(self, digest: str) -> None:
        """Let the tool run once: a person has approved the call just now."""
        with self._changing() as state:
            state.grants.setdefault(digest, {})["run"] = self._clock.time() + self.ttl

    def take(self, digest: str, use: Use) -> bool:
        """Spend an approval; return whether there was one."""
        with self._changing() as state:
            return state.grants.get(digest, {}).pop(use, None) is not None

    def add_pending(self, request: ApprovalRequest) -> None:
        """Keep a call that waits for a person. A call with more than 20,000 characters of arguments is not kept."""
        with self._changing() as state:
            if _is_sound(request) and len(json.dumps(request.arguments)) <= _LONGEST_PENDING:
                state.pending.setdefault(request.digest, request)

    @contextlib.contextmanager
    def _changing(self) -> Generator[_State]:
        """Give the state, without what has expired; keep the changes."""
        with self._lock, self._file_lock():
            before = ""
            if self._path is not None:
                before, self._state = _read(self._path)
            self._expire(self._state)
            yield self._state
            self._expire(self._state)
            if self._path is not None and (after := _dumped(self._state)) != before:
                _write(self._path, after)

    def _expire(self, state: _State) -> None:
        now = self._clock.time()
        open_uses = {
            digest: {use: until for use, until in uses.items() if now < until} for digest, uses in state.grants.items()
        }
        state.grants = dict([(digest, uses) for digest, uses in open_uses.items() if uses][-_MOST_GRANTS:])
        kept = [one for one in state.pending.values() if now < one.created + _KEEP_PENDING]
        state.pending = {one.digest: one for one in kept[-_MOST_PENDING:]}

    @contextlib.contextmanager
    def _file_lock(self) -> Generator[None]:
        """Hold the lock that other processes with the same file take too."""
        if self._path is None:
            yield
            return
        try:
            import fcntl
        except ImportError:
            raise ConfigError(
                "Approvals(path=...) needs flock, which this system does not have: leave path out"
            ) from None
        if problem := folder_problem(self._path.parent):
            raise ConfigError(f"{self._path.parent} {problem}", key="path", value=str(self._path))
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path.with_name(self._path.name + ".lock"), flags, 0o600)
        except OSError as error:
            raise _unusable(self._path, error.strerror) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _unusable(path: Path, why: str | None) -> ConfigError:
    return ConfigError(f"{path}: the file of approvals cannot be used: {why}", key="path", value=str(path))


def _read(path: Path) -> tuple[str, _State]:
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            state = os.fstat(file.fileno())
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return "", _State()
    except OSError as error:
        raise _unusable(path, error.strerror) from error
    if not stat.S_ISREG(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o077:
        raise _unusable(path, "it belongs to another user, or others may read it: delete it")
    try:
        text = content.decode()
        return text, _loaded(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # Without the cause: it may quote the arguments of a call.
        raise _unusable(path, "it is damaged: delete it") from None


def _loaded(data: Mapping[str, Any]) -> _State:
    grants = {
        digest: {use: float(uses[use]) for use in _USES if use in uses}
        for digest, uses in cast("dict[str, dict[str, Any]]", data["grants"]).items()
        if _DIGEST.fullmatch(digest)
    }
    entries = cast("list[dict[str, Any]]", data["pending"])
    for entry in entries:
        entry["tainted"] = tuple(entry["tainted"])
    requests = [ApprovalRequest(**entry) for entry in entries]
    if not all(map(_is_sound, requests)):
        raise ValueError("a request has another digest")
    return _State(grants, {one.digest: one for one in requests})


def _is_sound(request: ApprovalRequest) -> bool:
    """Return whether the arguments that a person sees are those that the digest binds."""
    return request.digest == call_digest(request.scope, request.tool, request.arguments)


def _dumped(state: _State) -> str:
    pending = [asdict(one) for one in state.pending.values()]
    return json.dumps({"version": 1, "grants": state.grants, "pending": pending})


def _write(path: Path, text: str) -> None:
    try:
        replace_file(path, text.encode(), fsync=True)
    except OSError as error:
        raise _unusable(path, error.strerror) from error
