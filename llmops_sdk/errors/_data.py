"""The errors of stores, queries, vectors, files and tests."""

from __future__ import annotations

from typing import Any

from llmops_sdk.errors._base import LLMOpsError

__all__ = [
    "CassetteError",
    "DatasetError",
    "EmbeddingError",
    "MissingScoreError",
    "OtlpDecodeError",
    "QueryError",
    "RealCallBlockedError",
    "ScriptError",
    "StoreError",
]


class StoreError(LLMOpsError):
    """The local store cannot be read or written.

    Attributes:
        path: The affected folder or file, or None.
    """

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class QueryError(LLMOpsError):
    """The SQL of a query is not valid, or not allowed.

    Attributes:
        sql: The statement.
    """

    def __init__(self, message: str, *, sql: str | None = None) -> None:
        super().__init__(message)
        self.sql = sql


class OtlpDecodeError(LLMOpsError):
    """A request or a file is not valid OTLP; the message says what is wrong and where."""


class EmbeddingError(LLMOpsError):
    """Vectors are not usable: their number or length is wrong, one is zero or not finite, or an index is full.

    Attributes:
        source: The name of the embedder that made the vectors, or of the method that refused them.
    """

    def __init__(self, message: str, *, source: str | None = None) -> None:
        super().__init__(message)
        self.source = source


class DatasetError(LLMOpsError):
    """A data set cannot be made, found, saved or written.

    Attributes:
        name: The data set's name, or None.
        path: The file that was read or written, or None.
        line: The line of the file, or the row of a table, counted from 1; None where it is not one line's fault.
        nearest: Names or versions near the one that was not found.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str | None = None,
        path: str | None = None,
        line: int | None = None,
        nearest: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.name = name
        self.path = path
        self.line = line
        self.nearest = nearest


class MissingScoreError(LLMOpsError, ValueError):
    """A score, label or rating is missing (None or NaN) where a statistic needs every one.

    Attributes:
        argument: The name of the argument that has the missing value.
        index: The position of the first missing value, from 0.
    """

    def __init__(self, message: str, *, argument: str | None = None, index: int | None = None) -> None:
        super().__init__(message)
        self.argument = argument
        self.index = index


class CassetteError(LLMOpsError):
    """A cassette cannot answer: it has no recording of the request, or its file cannot be read or written.

    It is not a `ProviderError`: no retry and no fallback follows.

    Attributes:
        path: The cassette's file.
        nearest: The most similar recorded request, or None.
    """

    def __init__(self, message: str, *, path: str, nearest: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.nearest = nearest


class RealCallBlockedError(LLMOpsError):
    """A test called a real model inside `block_real_calls()`; no retry and no fallback follows.

    Attributes:
        model: The model of the call, as in "openai/gpt-4.1-mini".
    """

    def __init__(self, message: str, *, model: str) -> None:
        super().__init__(message)
        self.model = model


class ScriptError(LLMOpsError):
    """A scripted provider has no answer for a call, or an answer of another type."""
