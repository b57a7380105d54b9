"""The file of the static embedder: write it, read it.

The file is a line of JSON (`Header`), then the tokens, one a line in UTF-8, then one scale a token as 32-bit floats,
then one row of signed bytes a token, little-endian. A token's vector is its row times its scale. Nothing in the file is
executed, and a file that is not exactly of this form is refused.
"""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from llmops_sdk.embeddings._vectors import numpy

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["FILE", "Header", "Table", "load", "pack", "unpack"]

FILE = "static_table.bin"
_FORMAT = "llmops-static-1"


@dataclass(frozen=True, kw_only=True)
class Header:
    """The numbers of the table.

    Attributes:
        version: The version, which changes whenever the vectors do.
        tokens: The number of tokens.
        dimension: The length of a vector.
        vocabulary_bytes: The size of the list of tokens.
        unknown_norm: The length of the vector that a word without tokens gets.
        format: The form of the file.
    """

    version: str
    tokens: int
    dimension: int
    vocabulary_bytes: int
    unknown_norm: float
    format: str = _FORMAT


class Table(NamedTuple):
    """The table in memory; the arrays are read-only.

    Attributes:
        header: Its numbers.
        tokens: The tokens in the order of the rows; a token that continues a word begins with "##".
        scales: The worth of one unit of each row.
        rows: The vectors, in units.
    """

    header: Header
    tokens: tuple[str, ...]
    scales: NDArray[np.float32]
    rows: NDArray[np.int8]


def pack(table: Table) -> bytes:
    """Return the bytes of the file."""
    head = json.dumps(asdict(table.header), sort_keys=True, separators=(",", ":")).encode()
    tokens = "\n".join(table.tokens).encode()
    return b"".join((head, b"\n", tokens, table.scales.astype("<f4").tobytes(), table.rows.astype("int8").tobytes()))


def unpack(data: bytes) -> Table:
    """Return the table in the bytes of a file.

    Raises:
        ValueError: The bytes are not such a file, or it is cut.
    """
    np = numpy()
    end = data.find(b"\n") + 1
    try:
        header = Header(**json.loads(data[:end]))
        scales_at = end + header.vocabulary_bytes
        tokens = tuple(data[end:scales_at].decode().split("\n"))
        fits = len(data) == scales_at + header.tokens * (4 + header.dimension) and len(tokens) == header.tokens
    except (TypeError, ValueError) as error:
        raise ValueError(f"{len(data)} bytes are not a table of vectors: install the package again") from error
    if not fits or header.format != _FORMAT:
        raise ValueError(f"{len(data)} bytes are not the whole table of vectors: install the package again")
    scales = np.frombuffer(data, "<f4", header.tokens, scales_at).astype("float32")
    scales.flags.writeable = False
    rows = np.frombuffer(data, "int8", offset=scales_at + 4 * header.tokens)
    return Table(header, tokens, scales, rows.reshape(header.tokens, header.dimension))


@functools.cache
def load() -> Table:
    """Return the table that ships with the package; the file is read once."""
    return unpack(files("llmops_sdk.embeddings").joinpath(FILE).read_bytes())
