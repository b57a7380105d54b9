"""`llmops trust`: let configuration files of a project decide where data and keys go."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._text import defuse
from llmops_sdk.errors import ConfigError

if TYPE_CHECKING:
    from llmops_sdk.config.loading._files import ProcessEnvironment

__all__ = ["trust"]


def trust(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The file. Default: those that the search finds from here.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the trusted files.")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Trust the file no longer.")] = False,
) -> bool:
    """Trust a project's llmops.toml, as it is now, after you have read it."""
    from llmops_sdk.config.loading._files import ProcessEnvironment

    process = ProcessEnvironment.of_this_process()
    if show and (revoke or file is not None):
        raise UsageError("--list takes neither FILE nor --revoke")
    if show:
        return _list(process)
    return _revoke(process, file) if revoke else _trust(process, file)


def _list(process: ProcessEnvironment) -> bool:
    from llmops_sdk.config.loading._trust_list import trusted_files

    for path in sorted(trusted_files(process)):
        print(defuse(path))
    return True


def _revoke(process: ProcessEnvironment, file: Path | None) -> bool:
    from llmops_sdk.config.loading import _trust_list
    from llmops_sdk.config.loading._files import find_files

    found = find_files(process)
    found_paths = [one.path for one in (found.config, found.pyproject) if one is not None]
    paths = [process.cwd / file.expanduser()] if file is not None else found_paths
    revoked = [path for path in paths if _trust_list.revoke(process, path)]
    for path in revoked:
        print(f"no longer trusted: {defuse(str(path))}")
    if not revoked:
        print("no such file was trusted; `llmops trust --list` shows all", file=sys.stderr)
    return bool(revoked)


def _trust(process: ProcessEnvironment, file: Path | None) -> bool:
    from llmops_sdk.config.loading import _trust_list
    from llmops_sdk.config.loading._trust import found_trust, named_trust

    path = process.cwd / file.expanduser() if file is not None else None
    judged = found_trust(process) if path is None else [named_trust(path, process)]
    if not judged:
        raise ConfigError(
            f"no llmops.toml and no [tool.llmops] was found from {process.cwd} up to the project's root: change to "
            "the project's folder, or name the file."
        )
    for trusted, layer in judged:
        _trust_list.trust(process, trusted.path, _trust_list.digest_of(layer.data))
        print(f"trusted: {defuse(str(trusted.path))}")
        for line in trusted.descriptions() or ["it sets nothing that needs trust"]:
            print(f"  {defuse(line)}")
    return True
