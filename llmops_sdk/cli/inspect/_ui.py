"""`llmops ui`."""

from __future__ import annotations

import re
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from llmops_sdk._util._optional import require
from llmops_sdk.cli._options import Store
from llmops_sdk.cli._priority import lower_priority
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._reading import store_folder
from llmops_sdk.errors import ConfigError
from llmops_sdk.store.reading._query import is_store

__all__ = ["ui"]

_LEAST_TOKEN = 16


def ui(
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 picks a free one.")] = 0,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse scores, data sets and replays.")] = False,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow a --host that other machines can reach; needs --token-file.")
    ] = False,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="A file with your own token, which stays valid."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="Another name by which browsers reach the page."),
    ] = None,
    store: Store = None,
) -> None:
    """Show the store on a local page, until Ctrl-C."""
    require("starlette", extra="ui", purpose="llmops ui")
    require("uvicorn", extra="ui", purpose="llmops ui")
    from llmops_sdk.ui._server import PageServer

    folder = store_folder(store)

    token = _token(token_file)
    announced: list[str] = []

    def announce(address: str) -> None:
        if announced:
            print("a browser has used that address; for another browser:", file=sys.stderr, flush=True)
        elif open_:  # once: the next address is for another browser
            webbrowser.open(address if token is None else f"{address}?token={token}")
        announced.append(address)
        print(address, flush=True)

    try:
        server = PageServer(
            folder,
            host=host,
            port=port,
            token=token,
            allow_hosts=allow_host or (),
            allow_remote=allow_remote,
            read_only=read_only,
            announce=announce,
        )
    except ConfigError as error:
        raise UsageError(str(error)) from error
    if not is_store(folder):
        print(f"there is no store at {folder} yet: the page is empty until a program writes it", file=sys.stderr)
    how = "" if token is None else f", with ?token= and the token in {token_file}"
    print(f"showing {folder}; press Ctrl-C to stop. Open this address in a browser{how}:", file=sys.stderr, flush=True)
    lower_priority()
    # Ctrl-C is the normal way to end it.
    with suppress(KeyboardInterrupt):
        server.run()


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        token = file.expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token-file {file} cannot be read: {error}") from error
    if not re.fullmatch(rf"[A-Za-z0-9_.~-]{{{_LEAST_TOKEN},200}}", token):
        raise UsageError(f"the token in {file} needs {_LEAST_TOKEN} to 200 letters, digits or any of _ . ~ -")
    return token
