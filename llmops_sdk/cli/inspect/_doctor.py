"""`llmops doctor`: check the installation, the settings, the store and the exporters."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

from llmops_sdk._version import __version__
from llmops_sdk.cli.output._formats import Format, write_rows
from llmops_sdk.cli.output._reading import query
from llmops_sdk.cli.output._text import cell
from llmops_sdk.errors import ConfigError, LLMOpsError
from llmops_sdk.store.files._filesystems import network_file_system

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["check_everything"]

OK, NOTE, BROKEN = "ok", "note", "broken"
_CONNECT_SECONDS = 1.0
_LARGE_BACKLOG_BYTES = 256 * 1024 * 1024
_LOW_DISK_BYTES = 200 * 1024 * 1024
_OPTIONAL = {"pandas": "pandas", "polars": "polars", "pyarrow": "arrow", "redis": "redis", "psycopg": "postgres"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    part: str
    what: str
    value: str
    source: str = ""
    state: str = OK


def check_everything(*, form: Format, store: Path | None, problems: bool = False, everything: bool = False) -> bool:
    """Write the findings to stdout and return whether nothing is broken.

    Args:
        form: The output format. Only the table leaves out what is as expected.
        store: The store's folder, or None for the configured one.
        problems: Write only what is broken or worth a note.
        everything: Write the table of all findings too.
    """
    findings = [*_installation()]
    settings: Settings | None = None
    try:
        from llmops_sdk.config.loading._files import ProcessEnvironment
        from llmops_sdk.config.loading._load import load_from

        settings = load_from(ProcessEnvironment.of_this_process(), None, {}, drop_untrusted=True)
        findings += _trust()
    except ConfigError as error:
        findings.append(Finding("configuration", "settings", str(error), error.source or "", BROKEN))
    if settings is not None:
        findings += _configuration(settings)
        findings += _privacy(settings)
        findings += _exporters(settings)
        findings += _shared(settings)
    folder = store if store is not None else settings.store.path if settings is not None else None
    if folder is not None:
        folder = folder.expanduser().absolute()
        findings += _store(folder, enabled=settings is None or settings.store.enabled)
        findings += _caches(folder, settings)
        findings += _outboxes(folder, settings)
    shown = [one for one in findings if one.state != OK] if problems else findings
    if form is Format.TABLE and not everything:
        _write_summary(shown, sys.stdout)
    else:
        write_rows(form, ("part", "what", "value", "source", "state"), [astuple(one) for one in shown], sys.stdout)
    broken = [one for one in findings if one.state == BROKEN]
    sys.stdout.flush()
    for one in broken:
        print(f"broken: {one.part}, {one.what}: {one.value}", file=sys.stderr)
    if not broken and form is Format.TABLE:
        print("all is well")
    return not broken


def _write_summary(findings: Sequence[Finding], out: TextIO) -> None:
    """Write what an application decides or should know, one finding a line: no defaults, no versions of libraries."""
    part = ""
    for one in findings:
        is_usual = one.source == "default" if one.part == "setting" else one.what in _libraries()
        if one.state == BROKEN or (one.state == OK and is_usual):
            continue
        if one.part != part:
            part = one.part
            out.write(f"{part}\n")
        text = f"{one.what}: {cell(one.value)}" + (f"  ({cell(one.source)})" if one.part == "setting" else "")
        text = f"note: {text}" if one.state == NOTE else text
        lines = _folded(text, out) if out.isatty() else [text]
        out.writelines(f"{'    ' if number else '  '}{line}\n" for number, line in enumerate(lines))


def _folded(text: str, out: TextIO) -> list[str]:
    from llmops_sdk.cli.output._terminal import folded, terminal_width

    return folded(text, terminal_width(out) - 4)


def _libraries() -> frozenset[str]:
    return frozenset([*_requirements(), *_OPTIONAL])


def _installation() -> Iterator[Finding]:
    yield Finding("installation", "llmops-sdk", __version__, str(Path(__file__).resolve().parents[2]))
    yield Finding("installation", "python", platform.python_version(), sys.executable)
    yield Finding("installation", "platform", platform.platform())
    for name in _requirements():
        try:
            yield Finding("installation", name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding("installation", name, "not installed: pip install llmops-sdk", "", BROKEN)
    for module, extra in _OPTIONAL.items():
        present = importlib.util.find_spec(module) is not None
        value = importlib.metadata.version(module) if present else f'not installed: pip install "llmops-sdk[{extra}]"'
        yield Finding("optional", module, value, "", OK if present else NOTE)


def _requirements() -> list[str]:
    try:
        declared = importlib.metadata.requires("llmops-sdk") or []
    except importlib.metadata.PackageNotFoundError:
        return []  # a source tree that is not installed
    return [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in declared if "extra ==" not in line]


def _configuration(settings: Settings) -> Iterator[Finding]:
    from llmops_sdk.config import describe_settings

    values = describe_settings(settings)
    files = {one.source.partition(": ")[2] for one in values if not one.source.startswith("environment")} - {""}
    yield Finding("configuration", "files in use", ", ".join(sorted(files)) or "none: all values are defaults")
    for one in values:
        yield Finding("setting", one.key, one.text, one.source)
    yield from _prices(settings)


def _prices(settings: Settings) -> Iterator[Finding]:
    """Name the prices that no configured model uses."""
    from llmops_sdk.config.loading._prices import unused_prices

    for key, meant in unused_prices(settings):
        value = "for no configured model" + (f"; did you mean {meant}?" if meant else "")
        yield Finding("configuration", key, value, settings.source(key), NOTE)


def _trust() -> Iterator[Finding]:
    """Say what the files that were only found may decide, for the programs of the project and for others."""
    from llmops_sdk.config.loading._environment import CONFIG_FILE_VARIABLE
    from llmops_sdk.config.loading._files import ProcessEnvironment
    from llmops_sdk.config.loading._trust import found_trust

    process = ProcessEnvironment.of_this_process()
    for trust, _ in found_trust(process):
        if trust.path.name != "pyproject.toml" and process.environ.get(CONFIG_FILE_VARIABLE):
            continue  # another file is read in its place
        name = str(trust.path)
        if not trust.refused:
            yield Finding("configuration", "trust", "not needed: it sets models and policies only", name)
        elif trust.reason:
            yield Finding("configuration", "trust", trust.reason, name)
        else:
            value = f"only programs below {trust.root} may use what follows; run `llmops trust` for notebooks and tools"
            yield Finding("configuration", "trust", value, name, NOTE)
            for line in trust.descriptions():
                yield Finding("configuration", "not trusted", line, name, NOTE)


def _privacy(settings: Settings) -> Iterator[Finding]:
    export = settings.export
    content, source = export.content, settings.source("export.content")
    console = export.enabled and "console" in export.exporters
    receivers = [name for name, own in export.trace_destinations.items() if own.content] if not content else []
    if not (export.trace_destinations or export.logs_url or console):
        yield Finding("privacy", "content leaves this machine", "no: no exporter is set", source)
    elif content:
        yield Finding("privacy", "content leaves this machine", "YES: prompts and answers are exported", source, NOTE)
    elif receivers:
        value, key = f"YES: prompts and answers are exported to {', '.join(receivers)}", receivers[0]
        yield Finding("privacy", "content leaves this machine", value, f"export.destinations.{key}.content", NOTE)
    else:
        yield Finding("privacy", "content leaves this machine", "no: spans are exported without content", source)
    stored = "yes, in the local store" if settings.capture.content and settings.store.enabled else "no"
    yield Finding("privacy", "content is stored", stored, settings.source("capture.content"))
    if (name := settings.redaction.hash_key_env) is not None:
        from llmops_sdk.tracing.privacy._hash_key import hash_key

        usable = hash_key(settings.redaction, warn=False) is not None
        value = f"with the key in {name}" if usable else f"NO: {name} holds no key of at least 16 characters"
        source = settings.source("redaction.hash_key_env")
        yield Finding("privacy", "hashes of redacted values", value, source, OK if usable else NOTE)


def _exporters(settings: Settings) -> Iterator[Finding]:
    export = settings.export
    general = settings.source("export.endpoint")
    source = settings.source("export.traces_endpoint") if export.traces_endpoint else general
    yield _check_endpoint("endpoint", export.traces_url, source)
    for name, own in export.destinations.items() if export.enabled else ():
        yield _check_endpoint(
            f"destination {name}", own.endpoint, settings.source(f"export.destinations.{name}.endpoint")
        )
    for what, key, url, signal in (
        ("metrics", "metrics", export.metrics_url, export.metrics),
        ("scores", "logs", export.logs_url, export.logs),
    ):
        # If spans go to the same server, the line above is enough.
        if url is not None and (signal.endpoint or export.traces_url is None):
            yield _check_endpoint(what, url, settings.source(f"export.{key}.endpoint") if signal.endpoint else general)
    if export.enabled and "console" in export.exporters:
        yield Finding("exporter", "console", "spans are written to stdout", settings.source("export.exporters"))


def _check_endpoint(what: str, url: str | None, source: str) -> Finding:
    if url is None:
        return Finding("exporter", what, "none", source)
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        host, port = parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme, 4317)
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    if not host:
        return Finding("exporter", what, "not a URL", source, BROKEN)
    shown = f"{parts.scheme or 'grpc'}://{host}:{port}{parts.path}"  # omit user name, password and query
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        return Finding("exporter", what, f"{shown} cannot be reached: {error}", source, BROKEN)
    return Finding("exporter", what, f"{shown} accepts connections", source)


def _shared(settings: Settings) -> Iterator[Finding]:
    if settings.shared.url is None:
        return
    from llmops_sdk.caching._shared_tiers import check_server

    source = settings.source("shared.url")
    try:
        yield Finding("shared", "server", check_server(settings.shared), source)
    except LLMOpsError as error:
        yield Finding("shared", "server", str(error), source, BROKEN)
        return
    tiers = "exact and semantic" if settings.shared.is_postgres else "exact; the semantic tier is on this machine"
    yield Finding("shared", "cache tiers", tiers)


def _store(folder: Path, *, enabled: bool) -> Iterator[Finding]:
    if not enabled:
        yield Finding("store", "folder", "turned off", "store.enabled", NOTE)
        return
    if not folder.exists():
        parent = next(place for place in folder.parents if place.exists())
        usable = parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)
        value = (
            f"{folder} (the first span creates it)"
            if usable
            else f"{folder} cannot be created: {parent} is not writable"
        )
        yield Finding("store", "folder", value, "", OK if usable else BROKEN)
        return
    if not folder.is_dir():
        yield Finding("store", "folder", f"{folder} is a file, not a folder", "", BROKEN)
        return
    yield Finding("store", "folder", str(folder))
    network = network_file_system(folder)
    if network is not None:
        yield Finding("store", "file system", f'{network}: refused unless [store] network = "allow"', "", NOTE)
    yield from _disk(folder)
    yield Finding("store", "size", _size([folder]))
    yield from _content(folder)


def _caches(folder: Path, settings: Settings | None) -> Iterator[Finding]:
    """Show the size of the response caches that lie outside of the store's folder."""
    from llmops_sdk.store.maintenance._places import data_places

    places = data_places(folder, settings) if settings is not None else []
    outside = [place.path for place in places if place.kind == "cache" and not place.path.is_relative_to(folder)]
    if outside:
        value = f"{_size(outside, without=folder)}: {', '.join(map(str, outside))}"
        yield Finding("store", "caches elsewhere", value)


