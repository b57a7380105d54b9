"""`llmops dataset create`, `list`, `show`, `diff`, `split`, `export` and `delete`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmops_sdk.cli._options import Force, Form, Limit, Store
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._formats import Format, write_rows
from llmops_sdk.cli.output._reading import show as show_rows
from llmops_sdk.cli.output._reading import store_folder

if TYPE_CHECKING:
    from llmops_sdk.datasets import Dataset

__all__ = ["create", "delete", "diff", "export", "list_", "show", "split"]

_DIGITS = 12

_Ref = Annotated[
    str,
    typer.Argument(metavar="NAME[@VERSION]", help="The data set, and at least 6 digits of a version. Default: latest."),
]
_Omit = Annotated[
    list[str] | None,
    typer.Option("--omit", metavar="COLUMN", help="Leave out this metadata, e.g. user_id, or source_trace_id."),
]


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The data set's name.", show_default=False)],
    file: Annotated[
        str | None, typer.Option("--file", "-f", metavar="FILE", help="A JSONL, CSV or Parquet file; - is stdin.")
    ] = None,
    sql: Annotated[
        str | None, typer.Option("--sql", metavar="SQL", help="A query over the stored traces; - reads it from stdin.")
    ] = None,
    file_format: Annotated[
        str | None, typer.Option("--file-format", help="jsonl, csv or parquet. Default: as FILE ends; stdin: jsonl.")
    ] = None,
    input_column: Annotated[str, typer.Option("--input", metavar="COLUMN", help="The column of inputs.")] = "input",
    expected_column: Annotated[
        str, typer.Option("--expected", metavar="COLUMN", help="The column of expected outputs.")
    ] = "expected",
    id_column: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="The column of ids. Default: id, if there is one.")
    ] = None,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """Save a data set of a file, of stdin, or of a query."""
    if (file is None) == (sql is None):
        raise UsageError("give one of --file and --sql")
    from llmops_sdk.datasets import Dataset

    columns: dict[str, Any] = {"input": input_column, "expected": expected_column, "id": id_column}
    folder = store_folder(store)
    if sql is not None:
        text = sys.stdin.read() if sql == "-" else sql
        made = Dataset.from_query(text, path=folder, **columns)
    elif file == "-":
        made = _from_stdin(file_format or "jsonl", columns)
    else:
        made = Dataset.from_file(str(file), form=file_format, **columns)
    saved = made.save(name, path=folder)
    write_rows(form, ("name", "version", "items"), [(saved.name, _short(saved.version, form), len(saved))], sys.stdout)


def _from_stdin(form: str, columns: dict[str, Any]) -> Dataset:
    from llmops_sdk.datasets._stdin import read_stdin

    return read_stdin(form, **columns)


def list_(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Every version of it. Default: all.")] = None,
    limit: Limit = 0,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """List the saved data sets: the latest version of each, or every version of one."""
    from datetime import UTC, datetime

    from llmops_sdk.datasets import versions

    found = versions(name, path=store_folder(store))
    latest = {one.name: one for one in found}
    rows = [
        (
            one.name,
            _short(one.version, form),
            datetime.fromtimestamp(one.time_ns // 10**9, UTC).replace(tzinfo=None),
            one.items,
            one.erased,
            one.bytes,
            one.source,
            one.detail,
        )
        for one in (found if name is not None else latest.values())
    ]
    show_rows(form, ("name", "version", "time", "items", "erased", "bytes", "source", "detail"), rows, limit)


def show(ref: _Ref, limit: Limit = 20, form: Form = Format.TABLE, store: Store = None) -> None:
    """Show the items of a data set."""
    from llmops_sdk.datasets import Dataset

    found = Dataset.load(ref, path=store_folder(store))
    rows = [(one.id, one.input, one.expected, dict(one.metadata) or None, one.source_trace_id) for one in found.items]
    show_rows(form, ("id", "input", "expected", "metadata", "source_trace_id"), rows, limit)
    if found.erased:
        print(f"{found.erased} more items were erased by llmops prune", file=sys.stderr)


def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="NAME[@VERSION].", show_default=False)],
    after: Annotated[
        str | None,
        typer.Argument(
            metavar="AFTER",
            help="NAME[@VERSION]. Default: the latest of the same name; with BEFORE a NAME alone, its last two "
            "versions are compared.",
        ),
    ] = None,
    limit: Limit = 0,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """Show what changed between two data sets, by the ids of their items."""
    from llmops_sdk.datasets import Dataset

    folder = store_folder(store)
    if after is None and "@" not in before:
        before = _previous(before, folder)
    old = Dataset.load(before, path=folder)
    new = Dataset.load(after or before.partition("@")[0], path=folder)
    found = old.diff(new)
    columns = ("change", "id", "column", "before", "after")
    show_rows(form, columns, [tuple(row[column] for column in columns) for row in found.rows()], limit)
    print(
        f"{len(found.added):,} added, {len(found.removed):,} removed, {len(found.changed):,} changed, "
        f"{found.unchanged:,} unchanged",
        file=sys.stderr,
    )


def _previous(name: str, folder: Path) -> str:
    from llmops_sdk.datasets import versions

    saved = versions(name, path=folder)
    if len(saved) == 1:
        raise UsageError(f"{name} has one version only: give a second data set to compare it with")
    return f"{name}@{saved[-2].version}" if saved else name


def split(
    ref: _Ref,
    share: Annotated[
        list[str] | None,
        typer.Option("--share", metavar="PART=SHARE", help="A part and its share, e.g. train=0.8. Repeat for others."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed gives another split.")] = 0,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            metavar="WHAT",
            help="What stays in one part: duplicates, session, user, or a column of the metadata. Default: the first "
            "three.",
        ),
    ] = None,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """Save the parts of a data set as NAME-PART, without leakage between them."""
    shares = _shares(share or ["train=0.8", "test=0.2"])
    from llmops_sdk.datasets import Dataset

    folder = store_folder(store)
    found = Dataset.load(ref, path=folder)
    try:
        parts = found.split(shares, seed=seed, by=by or ("duplicates", "session", "user"))
    except ValueError as error:
        raise UsageError(str(error)) from error
    saved = parts.save(str(found.name), path=folder)
    reached = {name: round(share, 4) for name, share in saved.shares.items()}
    rows = [
        (part.name, _short(part.version, form), len(part), reached[name], shares[name], saved.groups[name])
        for name, part in saved.items()
    ]
    write_rows(form, ("name", "version", "items", "share", "asked", "groups"), rows, sys.stdout)


def export(
    ref: _Ref,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The .jsonl, .csv or .parquet file, or the folder.", show_default=False),
    ],
    file_format: Annotated[
        str | None,
        typer.Option("--file-format", help="jsonl, csv, parquet or huggingface (a folder). Default: as FILE ends."),
    ] = None,
    omit: _Omit = None,
    force: Force = False,
    store: Store = None,
) -> None:
    """Write a data set to a file, or to a folder that Hugging Face's load_dataset reads."""
    from llmops_sdk.datasets import Dataset

    found = Dataset.load(ref, path=store_folder(store))
    found.export(file, form=file_format, omit=omit or (), force=force)  # pyright: ignore[reportArgumentType] - checked
    print(f"{len(found):,} items of {found.name}@{found.version[:_DIGITS]} in {file}", file=sys.stderr)


def delete(
    ref: _Ref,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    store: Store = None,
) -> None:
    """Delete one saved version of a data set."""
    from llmops_sdk.datasets import remove

    if not yes:
        raise UsageError("the items cannot be restored: add --yes to delete them")
    gone = remove(ref, path=store_folder(store))
    print(f"{gone.name}@{gone.version[:_DIGITS]} deleted: {gone.items:,} items", file=sys.stderr)


def _shares(texts: list[str]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            shares[name] = float(number)
        except ValueError as error:
            raise UsageError(f"{text!r} is not a part and its share, as in train=0.8") from error
    return shares


def _short(version: str, form: Format) -> str:
    # For people the beginning is enough; programs get it whole.
    return version if form in {Format.JSON, Format.CSV} else version[:_DIGITS]
