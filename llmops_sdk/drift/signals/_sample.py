"""Read the texts of a sample of the calls, and measure them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import orjson

from llmops_sdk.drift.signals._frame import Column, Frame, numpy
from llmops_sdk.drift.signals._load import CALL_END, Loaded, find_rows
from llmops_sdk.drift.signals._windows import Windows
from llmops_sdk.drift.texts._features import Vocabulary, language_finder, words
from llmops_sdk.drift.texts._novelty import tail_weights
from llmops_sdk.drift.texts._profile import LANGUAGE_TEXTS, MOST_VECTORS
from llmops_sdk.drift.texts._shift import cluster
from llmops_sdk.embeddings import Embedder
from llmops_sdk.embeddings._vectors import unit_rows

if TYPE_CHECKING:
    from llmops_sdk.store.duck._sql import duckdb

__all__ = ["Sample", "SampledCall", "measure_sample", "read_sample"]

_CLUSTERS = 20
_LONGEST = 600  # characters that are turned into vectors, words and languages
_MOST_READ = 12_000
_SLICES = 4
_AT_ONCE = 500
_REFUSALS = (
    "i'm sorry, but", "i am sorry, but", "i'm sorry, i can", "sorry, but i can", "i can't help", "i cannot help",
    "i can't assist", "i cannot assist", "i'm unable to", "i am unable to", "i'm not able to", "i am not able to",
    "i can't provide", "i cannot provide", "i won't be able", "i can't comply", "i cannot comply", "as an ai",
)  # fmt: skip
_OPENING = 120

_ROWS = """SELECT hash(span_id) AS span_key, trace_id, finish_reason, input_messages::VARCHAR AS asked,
    output_messages::VARCHAR AS answered, ('0x' || substr(md5('drift' || trace_id), 1, 8))::UBIGINT AS draw
    FROM {source} AND {places} AND draw < {limit}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample of the calls with its own signals.

    Attributes:
        frame: The calls of the sample.
        trace_ids: Their traces.
        skipped: Signals that could not be measured, with the reason.
    """

    frame: Frame
    trace_ids: list[str]
    skipped: dict[str, str]


def read_sample(
    connection: duckdb.DuckDBPyConnection, loaded: Loaded, windows: Windows, max_texts: int
) -> list[SampledCall]:
    """Return a sample of at most `max_texts` calls of each window, drawn by a hash of the trace's id.

    In a window of many calls only those in four spans of time are drawn from, because text is most of a store: reading
    all of it for a few thousand calls takes longer than everything else.

    Args:
        connection: To the store.
        loaded: All calls.
        windows: The windows.
        max_texts: The most calls of a window.
    """
    np = numpy()
    found: list[SampledCall] = []
    for is_current in (False, True):
        total = int(np.count_nonzero(loaded.frame.is_current == is_current))
        found += _read(connection, loaded, windows, is_current, total, max_texts)
    return found


def measure_sample(found: Sequence[SampledCall], loaded: Loaded, embedder: Embedder) -> Sample:
    """Return the signals of the calls of a sample.

    Args:
        found: What `read_sample` returned.
        loaded: All calls.
        embedder: What makes vectors.
    """
    np = numpy()
    rows = find_rows(loaded.span_keys, np.array([one.span_key for one in found], "uint64"))
    found = [one for one, row in zip(found, rows.tolist(), strict=True) if row >= 0]
    places = rows[rows >= 0].astype(np.intp)
    whole = loaded.frame
    frame = Frame(
        is_current=whole.is_current[places],
        clusters=whole.clusters[places],
        blocks=whole.blocks[places],
        hours=whole.hours[places],
        configs=whole.configs[places],
        slices={name: values[places] for name, values in whole.slices.items()},
    )
    skipped = _measure_inputs(frame, found, embedder)
    for name, scale in (("output_length", "log"), ("refusal", "share"), ("json_output", "share")):
        values = np.array([getattr(one, name) for one in found], "float32")
        frame.columns[name] = Column(values=values, scale=scale, unit="characters" if scale == "log" else "")
    return Sample(frame=frame, trace_ids=[one.trace_id for one in found], skipped=skipped)


class SampledCall(NamedTuple):
    """What a check keeps of a call's texts."""

    draw: int
    trace_id: str
    span_key: int
    input_length: float
    asked: str
    """The begin of the user's last message."""
    output_length: float
    refusal: float
    json_output: float


def _read(
    connection: duckdb.DuckDBPyConnection, loaded: Loaded, windows: Windows, is_current: bool, total: int, most: int
) -> list[SampledCall]:
    share = min(1.0, _MOST_READ / max(total, 1))
    limit = int(min(1.0, 1.2 * most / max(total * share, 1)) * 2**32)
    # The start prunes the files to read.
    moment = "start_ns" if share < 1 else CALL_END
    sql = _ROWS.format(source=loaded.source, places=f"{moment} >= $first AND {moment} < $last", limit=limit)
    found: list[SampledCall] = []
    for first, last in _spans(windows, share, is_current=is_current):
        cursor = connection.execute(sql, {**loaded.parameters, "first": first, "last": last})
        while rows := cursor.fetchmany(_AT_ONCE):
            found += [_measured(*row) for row in rows]
    # In the order of the draw: the first ones are a sample themselves.
    return sorted(found)[:most]


