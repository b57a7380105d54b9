"""Write a router to a file and read it: numbers only, no pickles, and no word of a prompt."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from llmops_sdk._util._private_files import replace_file
from llmops_sdk.embeddings import Embedder, open_embedder
from llmops_sdk.embeddings._vectors import numpy
from llmops_sdk.routing._check_file import check_file
from llmops_sdk.routing._fitted import Fitted
from llmops_sdk.routing.decisions._artefacts import SuspiciousKind
from llmops_sdk.routing.decisions._curve import CurvePoint
from llmops_sdk.routing.features._terms import Terms
from llmops_sdk.routing.learning._neighbours import Neighbours
from llmops_sdk.routing.learning._predictor import Predictor
from llmops_sdk.routing.learning._quality import Part, QualityModel
from llmops_sdk.routing.learning._scores import ScoreTable

if TYPE_CHECKING:
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["load", "save", "version_of"]

_FORMAT = 2
_MOST_BYTES = 512 * 1024**2
_PREDICTOR = ("outputs", "row_weights", "form_scale", "form", "vector", "term", "mean", "slope")


def _arrays(table: ScoreTable, fitted: Fitted) -> dict[str, NDArray[Any]]:
    np = numpy()
    neighbours = fitted.quality.neighbours
    arrays: dict[str, Any] = {
        "center": neighbours.center,
        "directions": neighbours.directions,
        "rows": neighbours.rows,
        "scores": table.scores,
        "table_costs": table.costs,
        "believed": fitted.believed,
        "costs": fitted.costs,
        "spread": fitted.spread,
        "estimates": fitted.estimates,
        "kind_offsets": np.array(list(fitted.kind_offsets.values())).reshape(-1, len(table.models)),
    }
    if table.propensities is not None:
        arrays["propensities"] = table.propensities
    for at, part in enumerate(fitted.quality.parts):
        predictor = part.predictor
        arrays |= {f"{at}.{name}": getattr(predictor, name) for name in _PREDICTOR}
        arrays[f"{at}.buckets"] = np.array(list(predictor.terms.columns), dtype=np.int64)
        arrays[f"{at}.term_weights"] = predictor.terms.weights
    return arrays


def _header(table: ScoreTable, fitted: Fitted, default: str) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "models": table.models,
        "kinds": table.kinds,
        "default": default,
        "strongest": fitted.quality.strongest,
        "familiar": fitted.familiar,
        "parts": [{"models": part.models, "differences": part.differences} for part in fitted.quality.parts],
        "curve": [asdict(one) for one in fitted.curve],
        "kind_curve": None if fitted.kind_curve is None else [asdict(one) for one in fitted.kind_curve],
        "offset_kinds": list(fitted.kind_offsets),
        "suspicious": [asdict(one) for one in fitted.suspicious],
    }


def version_of(table: ScoreTable, fitted: Fitted, default: str) -> str:
    """Return a digest of everything that decisions depend on.

    Args:
        table: The scores.
        fitted: What the fit gave.
        default: The default model.
    """
    digest = hashlib.blake2b(json.dumps(_header(table, fitted, default)).encode(), digest_size=8)
    for name, array in sorted(_arrays(table, fitted).items()):
        digest.update(name.encode())
        digest.update(numpy().ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def save(path: Path, table: ScoreTable, fitted: Fitted, default: str, embedder: Embedder) -> None:
    """Write a router; the file is whole or is not there.

    Args:
        path: The file.
        table: The scores.
        fitted: What the fit gave.
        default: The default model.
        embedder: The embedder, whose name is kept.

    Raises:
        OSError: The file cannot be written.
    """
    np = numpy()
    header = {**_header(table, fitted, default), "embedder": embedder.identity}
    packed = io.BytesIO()
    np.savez_compressed(
        packed, header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8), **_arrays(table, fitted)
    )
    replace_file(path, packed.getvalue())


def load(path: Path, embedder: Embedder | None) -> tuple[ScoreTable, Fitted, str, str, Embedder]:
    """Return the table, the fit, the default model, the version and the embedder.

    Args:
        path: The file.
        embedder: The embedder, or None for the static one.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no router, or another embedder made its vectors.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path} has more than {_MOST_BYTES} bytes: it is no router")
    content = path.read_bytes()
    try:
        header, arrays = _read(io.BytesIO(content))
        check_file(header, arrays)
        table = ScoreTable(
            tuple(header["models"]),
            arrays["scores"],
            arrays["table_costs"],
            None if header["kinds"] is None else tuple(header["kinds"]),
            arrays.get("propensities"),
        )
        fitted = _fitted(header, arrays)
        default, name = str(header["default"]), str(header["embedder"])
    except (*_DAMAGED, ValueError) as error:
        raise ValueError(f"{path} is no router, or a damaged one: {type(error).__name__}: {error}") from error
    if embedder is None and not name.startswith("static@"):
        # A file must not decide which model is loaded, or who gets the prompts.
        raise ValueError(f"{path} was fitted with the embedder {name}: give it with embedder=")
    used = open_embedder("static") if embedder is None else embedder
    if used.identity != name:
        raise ValueError(
            f"{path} was fitted with the embedder {name}, not {used.identity}: give that one, or fit it again"
        )
    return table, fitted, default, version_of(table, fitted, default), used


_DAMAGED = (
    AttributeError, EOFError, KeyError, MemoryError, NotImplementedError, OverflowError, RecursionError, RuntimeError,
    SyntaxError, TypeError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading a damaged or hostile archive raises, beside ValueError."""


def _read(content: io.BytesIO) -> tuple[dict[str, Any], dict[str, Any]]:
    with zipfile.ZipFile(content) as archive:
        if sum(one.file_size for one in archive.infolist()) > _MOST_BYTES:
            raise ValueError(f"it unpacks to more than {_MOST_BYTES} bytes")
    with numpy().load(content, allow_pickle=False) as file:
        arrays: dict[str, Any] = {name: file[name] for name in file.files}
    header: Any = json.loads(arrays.pop("header").tobytes())
    if header["format"] != _FORMAT:
        raise ValueError(f"it has format {header['format']}, not {_FORMAT}: fit the router again")
    return header, arrays


def _fitted(header: Mapping[str, Any], arrays: Mapping[str, Any]) -> Fitted:
    parts: list[Part] = []
    for at, one in enumerate(cast("list[dict[str, Any]]", header["parts"])):
        buckets = arrays[f"{at}.buckets"].tolist()
        predictor = Predictor(
            terms=Terms({bucket: column for column, bucket in enumerate(buckets)}, arrays[f"{at}.term_weights"]),
            **{name: arrays[f"{at}.{name}"] for name in _PREDICTOR},
        )
        parts.append(Part(predictor, tuple(one["models"]), bool(one["differences"])))
    return Fitted(
        quality=QualityModel(
            Neighbours(arrays["center"], arrays["directions"], arrays["rows"]),
            tuple(parts),
            int(header["strongest"]),
            len(header["models"]),
        ),
        believed=arrays["believed"],
        costs=arrays["costs"],
        curve=tuple(CurvePoint(**one) for one in header["curve"]),
        kind_curve=None if header["kind_curve"] is None else tuple(CurvePoint(**one) for one in header["kind_curve"]),
        kind_offsets=dict(zip(header["offset_kinds"], arrays["kind_offsets"], strict=True)),
        familiar=float(header["familiar"]),
        spread=arrays["spread"],
        suspicious=tuple(SuspiciousKind(**one) for one in header["suspicious"]),
        estimates=arrays["estimates"],
    )