def _outboxes(folder: Path, settings: Settings | None) -> Iterator[Finding]:
    from llmops_sdk.store.outbox._outbox import outbox_sizes

    known = settings.export.trace_destinations if settings is not None else {}
    for name, size in outbox_sizes(folder).items():
        if name in known:
            hint = ": llmops replay sends it now" if size else ""
        else:
            hint = f" for no configured destination: llmops replay --discard {name} deletes it"
        state = NOTE if size or name not in known else OK
        yield Finding("store", f"pending for {name}", f"{size / 1e6:.3f} MB{hint}", "", state)


def _disk(folder: Path) -> Iterator[Finding]:
    try:
        # Try it: permissions do not reveal a read-only file system or a quota.
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
        yield Finding("store", "writable", "yes")
    except OSError as error:
        yield Finding("store", "writable", f"no: {error.strerror}", "", BROKEN)
    free = shutil.disk_usage(folder).free
    yield Finding("store", "free disk", f"{free / 1e9:.1f} GB", "", NOTE if free < _LOW_DISK_BYTES else OK)


def _size(folders: Sequence[Path], without: Path | None = None) -> str:
    """Return the size of the files below folders as text; each file counts once.

    Args:
        folders: The folders; they need not exist.
        without: A folder inside them that does not count, or None.
    """
    sizes: dict[Path, int] = {}
    for file in (file for folder in folders for file in folder.rglob("*")):
        try:
            if file.is_file() and not (without and file.is_relative_to(without)):
                sizes[file] = file.stat().st_size
        except OSError:
            continue  # removed meanwhile
    return f"{sum(sizes.values()) / 1e6:.3f} MB in {len(sizes)} files"


