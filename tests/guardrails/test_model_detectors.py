"""Detectors with libraries of their own: what is said without the library, and how texts are cut into pieces.

The libraries themselves run in tests/integration/test_model_detectors.py.
"""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.errors import ConfigError, MissingDependencyError
from llmops_sdk.guardrails import resolve
from llmops_sdk.guardrails.detectors.models._bounds import bounded
from llmops_sdk.guardrails.detectors.models._presidio import _OVERLAP, _PIECE, _pieces


@pytest.mark.parametrize(
    ("kind", "options", "module", "extra"),
    [
        ("presidio", {}, "presidio_analyzer", "presidio"),
        ("classifier", {"path": "model"}, "onnxruntime", "onnx"),
        ("classifier", {"path": "model"}, "tokenizers", "onnx"),
    ],
)
def test_without_its_library_a_guard_says_what_to_install(kind, options, module, extra, monkeypatch):
    for name in ("presidio_analyzer", "onnxruntime", "tokenizers"):
        monkeypatch.setitem(sys.modules, name, None if name == module else sys)
    with pytest.raises(MissingDependencyError, match=rf'"{module}".*pip install "llmops-sdk\[{extra}\]"'):
        resolve([kind], {kind: options})


def test_a_classifier_needs_a_path():
    with pytest.raises(ConfigError, match="path"):
        resolve(["classifier"])


@given(st.text(alphabet=" ab", max_size=3 * _PIECE), st.integers(0, 6 * _PIECE))
def test_pieces_cover_the_text_and_share_their_ends(text: str, size: int):
    text = (text or "a") * (1 + size // max(1, len(text)))
    pieces = list(_pieces(text))

    assert (pieces[0][0], pieces[-1][1]) == (0, len(text))
    for (start, end, following), after in zip(pieces, [*pieces[1:], None], strict=True):
        assert 0 < end - start <= _PIECE
        if after is not None:
            assert after[0] == following
            assert end - following >= _OVERLAP // 2


def test_no_text_has_no_piece():
    assert list(_pieces("")) == []


@given(st.text(max_size=300), st.integers(1, 200))
def test_a_bounded_text_keeps_its_ends(text: str, most: int):
    parts = bounded(text, most)

    assert sum(map(len, parts)) <= max(most, 1)
    assert text.startswith(parts[0])
    assert text.endswith(parts[-1])
    assert len(parts) == (2 if len(text) > most else 1)
