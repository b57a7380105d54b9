"""`llmops guard check`, `llmops guard list` and `llmops guard calibrate`."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmops_sdk.cli._options import Form
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._formats import Format, write_rows
from llmops_sdk.cli.output._text import defuse
from llmops_sdk.errors import ConfigError, LLMOpsError

if TYPE_CHECKING:
    from llmops_sdk.guardrails import Detector
    from llmops_sdk.guardrails._registry import Kind

__all__ = ["calibrate", "check", "list_"]

_MOST_BYTES = 64 * 1024**2


def check(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="The text, a file with it, or - for the standard input.")
    ] = "-",
    guards: Annotated[
        str, typer.Option("--guards", "-g", metavar="NAMES", help="The guards, e.g. cards,cards:block.")
    ] = "",
    rail: Annotated[
        str, typer.Option("--rail", help="input, documents, tool_definitions, tool_results, tool_arguments or output.")
    ] = "input",
    form: Form = Format.TABLE,
) -> bool:
    """Check a text, and exit with 1 if a guard refuses it.

    The text as the guards leave it goes to stdout below the verdicts; with --format json it is part of them.
    """
    names = [name.strip() for name in guards.split(",") if name.strip()]
    if not names:
        raise UsageError("name the guards: --guards cards,…; `llmops guard list` shows them")
    from llmops_sdk.guardrails import check as check_text

    given: Any = rail  # `check` refuses an unknown one
    done = check_text(_read(text), names, rail=given)
    columns = ("guard", "action", "score", "threshold", "reason", "findings", "duration_ms")
    rows = [
        (
            one.guard,
            one.action,
            one.score,
            one.threshold,
            one.reason,
            ", ".join(f"{found.kind} {found.start}-{found.end}" for found in one.findings),
            round(one.duration_ms, 3),
        )
        for one in done.verdicts
    ]
    if form is Format.TABLE:
        write_rows(form, columns, rows, sys.stdout)
        if done.text:
            print(f"\n{defuse(done.text)}")
    else:
        write_rows(form, (*columns, "text"), [(*row, done.text) for row in rows], sys.stdout)
    return done.action not in {"block", "reask", "fallback"}


def list_(
    guard: Annotated[
        str | None, typer.Argument(metavar="[GUARD]", help="Show this guard only. Default: every guard with a name.")
    ] = None,
    form: Form = Format.TABLE,
) -> None:
    """List the guards that have names.

    Version and threshold are those of your configuration; they are empty where a guard needs an option or a library.
    Streams says when a stream on the output passes: at once as the text settles, or at the end of the answer.
    """
    from llmops_sdk.guardrails._registry import KINDS, PACKS, RAILS_OF

    if guard is not None and guard not in {**KINDS, **PACKS}:
        from llmops_sdk.guardrails import resolve

        resolve([guard])  # its error names the nearest one
        guard = guard.partition(":")[0]
    options = _configured_options()
    columns = ("guard", "finds", "default action", "actions", "rails", "streams", "version", "threshold")
    rows: list[tuple[object, ...]] = []
    for name, kind in KINDS.items():
        version, threshold = _as_configured(name, options)
        actions = ", ".join((*kind.actions, *(["keep_last4"] if name == "cards" else ())))
        rows.append((name, kind.does, kind.default, actions, _rails(kind), _streams(kind), version, threshold))
    rows += [(name, f"what {', '.join(pack)} find", *[""] * 5, None) for name, pack in PACKS.items()]
    write_rows(form, columns, [row for row in rows if guard in {None, row[0]}], sys.stdout)
    if form is Format.TABLE:
        rails = "; ".join(f"{action}: {', '.join(some)}" for action, some in RAILS_OF.items())
        print()
        for note in (
            f"Actions that work on some rails only: {rails}.",
            "With block, reask and fallback, every guard waits for the end of a stream.",
        ):
            print("\n".join(_fitted_lines(note)))


def _fitted_lines(note: str) -> list[str]:
    """Return the note in lines that fit the terminal, or in one line elsewhere."""
    if not sys.stdout.isatty():
        return [note]
    from llmops_sdk.cli.output._terminal import terminal_width

    return textwrap.wrap(note, terminal_width(sys.stdout))


def _rails(kind: Kind) -> str:
    from llmops_sdk.guardrails._protocol import RAILS

    return "all" if kind.fits == RAILS else ", ".join(kind.fits)


def _streams(kind: Kind) -> str:
    from llmops_sdk.guardrails import detectors

    return "at once" if hasattr(getattr(detectors, kind.detector), "settled") else "at the end"


def _configured_options() -> Mapping[str, Mapping[str, Any]]:
    """Return the options of the configuration; none of a broken one, as the list helps to mend it."""
    from llmops_sdk.config import current

    try:
        return current().guardrails.options
    except ConfigError:
        return {}


def _as_configured(name: str, options: Mapping[str, Mapping[str, Any]]) -> tuple[str, float | None]:
    from llmops_sdk.guardrails import resolve

    try:
        guard: Any = resolve([name], options)[0]
    except LLMOpsError:
        return "", None
    detector = getattr(guard, "detector", guard)
    return detector.version.removesuffix(f":{getattr(guard, 'action', '')}"), getattr(detector, "threshold", None)


def calibrate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines, each with text and label (0 or 1).")],
    guard: Annotated[
        str, typer.Option("--guard", "-g", metavar="NAME", help="The guard: injection or classifier.")
    ] = "injection",
    fpr: Annotated[float, typer.Option("--fpr", help="The share of false positives to allow.")] = 0.01,
    form: Form = Format.TABLE,
) -> None:
    """Find the threshold of a guard on your own texts.

    It prints the lines for the configuration below the table. The threshold holds for the version in them only.
    """
    from llmops_sdk.guardrails import calibrate as calibrate_detector
    from llmops_sdk.guardrails._calibrate import read_calibration_rows

    found = calibrate_detector(read_calibration_rows(file), _detector(guard), fpr)
    columns = (
        "guard", "version", "threshold", "fpr", "fpr_low", "fpr_high", "recall", "recall_low", "recall_high",
        "harmless", "attacks",
    )  # fmt: skip
    values = (found.fpr, *found.fpr_interval, found.recall, *found.recall_interval)
    shown = [value if value is None else round(value, 4) for value in values]
    row = (guard, found.version, found.threshold, *shown, found.negatives, found.positives)
    write_rows(form, columns, [row], sys.stdout)
    if form is Format.TABLE:
        print(f"\n[guardrails.options.{guard}]")
        print(f"threshold = {found.threshold!r}\nversion = {json.dumps(found.version)}")


def _detector(name: str) -> Detector:
    """Return the detector of a guard, with its options in the configuration but the threshold."""
    from llmops_sdk.config import current
    from llmops_sdk.guardrails import resolve
    from llmops_sdk.guardrails._registry import ASKING

    if name in ASKING:
        raise UsageError(f"{name} asks a model: give llmops_sdk.guardrails.calibrate a detector with a provider")
    options = current().guardrails.options.get(name, {})
    kept = {key: value for key, value in options.items() if key not in {"threshold", "version"}}
    (guard,) = resolve([name], {name: kept})
    detector: Detector | None = getattr(guard, "detector", None)
    if detector is None:
        raise UsageError(f"the guard {name!r} has no score, so there is no threshold to find")
    return detector


def _read(text: str) -> str:
    if text == "-":
        return _decoded(sys.stdin.buffer.read(_MOST_BYTES + 1))
    path = Path(text)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # too long for a name, or a NUL in it
        is_file = False
    if not is_file:
        return text
    with path.open("rb") as file:
        return _decoded(file.read(_MOST_BYTES + 1))


def _decoded(content: bytes) -> str:
    if len(content) > _MOST_BYTES:
        raise UsageError(f"the text has more than {_MOST_BYTES // 1024**2} MB: check it in parts")
    return content.decode("utf-8", "replace")