def _content(folder: Path) -> Iterator[Finding]:
    from llmops_sdk.config import Settings, StoreSettings
    from llmops_sdk.store import info

    lost_sql = "SELECT what, reason, sum(count)::BIGINT FROM losses GROUP BY ALL ORDER BY ALL"
    try:
        state = info(Settings(store=StoreSettings(path=folder)))
        spans, latest = query("SELECT count(*), max(start_time) FROM spans", store=folder).rows()[0]
        lost = query(lost_sql, store=folder).rows()
    except LLMOpsError as error:
        yield Finding("store", "readable", str(error), "", BROKEN)
        return
    yield Finding("store", "schema version", str(state.schema_version))
    behind = state.waiting > _LARGE_BACKLOG_BYTES
    value = f"{state.waiting / 1e6:.3f} MB" + (": llmops compact does it now" if behind else "")
    yield Finding("store", "not yet compacted", value, "", NOTE if behind else OK)
    yield Finding("store", "spans", f"{spans}, the latest at {latest:%Y-%m-%d %H:%M:%S} UTC" if spans else "0")
    for what, reason, count in lost:
        value = f"{count} x {what}: {reason}"
        if (what, reason) == ("line", "unreadable"):
            lines = "1 line" if count == 1 else f"{count} lines"
            value = f"{lines} of the store's files cannot be read: a program died while writing, or the disk failed"
        yield Finding("store", "lost or redacted", value, "the view losses", NOTE)
