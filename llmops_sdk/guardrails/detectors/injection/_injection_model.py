"""The file of the injection model: write it, read it.

The file is a line of JSON (`Header`), then the table of n-grams and the table for requests as signed bytes, then the
tables of classes of both as signed 16-bit integers, little-endian. One unit of a table is worth `Header.unit`, of those
for requests `Header.request_unit`. Nothing in it is executed, and a file
that is not exactly of this form is refused.
"""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from llmops_sdk.guardrails.detectors.injection._injection_features import (
    CLASS_SLOTS,
    GRAM_SLOTS,
    REQUEST_SLOTS,
    numpy,
)

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["FILE", "Header", "Model", "load", "pack", "unpack"]

FILE = "injection_weights.bin"
_FORMAT = "llmops-injection-2"


@dataclass(frozen=True, kw_only=True)
class Header:
    """The numbers of the model beside its tables.

    Attributes:
        version: The version, which changes whenever the weights do.
        unit: The worth of one unit of the tables.
        bias: The score of a window without features.
        slope: The slope of the calibration: the probability is `1 / (1 + exp(-(slope * score + offset)))`.
        offset: Its offset.
        threshold: The probability from which a text counts as found.
        calibrated_fpr: The share of calibration texts without an attack that reach the threshold.
        request_unit: The worth of one unit of the tables for requests.
        request_bias: The logit of a window without features, for requests. It is chosen so that one threshold serves
            both: clean documents reach it as rarely as harmless prompts do.
        calibrated_on: How many texts without an attack the threshold was calibrated on.
        format: The form of the file.
    """

    version: str
    unit: float
    bias: float
    slope: float
    offset: float
    threshold: float
    request_unit: float
    request_bias: float
    calibrated_fpr: float
    calibrated_on: int
    format: str = _FORMAT


class Model(NamedTuple):
    """The model in memory; the tables are read-only.

    Attributes:
        header: Its numbers.
        grams: The worth of each n-gram, in units.
        classes: The worth of each class, pair, triple and family.
        requests: The worth of each feature of a request, in its units.
        request_classes: The worth of each class, pair, triple and family for requests.
    """

    header: Header
    grams: NDArray[np.int8]
    classes: NDArray[np.int16]
    requests: NDArray[np.int8]
    request_classes: NDArray[np.int16]


def pack(model: Model) -> bytes:
    """Return the bytes of the file."""
    head = json.dumps(asdict(model.header), sort_keys=True, separators=(",", ":")).encode()
    grams = (table.astype("int8").tobytes() for table in (model.grams, model.requests))
    classes = (table.astype("<i2").tobytes() for table in (model.classes, model.request_classes))
    return b"".join((head, b"\n", *grams, *classes))


def unpack(data: bytes) -> Model:
    """Return the model in the bytes of a file.

    Raises:
        ValueError: The bytes are not such a file, or it is cut.
    """
    np = numpy()
    head, newline, tables = data.partition(b"\n")
    if not newline or len(tables) != GRAM_SLOTS + REQUEST_SLOTS + 4 * CLASS_SLOTS:
        raise ValueError(f"{len(data)} bytes are not an injection model: install the package again")
    header = Header(**json.loads(head))
    if header.format != _FORMAT:
        raise ValueError(f"the injection model has the form {header.format!r}, not {_FORMAT!r}")
    grams = np.frombuffer(tables, "int8", GRAM_SLOTS + REQUEST_SLOTS)
    classes = np.frombuffer(tables, "<i2", 2 * CLASS_SLOTS, GRAM_SLOTS + REQUEST_SLOTS).astype("int16")
    return Model(header, grams[:GRAM_SLOTS], classes[:CLASS_SLOTS], grams[GRAM_SLOTS:], classes[CLASS_SLOTS:])


@functools.cache
def load() -> Model:
    """Return the model that ships with the package; the file is read once."""
    return unpack(files("llmops_sdk.guardrails.detectors.injection").joinpath(FILE).read_bytes())
