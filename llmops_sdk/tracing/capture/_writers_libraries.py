"""Write values of well-known libraries; each function takes the library that the application imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from llmops_sdk._util._static_reads import MISSING, class_of, instance_dict, module_of, read_attribute, type_name
from llmops_sdk.tracing.capture._media import PNG_MODES, Media, png
from llmops_sdk.tracing.capture._writer_types import Branch, Branches, Leaves, Walk
from llmops_sdk.tracing.capture._writers_bytes import write_content
from llmops_sdk.tracing.capture._writers_standard import class_text

__all__ = ["library_writers"]

_ITEMS = 8
_ROWS = 5
_COLUMNS = 50
_MASK = "**********"


def library_writers(library: str, module: ModuleType) -> tuple[Leaves, Branches]:
    """Return the writers for a library's classes.

    Args:
        library: A key of `_LIBRARIES` below.
        module: The library.
    """
    return _LIBRARIES[library](module)


# --- numpy ----------------------------------------------------------------------------------------------------------


def _numpy(numpy: Any) -> tuple[Leaves, Branches]:
    def array(walk: Walk, value: Any, depth: int) -> object:
        plain = numpy.ndarray.view(value, numpy.ndarray)  # without the overrides of a subclass
        head = plain.flat[:_ITEMS].tolist()
        return walk.type_marker(
            value,
            dtype=walk.text(str(plain.dtype)),
            shape=list(plain.shape),
            **{"$head": walk.items(head, len(head), depth)},
        )

    def scalar(walk: Walk, value: Any) -> object:
        return walk.rebuild(numpy.generic.item(value), 1)

    def record(walk: Walk, value: Any) -> object:
        return walk.type_marker(value, dtype=walk.text(str(value.dtype)))

    # `item()` of these does not return a builtin that JSON has.
    others = (numpy.datetime64, numpy.timedelta64, numpy.longdouble, numpy.clongdouble)
    leaves: Leaves = {numpy.generic: scalar, numpy.void: record, **{cls: class_text(cls) for cls in others}}
    return leaves, {numpy.ndarray: array}


# --- tables ---------------------------------------------------------------------------------------------------------


def _table(
    walk: Walk, value: object, depth: int, shape: Sequence[int], columns: Sequence[object], rows: Sequence[Any]
) -> object:
    """Write a table: its shape, its columns, and its first rows as lists."""
    return walk.type_marker(
        value,
        shape=list(shape),
        columns=walk.items(columns, shape[1], depth),
        **{"$head": walk.items(rows, len(rows), depth)},
    )


def _series(walk: Walk, value: Any, depth: int, length: int, head: Sequence[object]) -> object:
    name = {} if value.name is None else {"name": walk.rebuild(value.name, 1)}
    return walk.type_marker(
        value,
        **name,
        dtype=walk.text(str(value.dtype)),
        shape=[length],
        **{"$head": walk.items(head, len(head), depth)},
    )


def _only_of(library: str, write: Branch) -> Branch:
    """Return a writer that writes only the type of other libraries' subclasses: their properties may be overridden."""

    def write_own(walk: Walk, value: object, depth: int) -> object:
        own = module_of(class_of(value)).partition(".")[0] == library
        return write(walk, value, depth) if own else walk.type_marker(value)

    return write_own


def _pandas(pandas: Any) -> tuple[Leaves, Branches]:
    def frame(walk: Walk, value: Any, depth: int) -> object:
        head = value.iloc[:_ROWS, :_COLUMNS]
        return _table(walk, value, depth, value.shape, list(head.columns), head.to_numpy(dtype=object).tolist())

    def series(walk: Walk, value: Any, depth: int) -> object:
        head = list(value[:_ITEMS] if isinstance(value, pandas.Index) else value.iloc[:_ITEMS])
        return _series(walk, value, depth, len(value), head)

    leaves: Leaves = {
        pandas.Timestamp: lambda walk, value: walk.text(pandas.Timestamp.isoformat(value)),
        **{cls: class_text(cls) for cls in (pandas.Timedelta, pandas.Period, pandas.Interval)},
        type(pandas.NaT): class_text(type(pandas.NaT)),
        type(pandas.NA): class_text(type(pandas.NA)),
    }
    branches = {pandas.DataFrame: frame, pandas.Series: series, pandas.Index: series}
    return leaves, {cls: _only_of("pandas", write) for cls, write in branches.items()}


