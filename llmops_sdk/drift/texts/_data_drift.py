"""`data_drift`: compare two windows of texts."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from llmops_sdk.drift._report import DriftReport, Feature
from llmops_sdk.drift.texts._comparison import Comparison
from llmops_sdk.drift.texts._profile import TextProfile, Traits, same_embedder, sampled, traits
from llmops_sdk.drift.texts._sources import Window, from_query, from_texts
from llmops_sdk.embeddings import Embedder
from llmops_sdk.errors import NotComparableError
from llmops_sdk.stats import holm

__all__ = ["data_drift"]

Texts: TypeAlias = Sequence[str] | str
Users: TypeAlias = tuple[Sequence[Hashable] | None, Sequence[Hashable] | None]


def data_drift(
    reference: Texts | TextProfile,
    current: Texts,
    *,
    users: Users | None = None,
    embedder: str | Embedder = "static",
    alpha: float = 0.05,
    min_n: int = 50,
    max_texts: int = 5_000,
    resamples: int = 999,
    path: str | Path | None = None,
) -> DriftReport:
    """Say whether the texts of two windows differ, with a chance of a false alarm of at most `alpha`.

    Signals: `length`, `oov` (words that nobody else used in the reference), `language`, `novelty` (texts far from all
    texts of others in the reference), `mmd` (the distribution of the vectors) and `cluster_share` (topics). Holm's
    method corrects for their number. Without numpy or a library for languages, signals are "not_enough_data" with the
    reason. With `users`, the texts of a user move together in the permutations: one heavy user makes no alarm.

    Args:
        reference: Texts; a SELECT over the store that returns `text` and may return `trace_id`, `user_id` and further
            columns, each a signal; or a stored profile.
        current: Texts or a SELECT.
        users: Who sent each text of the reference (None with a profile) and of the current window; not with SELECTs.
        embedder: As for `llmops_sdk.embeddings.open_embedder`.
        alpha: The chance of any alarm where nothing has changed.
        min_n: Fewer independent texts in a window are "not_enough_data".
        max_texts: The most texts of a window, taken at random; at most 2,000 of them are compared as vectors.
        resamples: Permutations of the windows, at least 199.
        path: The store's folder for SELECTs, by default the configured one.

    Raises:
        NotComparableError: A profile has another embedder, users do not match texts, or a query has no column `text`.
        QueryError: A SELECT is not valid.
        ValueError: A number is out of its range.

    Example:
        >>> from llmops_sdk.drift import data_drift
        >>> asked = [f"Where is my {thing} number {n}?" for n in range(40) for thing in ("card", "order", "parcel")]
        >>> now = asked[:60] + [f"Write a poem about the {n} moons of Jupiter" for n in range(60)]
        >>> data_drift(asked, now).drifted
        True

    Source: A. Janssen, Statist. Probab. Lett. 36 (1997), for permutations of statistics scaled by their error.
    """
    _check_numbers(alpha, min_n, max_texts, resamples)
    folder = None if path is None else Path(path)
    of_reference, of_current = (None, None) if users is None else users
    new = _window(current, of_current, max_texts, folder)
    old = None if isinstance(reference, TextProfile) else _window(reference, of_reference, max_texts, folder)
    if not new.texts or (old is not None and len(old.texts) < 2):
        return _too_few(0 if old is None else len(old.texts), len(new.texts))
    profile = _profile(reference, old, new, embedder, max_texts)
    measured, examples = _measured(profile, new, embedder, max_texts)
    comparison = Comparison(
        profile.traits, measured, clustered=profile.has_users, examples=examples, min_n=min_n, seed=0,
        resamples=resamples,
    )  # fmt: skip
    found = [*comparison.features(), *comparison.columns(old.columns if old else {}, new.columns)]
    return DriftReport(kind="data", features=tuple(_decided(found, alpha)))


def _check_numbers(alpha: float, min_n: int, max_texts: int, resamples: int) -> None:
    if not 0 < alpha < 1 or resamples < 199 or max_texts < 2 or min_n < 2:
        raise ValueError("give alpha between 0 and 1, resamples of at least 199, and max_texts and min_n of at least 2")


def _profile(
    reference: Texts | TextProfile, old: Window | None, new: Window, embedder: str | Embedder, max_texts: int
) -> TextProfile:
    """Return the profile of the reference, with users only if both windows have them."""
    if isinstance(reference, TextProfile):
        if reference.has_users and new.users is None:
            raise NotComparableError("the reference has users and the current window has none: give users for both")
        return reference
    assert old is not None
    users = old.users if new.users is not None else None
    return TextProfile.fit(old.texts, users=users, embedder=embedder, max_texts=max_texts)


def _window(texts: Texts, users: Sequence[Hashable] | None, max_texts: int, path: Path | None) -> Window:
    if isinstance(texts, str):
        if users is not None:
            raise NotComparableError("a query gives its users itself, as the column user_id: leave out `users`")
        return from_query(texts, max_texts, path)
    return from_texts(texts, users)


def _measured(profile: TextProfile, new: Window, embedder: str | Embedder, max_texts: int) -> tuple[Traits, list[str]]:
    """Return what is measured of the current window, and the trace or the text of each row."""
    opened = same_embedder(profile, embedder)
    users = new.users if profile.has_users else None
    texts, labels = sampled(new.texts, users, max_texts, first=len(profile.traits.lengths))
    examples = sampled(new.trace_ids, None, max_texts)[0] if new.trace_ids else texts
    return traits(texts, labels, opened), examples


def _too_few(reference: int, current: int) -> DriftReport:
    reason = f"there are {reference} texts in the reference and {current} in the current window"
    row = Feature(signal="length", status="not_enough_data", reason=reason, reference_n=reference, current_n=current)
    return DriftReport(kind="data", features=(row,))


def _decided(found: Iterable[Feature], alpha: float) -> list[Feature]:
    """Return the features with adjusted p-values and what follows from them."""
    from dataclasses import replace

    rows = list(found)
    tested = [place for place, row in enumerate(rows) if row.status != "not_enough_data" and row.p_value is not None]
    if tested:
        for place, adjusted in zip(tested, holm([rows[place].p_value or 0.0 for place in tested]), strict=True):
            status = "drifted" if adjusted <= alpha else "steady"
            examples = rows[place].examples if status == "drifted" else ()
            rows[place] = replace(rows[place], adjusted_p_value=adjusted, status=status, examples=examples)
    return rows
