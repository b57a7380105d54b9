"""The file of the injection model: write it, read it.

The file is a line of JSON (`Header`), then the table of n-grams as signed bytes, then the table of classes as signed
16-bit integers, little-endian. One unit of both tables is worth `Header.unit`. Nothing in it is executed, and a file
that is not exactly of this form is refused.
"""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from llmops_sdk.guardrails.detectors.injection._injection_features import CLASS_SLOTS, GRAM_SLOTS, numpy

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["FILE", "Header", "Model", "load", "pack", "unpack"]

FILE = "injection_weights.bin"
_FORMAT = "llmops-injection-1"


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
        calibrated_on: How many texts without an attack the threshold was calibrated on.
        format: The form of the file.
    """

    version: str
    unit: float
    bias: float
    slope: float
    offset: float
    threshold: float
    calibrated_fpr: float
    calibrated_on: int
    format: str = _FORMAT


class Model(NamedTuple):
    """The model in memory; the tables are read-only.

    Attributes:
        header: Its numbers.
        grams: The worth of each n-gram, in units.
        classes: The worth of each class, pair, triple and family.
    """

    header: Header
    grams: NDArray[np.int8]
    classes: NDArray[np.int16]


def pack(model: Model) -> bytes:
    """Return the bytes of the file."""
    head = json.dumps(asdict(model.header), sort_keys=True, separators=(",", ":")).encode()
    return b"".join((head, b"\n", model.grams.astype("int8").tobytes(), model.classes.astype("<i2").tobytes()))


def unpack(data: bytes) -> Model:
    """Return the model in the bytes of a file.

    Raises:
        ValueError: The bytes are not such a file, or it is cut.
    """
    np = numpy()
    head, newline, tables = data.partition(b"\n")
    if not newline or len(tables) != GRAM_SLOTS + 2 * CLASS_SLOTS:
        raise ValueError(f"{len(data)} bytes are not an injection model: install the package again")
    header = Header(**json.loads(head))
    if header.format != _FORMAT:
        raise ValueError(f"the injection model has the form {header.format!r}, not {_FORMAT!r}")
    return Model(
        header,
        np.frombuffer(tables, "int8", GRAM_SLOTS),
        np.frombuffer(tables, "<i2", CLASS_SLOTS, GRAM_SLOTS).astype("int16"),
    )


@functools.cache
def load() -> Model:
    """Return the model that ships with the package; the file is read once."""
    return unpack(files("llmops_sdk.guardrails.detectors.injection").joinpath(FILE).read_bytes())