def _spans(windows: Windows, share: float, *, is_current: bool) -> list[tuple[int, int]]:
    """Return the spans of time to read: the whole window, or a share of it in the middle of each of its quarters.

    With a period, the reference is read at the same times of earlier periods.
    """
    begin = windows.current_start if is_current else windows.reference_start
    end = windows.current_end if is_current else windows.current_start
    if share >= 1:
        return [(begin, end)]
    width = (end - begin) / _SLICES
    middles = [begin + (number + 0.5) * width for number in range(_SLICES)]
    period = windows.period * windows.hour
    if period and not is_current and (windows.current_start - windows.reference_start) >= period:
        current = (windows.current_end - windows.current_start) / _SLICES
        ends = [windows.current_start + (number + 0.5) * current for number in range(_SLICES)]
        middles = [one - ((one - at) // period + 1) * period for one, at in zip(ends, reversed(middles), strict=True)]
        middles = [max(one, begin + share * width / 2) for one in middles]
    return [(int(one - share * width / 2), int(one + share * width / 2)) for one in middles]


def _measured(
    span_key: int, trace_id: str, reason: str | None, given: str | None, output: str | None, draw: int
) -> SampledCall:
    asked, answered = last_text(given, "user"), last_text(output, None)
    refused = math.nan
    if answered is not None:
        opening = answered.lstrip()[:_OPENING].lower().replace("’", "'")
        refused = float(opening.startswith(_REFUSALS))
    return SampledCall(
        draw=draw,
        trace_id=trace_id,
        span_key=span_key,
        input_length=float(len(asked)) if asked else math.nan,
        asked=asked[:_LONGEST] if asked else "",
        output_length=math.nan if answered is None else float(len(answered)),
        refusal=1.0 if reason == "content_filter" else refused,
        json_output=math.nan if answered is None else float(_is_json(answered)),
    )


def last_text(messages: str | None, role: str | None) -> str | None:
    """Return the text of the last message of a role; None where there is none."""
    if not messages:
        return None
    try:
        listed = orjson.loads(messages)
    except ValueError:
        return None
    if not isinstance(listed, list):
        return None
    for message in reversed(cast("list[Any]", listed)):
        if isinstance(message, dict) and (role is None or cast("Mapping[str, Any]", message).get("role") == role):
            text = _text(cast("Mapping[str, Any]", message))
            if text is not None:
                return text
    return None


def _text(message: Mapping[str, Any]) -> str | None:
    parts = message.get("parts")
    if not isinstance(parts, list):
        content = message.get("content")
        return content if isinstance(content, str) else None
    texts = [
        content
        for part in cast("list[Any]", parts)
        if isinstance(part, dict) and isinstance(content := cast("Mapping[str, Any]", part).get("content"), str)
    ]
    return "\n".join(texts) if texts else None


def _measure_inputs(frame: Frame, found: Sequence[SampledCall], embedder: Embedder) -> dict[str, str]:
    np = numpy()
    skipped: dict[str, str] = {}
    given = {row: one.asked for row, one in enumerate(found) if one.asked}
    users = frame.clusters.tolist()
    old = [row for row in given if not frame.is_current[row]]
    new = [row for row in given if frame.is_current[row]]
    unknown = np.full(len(frame), np.nan, "float32")
    vocabulary = Vocabulary((words(given[row]) for row in old), (users[row] + 1 for row in old))
    for row, text in given.items():
        unknown[row] = vocabulary.unknown_share(words(text), users[row] + 1)
    lengths = np.array([one.input_length for one in found], "float32")
    frame.columns["input_length"] = Column(values=lengths, scale="log", unit="characters", is_input=True)
    # New words come in bursts: between windows without a change, the variance was 1.4 times the robust one.
    frame.columns["oov"] = Column(values=unknown, is_input=True, inflation=2.0)
    find = language_finder()
    if isinstance(find, str):
        skipped["language"] = find
    else:
        some = [*old[:LANGUAGE_TEXTS], *new[:LANGUAGE_TEXTS]]
        frame.columns["language"] = _category(frame, {row: find(given[row]) for row in some}, is_input=True)
    old, new = old[:MOST_VECTORS], new[:MOST_VECTORS]
    both = np.array([*old, *new], np.intp)
    if len(old) < 2 or not new:
        return skipped
    vectors = unit_rows(embedder.embed([given[int(row)] for row in both]), source="drift", rows=len(both))
    weights = tail_weights(vectors, frame.clusters[both].tolist(), len(old))
    novelty = np.full(len(frame), np.nan, "float32")
    novelty[both] = weights
    frame.columns["novelty"] = Column(values=novelty, is_input=True)
    groups = cluster(vectors, min(_CLUSTERS, max(2, len(both) // 20)))
    labels = {int(row): f"topic {label}" for row, label in zip(both, groups.labels, strict=True)}
    frame.columns["cluster_share"] = _category(frame, labels, is_input=True)
    return skipped


def _is_json(text: str) -> bool:
    bare = text.strip()
    if not bare.startswith(("{", "[")):
        return False
    try:
        orjson.loads(bare)
    except ValueError:
        return False
    return True


def _category(frame: Frame, labels: Mapping[int, str | None], *, is_input: bool) -> Column:
    np = numpy()
    counts: dict[str, int] = {}
    for label in labels.values():
        if label is not None:
            counts[label] = counts.get(label, 0) + 1
    names = sorted(counts, key=lambda name: (-counts[name], name))[:_CLUSTERS]
    places = {name: place for place, name in enumerate(names)}
    values = np.full(len(frame), np.nan, "float32")
    for row, label in labels.items():
        if label is not None:
            values[row] = places.get(label, len(names))
    return Column(values=values, scale="category", names=tuple(names), is_input=is_input)
