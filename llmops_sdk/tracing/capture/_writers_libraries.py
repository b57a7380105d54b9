"""How values of well-known libraries are written. Each is given its module, imported by the application already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, TypeAlias

from llmops_sdk._util._static_reads import MISSING, class_of, instance_dict, module_of, read_attribute, type_name
from llmops_sdk.tracing.capture._media import PNG_MODES, Media, png
from llmops_sdk.tracing.capture._writer_types import Walk
from llmops_sdk.tracing.capture._writers_bytes import bytes_like

__all__ = ["of"]

_Leaves: TypeAlias = "dict[type[Any], Callable[[Walk, Any], object]]"
_Branches: TypeAlias = "dict[type[Any], Callable[[Walk, Any, int], object]]"

_ITEMS = 8
_ROWS = 5
_COLUMNS = 50
_MASK = "**********"


def of(library: str, module: ModuleType) -> tuple[_Leaves, _Branches]:
    """The classes of a library and how to write their values.

    Args:
        library: One of the keys of `_KNOWN` below.
        module: The library.
    """
    return _KNOWN[library](module)


def _text_of(cls: Any) -> Callable[[Walk, Any], object]:
    """As the library writes it, whatever a subclass overrides."""
    method: Callable[[object], str] = cls.__str__
    return lambda walk, value: walk.text(method(value))


# --- numpy ----------------------------------------------------------------------------------------------------------


def _numpy(numpy: Any) -> tuple[_Leaves, _Branches]:
    def array(walk: Walk, value: Any, depth: int) -> object:
        plain = numpy.ndarray.view(value, numpy.ndarray)  # past what a subclass does on its own
        head = plain.flat[:_ITEMS].tolist()
        said: dict[str, object] = {
            "$type": type_name(class_of(value)),
            "dtype": walk.text(str(plain.dtype)),
            "shape": list(plain.shape),
            "$head": walk.items(head, len(head), depth),
        }
        return walk.marker(said)

    def scalar(walk: Walk, value: Any) -> object:
        return walk.plain(numpy.generic.item(value), 1)

    def record(walk: Walk, value: Any) -> object:
        return walk.marker({"$type": type_name(class_of(value)), "dtype": walk.text(str(value.dtype))})

    # Their items are not the builtins that JSON has.
    others = (numpy.datetime64, numpy.timedelta64, numpy.longdouble, numpy.clongdouble)
    leaves: _Leaves = {numpy.generic: scalar, numpy.void: record, **{cls: _text_of(cls) for cls in others}}
    return leaves, {numpy.ndarray: array}


# --- tables ---------------------------------------------------------------------------------------------------------


def _table(
    walk: Walk, value: object, depth: int, shape: Sequence[int], columns: Sequence[object], rows: Sequence[Any]
) -> object:
    """A table: its shape, its columns, and its first rows as lists."""
    said: dict[str, object] = {
        "$type": type_name(class_of(value)),
        "shape": list(shape),
        "columns": walk.items(columns, shape[1], depth),
        "$head": walk.items(rows, len(rows), depth),
    }
    return walk.marker(said)


def _series(
    walk: Walk, value: Any, depth: int, name: object, kind: object, length: int, head: Sequence[object]
) -> object:
    said: dict[str, object] = {"$type": type_name(class_of(value))}
    if name is not None:
        said["name"] = walk.plain(name, 1)
    said.update(dtype=walk.text(str(kind)), shape=[length], **{"$head": walk.items(head, len(head), depth)})
    return walk.marker(said)


def _foreign(walk: Walk, value: object, library: str) -> object | None:
    """Only the class of a subclass that is not the library's: its properties are the application's code."""
    if module_of(class_of(value)).partition(".")[0] == library:
        return None
    return walk.marker({"$type": type_name(class_of(value))})


def _pandas(pandas: Any) -> tuple[_Leaves, _Branches]:
    def frame(walk: Walk, value: Any, depth: int) -> object:
        if (said := _foreign(walk, value, "pandas")) is not None:
            return said
        head = value.iloc[:_ROWS, :_COLUMNS]
        return _table(walk, value, depth, value.shape, list(head.columns), head.to_numpy(dtype=object).tolist())

    def series(walk: Walk, value: Any, depth: int) -> object:
        if (said := _foreign(walk, value, "pandas")) is not None:
            return said
        head = list(value[:_ITEMS] if isinstance(value, pandas.Index) else value.iloc[:_ITEMS])
        return _series(walk, value, depth, value.name, value.dtype, len(value), head)

    leaves: _Leaves = {
        pandas.Timestamp: lambda walk, value: walk.text(pandas.Timestamp.isoformat(value)),
        **{cls: _text_of(cls) for cls in (pandas.Timedelta, pandas.Period, pandas.Interval)},
        type(pandas.NaT): _text_of(type(pandas.NaT)),
        type(pandas.NA): _text_of(type(pandas.NA)),
    }
    return leaves, {pandas.DataFrame: frame, pandas.Series: series, pandas.Index: series}


def _polars(polars: Any) -> tuple[_Leaves, _Branches]:
    def frame(walk: Walk, value: Any, depth: int) -> object:
        if (said := _foreign(walk, value, "polars")) is not None:
            return said
        names = value.columns[:_COLUMNS]
        rows = [list(row) for row in value.head(_ROWS).select(names).rows()]
        return _table(walk, value, depth, value.shape, names, rows)

    def series(walk: Walk, value: Any, depth: int) -> object:
        if (said := _foreign(walk, value, "polars")) is not None:
            return said
        return _series(walk, value, depth, value.name, value.dtype, value.len(), value.head(_ITEMS).to_list())

    # A lazy frame is not asked: even its columns may take a query.
    return {}, {polars.DataFrame: frame, polars.Series: series}


def _pyarrow(pyarrow: Any) -> tuple[_Leaves, _Branches]:
    def table(walk: Walk, value: Any, depth: int) -> object:
        names = value.schema.names[:_COLUMNS]
        columns = [value.column(index).slice(0, _ROWS).to_pylist() for index in range(len(names))]
        return _table(walk, value, depth, value.shape, names, [list(row) for row in zip(*columns, strict=True)])

    return {}, {pyarrow.Table: table, pyarrow.RecordBatch: table}


# --- pydantic -------------------------------------------------------------------------------------------------------


def _pydantic(pydantic: Any) -> tuple[_Leaves, _Branches]:
    def masked(walk: Walk, _: object) -> object:
        return walk.text(_MASK)

    def url(walk: Walk, value: object) -> object:
        held = read_attribute(value, "_url")
        known = held is not MISSING and module_of(class_of(held)).startswith("pydantic_core")
        return walk.text(str(held)) if known else walk.marker({"$type": type_name(class_of(value))})

    # Their common base has no public name.
    leaves: _Leaves = {pydantic.Secret.__mro__[1]: masked, pydantic.SecretStr: masked, pydantic.SecretBytes: masked}
    for name in ("AnyUrl", "PostgresDsn"):
        leaves[getattr(pydantic, name).__mro__[-2]] = url
    return leaves, {}


def _pydantic_core(core: Any) -> tuple[_Leaves, _Branches]:
    return {cls: _text_of(cls) for cls in (core.Url, core.MultiHostUrl)}, {}


# --- Pillow ---------------------------------------------------------------------------------------------------------


def _pillow(image: Any) -> tuple[_Leaves, _Branches]:
    def picture(walk: Walk, value: Any) -> object:
        said: dict[str, object] = {"$type": type_name(class_of(value))}
        if module_of(class_of(value)).partition(".")[0] != "PIL":
            return walk.marker(said)
        mode, (width, height) = value.mode, value.size
        said.update(mode=mode, width=width, height=height)
        size = width * height * PNG_MODES.get(mode, 0)
        # Leave an unread image unread: reading moves the application's file position.
        loaded = read_attribute(value, "_im") is not None and not instance_dict(value).get("tile")
        if not size or not loaded or size > walk.bounds.max_blob_bytes:
            return walk.marker(said)
        pixels: bytes = image.Image.tobytes(value)
        if size <= walk.bounds.max_bytes >> 2:
            return {**said, **bytes_like(walk, png(pixels, mode, width, height))}
        media = Media("image/png", width, height)
        return {**said, **walk.media(media, size, lambda: png(pixels, mode, width, height), pixels)}

    return {image.Image: picture}, {}


_KNOWN: dict[str, Callable[[Any], tuple[_Leaves, _Branches]]] = {
    "PIL": _pillow,
    "numpy": _numpy,
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _pyarrow,
    "pydantic": _pydantic,
    "pydantic_core": _pydantic_core,
}