def _polars(polars: Any) -> tuple[Leaves, Branches]:
    def frame(walk: Walk, value: Any, depth: int) -> object:
        names = value.columns[:_COLUMNS]
        rows = [list(row) for row in value.head(_ROWS).select(names).rows()]
        return _table(walk, value, depth, value.shape, names, rows)

    def series(walk: Walk, value: Any, depth: int) -> object:
        return _series(walk, value, depth, value.len(), value.head(_ITEMS).to_list())

    # No writer for a lazy frame: even its columns may take a query.
    return {}, {polars.DataFrame: _only_of("polars", frame), polars.Series: _only_of("polars", series)}


def _pyarrow(pyarrow: Any) -> tuple[Leaves, Branches]:
    def table(walk: Walk, value: Any, depth: int) -> object:
        names = value.schema.names[:_COLUMNS]
        columns = [value.column(index).slice(0, _ROWS).to_pylist() for index in range(len(names))]
        return _table(walk, value, depth, value.shape, names, [list(row) for row in zip(*columns, strict=True)])

    return {}, {pyarrow.Table: table, pyarrow.RecordBatch: table}


# --- pydantic -------------------------------------------------------------------------------------------------------


def _pydantic(pydantic: Any) -> tuple[Leaves, Branches]:
    def masked(walk: Walk, _: object) -> object:
        return walk.text(_MASK)

    def url(walk: Walk, value: object) -> object:
        held = read_attribute(value, "_url")
        known = held is not MISSING and module_of(class_of(held)).startswith("pydantic_core")
        return walk.text(str(held)) if known else walk.type_marker(value)

    # Their common base has no public name.
    leaves: Leaves = {pydantic.Secret.__mro__[1]: masked, pydantic.SecretStr: masked, pydantic.SecretBytes: masked}
    for name in ("AnyUrl", "PostgresDsn"):
        leaves[getattr(pydantic, name).__mro__[-2]] = url
    return leaves, {}


def _pydantic_core(core: Any) -> tuple[Leaves, Branches]:
    return {cls: class_text(cls) for cls in (core.Url, core.MultiHostUrl)}, {}


# --- Pillow ---------------------------------------------------------------------------------------------------------


def _pillow(image: Any) -> tuple[Leaves, Branches]:
    def picture(walk: Walk, value: Any) -> object:
        if module_of(class_of(value)).partition(".")[0] != "PIL":
            return walk.type_marker(value)
        mode, (width, height) = value.mode, value.size
        description: dict[str, object] = {
            "$type": type_name(class_of(value)), "mode": mode, "width": width, "height": height
        }  # fmt: skip
        size = width * height * PNG_MODES.get(mode, 0)
        # Leave an unread image unread: reading moves the application's file position.
        loaded = read_attribute(value, "_im") is not None and not instance_dict(value).get("tile")
        if not size or not loaded or size > walk.bounds.max_blob_bytes:
            return walk.marker(description)
        pixels: bytes = image.Image.tobytes(value)
        if size <= walk.bounds.max_bytes >> 2:
            return {**description, **write_content(walk, png(pixels, mode, width, height))}
        media = Media("image/png", width, height)
        return {**description, **walk.media(media, size, lambda: png(pixels, mode, width, height), pixels)}

    return {image.Image: picture}, {}


_LIBRARIES: dict[str, Callable[[Any], tuple[Leaves, Branches]]] = {
    "PIL": _pillow,
    "numpy": _numpy,
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _pyarrow,
    "pydantic": _pydantic,
    "pydantic_core": _pydantic_core,
}
