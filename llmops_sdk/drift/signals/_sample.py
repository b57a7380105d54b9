"""Read the texts of a sample of the calls, and measure them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import orjson

from llmops_sdk.drift.signals._frame import Column, Frame, numpy
from llmops_sdk.drift.signals._load import CALL_END, Loaded
from llmops_sdk.drift.signals._windows import Windows
from llmops_sdk.drift.texts._features import Vocabulary, language_finder
from llmops_sdk.drift.texts._novelty import tail_weights
from llmops_sdk.drift.texts._profile import LANGUAGE_TEXTS, MOST_VECTORS
from llmops_sdk.drift.texts._shift import cluster
from llmops_sdk.embeddings import Embedder
from llmops_sdk.embeddings._vectors import unit_rows

if TYPE_CHECKING:
    from llmops_sdk.store.duck._sql import duckdb

__all__ = ["Sample", "read_sample"]

_CLUSTERS = 20
_LONGEST = 1_000  # characters that are turned into vectors, words and languages
_MOST_READ = 20_000
_SLICES = 4
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
        rows: Their places in the frame of all calls.
        trace_ids: Their traces.
        skipped: Signals that could not be measured, with the reason.
    """

    frame: Frame
    rows: Any
    trace_ids: list[str]
    skipped: dict[str, str]


def read_sample(
    connection: duckdb.DuckDBPyConnection, loaded: Loaded, windows: Windows, embedder: Embedder, max_texts: int
) -> Sample:
    """Return a sample of at most `max_texts` calls of each window, drawn by a hash of the trace's id.

    In a window of many calls only those in four spans of time are drawn from, because text is most of a store: reading
    all of it for a few thousand calls takes longer than everything else.

    Args:
        connection: To the store.
        loaded: All calls.
        windows: The windows.
        embedder: What makes vectors.
        max_texts: The most calls of a window.
    """
    np = numpy()
    order = np.argsort(loaded.span_keys, kind="stable")
    rows: list[int] = []
    traces: list[str] = []
    asked: list[str | None] = []
    answered: list[str | None] = []
    reasons: list[str | None] = []
    for is_current in (False, True):
        total = int(np.count_nonzero(loaded.frame.is_current == is_current))
        for key, trace, reason, given, output, _ in _read(connection, loaded, windows, is_current, total, max_texts):
            place = order[min(int(np.searchsorted(loaded.span_keys, np.uint64(key), sorter=order)), len(order) - 1)]
            if int(loaded.span_keys[place]) == key:
                rows.append(int(place))
                traces.append(trace)
                reasons.append(reason)
                asked.append(last_text(given, "user"))
                answered.append(last_text(output, None))
    places = np.array(rows, np.intp)
    whole = loaded.frame
    frame = Frame(
        is_current=whole.is_current[places],
        clusters=whole.clusters[places],
        blocks=whole.blocks[places],
        hours=whole.hours[places],
        configs=whole.configs[places],
        slices={name: values[places] for name, values in whole.slices.items()},
    )
    skipped = _measure_inputs(frame, asked, embedder)
    _measure_outputs(frame, answered, reasons)
    return Sample(frame=frame, rows=places, trace_ids=traces, skipped=skipped)


def _read(
    connection: duckdb.DuckDBPyConnection, loaded: Loaded, windows: Windows, is_current: bool, total: int, most: int
) -> list[tuple[Any, ...]]:
    begin = windows.current_start if is_current else windows.reference_start
    end = windows.current_end if is_current else windows.current_start
    share = min(1.0, _MOST_READ / max(total, 1))
    width = (end - begin) / _SLICES
    # Each span of time lies in the middle of a quarter of the window.
    spans = [
        (int(begin + (number + 0.5 - share / 2) * width), int(begin + (number + 0.5 + share / 2) * width))
        for number in range(_SLICES if share < 1 else 0)
    ] or [(begin, end)]
    found: list[tuple[Any, ...]] = []
    limit = int(min(1.0, 1.2 * most / max(total * share, 1)) * 2**32)
    for first, last in spans:
        # The start prunes the files to read.
        moment = "start_ns" if share < 1 else CALL_END
        places = f"{moment} >= $first AND {moment} < $last"
        sql = _ROWS.format(source=loaded.source, places=places, limit=limit)
        found += connection.execute(sql, {**loaded.parameters, "first": first, "last": last}).fetchall()
    # In the order of the draw: the first ones are a sample themselves.
    return sorted(found, key=lambda row: (row[-1], row[1], row[0]))[:most]


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


def _measure_inputs(frame: Frame, texts: Sequence[str | None], embedder: Embedder) -> dict[str, str]:
    np = numpy()
    skipped: dict[str, str] = {}
    known = [row for row, text in enumerate(texts) if text]
    given = {row: (texts[row] or "")[:_LONGEST] for row in known}
    users = frame.clusters.tolist()
    old = [row for row in known if not frame.is_current[row]]
    new = [row for row in known if frame.is_current[row]]
    length = np.full(len(frame), np.nan, "float32")
    unknown = length.copy()
    vocabulary = Vocabulary.of([given[row] for row in old], [users[row] + 1 for row in old])
    for row in known:
        length[row] = len(texts[row] or "")
        unknown[row] = vocabulary.unknown_share(given[row], users[row] + 1)
    frame.columns["input_length"] = Column(values=length, scale="log", unit="characters", is_input=True)
    frame.columns["oov"] = Column(values=unknown, is_input=True)
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


def _measure_outputs(frame: Frame, texts: Sequence[str | None], reasons: Sequence[str | None]) -> None:
    np = numpy()
    length, refused, is_json = (np.full(len(frame), np.nan, "float32") for _ in range(3))
    for row, (text, reason) in enumerate(zip(texts, reasons, strict=True)):
        if text is None:
            if reason == "content_filter":
                refused[row] = 1.0
            continue
        length[row] = len(text)
        opening = text.lstrip()[:_OPENING].lower().replace("’", "'")
        refused[row] = float(reason == "content_filter" or opening.startswith(_REFUSALS))
        is_json[row] = float(_is_json(text))
    frame.columns["output_length"] = Column(values=length, scale="log", unit="characters")
    frame.columns["refusal"] = Column(values=refused, scale="share")
    frame.columns["json_output"] = Column(values=is_json, scale="share")


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
