"""A profile of reference texts: what a comparison needs of them, without the texts."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_sdk._util._public import public
from llmops_sdk.drift.texts._features import digest, language_finder, words
from llmops_sdk.drift.texts._permutation import numpy
from llmops_sdk.embeddings import Embedder, open_embedder
from llmops_sdk.errors import MissingDependencyError, NotComparableError

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["LANGUAGE_TEXTS", "MOST_VECTORS", "TextProfile", "Traits", "embed", "find_languages", "sampled", "traits"]

MOST_VECTORS = 2_000
"""The most texts of a window that are compared as vectors."""
LANGUAGE_TEXTS = 300
"""The most texts of a window whose language is found."""
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is measured of each text of a window.

    Attributes:
        users: The digest of each text's user; another number for each text where users are unknown.
        lengths: In characters.
        words: The digests of each text's words.
        languages: Of the first texts; None where a text is too short.
        vectors: One row of unit length for each of the first texts, or None.
    """

    users: list[int]
    lengths: list[int]
    words: list[list[int]]
    languages: list[str | None]
    vectors: NDArray[np.float32] | None


@public("llmops_sdk.drift")
@dataclass(frozen=True, slots=True, kw_only=True)
class TextProfile:
    """The reference of a comparison, to store and use again. It holds no text.

    Words and users are stored as digests of 64 bits: who guesses a word or a name can find out whether it is there.

    Attributes:
        embedder: The identity of the embedder; "" where numpy is not installed and there are no vectors.
        has_users: Whether the users are known.
        traits: What is measured of each text.
    """

    embedder: str
    has_users: bool
    traits: Traits

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        *,
        users: Sequence[Hashable] | None = None,
        embedder: str | Embedder = "static",
        max_texts: int = 5_000,
    ) -> TextProfile:
        """Return the profile of texts.

        Args:
            texts: The reference, at least two texts.
            users: Who sent each text, or None where all are independent.
            embedder: As for `llmops_sdk.embeddings.open_embedder`.
            max_texts: The most texts that are used, taken at random, the same ones each time.

        Raises:
            NotComparableError: There are fewer than two texts, or the lengths differ.
            TypeError: `texts` is a string, or has something else than strings.

        Example:
            >>> from llmops_sdk.drift import TextProfile
            >>> profile = TextProfile.fit(["Where is my card?", "I lost my card"])
            >>> profile.traits.lengths
            [17, 14]
        """
        given, labels = sampled(texts, users, max_texts)
        if len(given) < 2:
            raise NotComparableError(f"the reference has {len(given)} texts: give at least two")
        opened = _opened(embedder)
        return cls(
            embedder="" if opened is None else opened.identity,
            has_users=users is not None,
            traits=traits(given, labels, opened),
        )

    def save(self, path: str | Path) -> None:
        """Write the profile to a file in numpy's format npz.

        Args:
            path: The file; an old one is replaced.

        Raises:
            MissingDependencyError: numpy is not installed.
        """
        np = numpy()
        head = {"version": _VERSION, "embedder": self.embedder, "users": self.has_users}
        languages = ["" if one is None else one for one in self.traits.languages]
        vectors = self.traits.vectors
        with Path(path).open("wb") as file:
            np.savez_compressed(
                file,
                head=np.frombuffer(json.dumps(head).encode(), "uint8"),
                users=np.array(self.traits.users, "int64"),
                lengths=np.array(self.traits.lengths, "int64"),
                words=np.array([word for one in self.traits.words for word in one], "int64"),
                counts=np.array([len(one) for one in self.traits.words], "int64"),
                languages=np.array(languages, "U8"),
                vectors=np.empty((0, 0), "float32") if vectors is None else vectors,
            )

    @classmethod
    def load(cls, path: str | Path) -> TextProfile:
        """Read a profile from a file.

        Args:
            path: The file.

        Raises:
            NotComparableError: The file is not a profile, or has another version.
            MissingDependencyError: numpy is not installed.
        """
        np = numpy()
        try:
            with np.load(path, allow_pickle=False) as file:
                head = json.loads(file["head"].tobytes())
                vectors: Any = file["vectors"]
                measured = Traits(
                    users=file["users"].tolist(),
                    lengths=file["lengths"].tolist(),
                    words=[one.tolist() for one in np.split(file["words"], np.cumsum(file["counts"])[:-1])],
                    languages=[one or None for one in file["languages"].tolist()],
                    vectors=vectors if vectors.shape[1] else None,
                )
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise NotComparableError(f"{path} is not a profile of texts: {error}; make it anew by fit()") from error
        if head.get("version") != _VERSION:
            raise NotComparableError(
                f"{path} has the version {head.get('version')} of a profile: make it anew by fit()"
            )
        return cls(
            embedder=str(head["embedder"]),
            has_users=bool(head["users"]),
            traits=measured,
        )


def embed(texts: Sequence[str], embedder: Embedder) -> NDArray[np.float32]:
    """Return the vectors of the first texts, as many as are compared."""
    from llmops_sdk.embeddings._vectors import unit_rows

    some = list(texts[:MOST_VECTORS])
    return unit_rows(embedder.embed(some), source="data_drift", rows=len(some))


def find_languages(texts: Sequence[str]) -> list[str | None]:
    """Return the language of each of the first texts; nothing where the library is not installed."""
    find = language_finder()
    return [] if isinstance(find, str) else [find(text) for text in texts[:LANGUAGE_TEXTS]]


def traits(texts: list[str], users: list[int], embedder: Embedder | None) -> Traits:
    """Return what is measured of texts.

    Args:
        texts: The texts of one window.
        users: The digest of each text's user.
        embedder: What makes vectors, or None.
    """
    return Traits(
        users=users,
        lengths=[len(text) for text in texts],
        words=[sorted(map(digest, words(text))) for text in texts],
        languages=find_languages(texts),
        vectors=None if embedder is None else embed(texts, embedder),
    )


def sampled(
    texts: Sequence[str], users: Sequence[Hashable] | None, most: int, *, first: int = 0
) -> tuple[list[str], list[int]]:
    """Return the texts and the digests of their users, in an order and a selection that their places alone decide.

    Args:
        texts: The texts.
        users: Who sent each, or None: each text then gets a number of its own.
        most: The most texts to return.
        first: The number of the first text without a user. Two windows need different ones.
    """
    from llmops_sdk.embeddings._vectors import checked_texts

    given = checked_texts(texts)
    if users is not None and len(users) != len(given):
        raise NotComparableError(f"there are {len(given)} texts and {len(users)} users: give one user for each text")
    order = sorted(range(len(given)), key=lambda place: digest(f"{place}/{len(given)}"))[:most]
    labels = [-1 - first - place if users is None else digest(users[place]) for place in order]
    return [given[place] for place in order], labels


def _opened(embedder: str | Embedder) -> Embedder | None:
    try:
        return open_embedder(embedder)
    except MissingDependencyError:
        if embedder != "static":
            raise
        return None


def same_embedder(profile: TextProfile, embedder: str | Embedder) -> Embedder | None:
    """Return the embedder for texts that are compared with a profile.

    Raises:
        NotComparableError: The profile was made with another embedder.
    """
    opened = _opened(embedder)
    identity = "" if opened is None else opened.identity
    if profile.embedder and opened is not None and profile.embedder != identity:
        raise NotComparableError(
            f'the reference was measured with the embedder "{profile.embedder}", and now it is "{identity}": vectors '
            "of two embedders cannot be compared; use the same embedder, or make the reference anew"
        )
    if opened is None or not profile.embedder:
        return None
    return opened
