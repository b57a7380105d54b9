"""Compare what is measured of the texts of two windows, signal by signal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from llmops_sdk.drift._contrast import Contrast, Size, contrast, effective_size
from llmops_sdk.drift._report import Feature
from llmops_sdk.drift.texts._features import Vocabulary, language_finder
from llmops_sdk.drift.texts._profile import Traits
from llmops_sdk.stats import Interval

__all__ = ["Comparison"]

_CLUSTERS = 20
_EXAMPLES = 5
_CATEGORIES = 20
_PERMUTED = 2_000
_NO_VECTORS = 'vectors need numpy: pip install "llmops-sdk[embeddings]"'


class Comparison:
    """The comparison of two windows of texts.

    Args:
        reference: What is measured of the reference.
        current: Likewise.
        clustered: Whether texts of one user move together.
        examples: A trace id or a text for each text of the current window.
        min_n: The fewest independent texts.
        seed: Of the permutations.
        resamples: How many.
    """

    def __init__(
        self,
        reference: Traits,
        current: Traits,
        *,
        clustered: bool,
        examples: Sequence[str],
        min_n: int,
        seed: int,
        resamples: int,
    ) -> None:
        self._old, self._new = reference, current
        self._clustered = clustered
        self._examples = examples
        self._min_n = min_n
        self._seed = seed
        self._resamples = resamples

    def features(self) -> Iterator[Feature]:
        """Yield the signals of the texts."""
        yield self._length()
        yield self._unknown_words()
        yield self._language()
        yield from self._vectors()

    def columns(self, reference: Mapping[str, list[Any]], current: Mapping[str, list[Any]]) -> Iterator[Feature]:
        """Yield a signal for each further column that both queries return."""
        for name in current:
            if name not in reference:
                continue
            old, new = reference[name], current[name]
            if all(value is None or isinstance(value, float) for value in (*old, *new)):
                yield self._number(name, old, new)
            else:
                yield self._category(name, old, new)

    def _number(self, name: str, old: Sequence[Any], new: Sequence[Any]) -> Feature:
        found = self._contrast(old, new)
        if found is None:
            return _missing(name, "there is no value in one of the windows", 0, 0)
        said = f"{name}: the mean went from {found.reference_mean:.4g} to {found.current_mean:.4g}"
        return self._row(name, found, old, new, said)

    def _length(self) -> Feature:
        old, new = ([math.log1p(one) for one in side.lengths] for side in (self._old, self._new))
        found = self._contrast(old, new)
        assert found is not None
        before, after = math.exp(found.reference_mean) - 1, math.exp(found.current_mean) - 1

        def characters(change: float) -> float:
            return (before + 1) * (math.exp(min(change, 700.0)) - 1)

        order = sorted(range(len(new)), key=lambda row: (found.reference_mean - new[row]) * found.effect)
        said = f"a typical text had {before:.0f} characters and now has {after:.0f}"
        shown = found._replace(effect=characters(found.effect), interval=Interval(*map(characters, found.interval)))
        return self._row("length", shown, old, new, said, order)

    def _unknown_words(self) -> Feature:
        vocabulary = Vocabulary(self._old.words, self._old.users)
        old, new = (
            [vocabulary.unknown_share(found, user) for found, user in zip(side.words, side.users, strict=True)]
            for side in (self._old, self._new)
        )
        found = self._contrast(old, new)
        assert found is not None
        if self._old.vectors is not None and self._new.vectors is not None:
            found = found._replace(p_value=self._unknown_words_p_value())
        order = sorted(range(len(new)), key=lambda row: -new[row])
        said = f"{found.reference_mean:.1%} of a text's words were unknown, now {found.current_mean:.1%} are"
        return self._row("oov", found, old, new, said, order)

    def _unknown_words_p_value(self) -> float:
        from llmops_sdk.drift.texts._permutation import draw_windows, make_blocks, unknown_words

        # New words come in bursts, and rare words of the reference depend on each other: permutations are exact.
        old, new = self._old.words[:_PERMUTED], self._new.words[:_PERMUTED]
        windows = [False] * len(old) + [True] * len(new)
        users = [*self._old.users[: len(old)], *self._new.users[: len(new)]] if self._clustered else None
        blocks = make_blocks(windows, users)
        return unknown_words([*old, *new], blocks, draw_windows(blocks, self._resamples, self._seed))

    def _language(self) -> Feature:
        find = language_finder()
        if isinstance(find, str):
            return _missing("language", find, 0, 0)
        return self._category("language", self._old.languages, self._new.languages)

    def _category(self, name: str, old: Sequence[Any], new: Sequence[Any]) -> Feature:
        counts = Counter(value for value in (*old, *new) if value is not None)
        common = [value for value, _ in counts.most_common(_CATEGORIES)]
        best: tuple[Contrast, Any] | None = None
        for value in common:
            found = self._contrast(_is(old, value), _is(new, value))
            if found is not None and (best is None or found.p_value < best[0].p_value):
                best = found, value
        if best is None:
            return _missing(name, "there is no value in one of the windows", 0, 0)
        found, value = best
        # Two categories are one comparison: what one gains the other loses.
        tests = max(1, len(common) - 1 if len(common) == len(counts) else len(common))
        found = found._replace(p_value=min(1.0, found.p_value * tests))
        kept_old, kept_new = _is(old, value), _is(new, value)
        order = [row for row, one in enumerate(kept_new) if one is not None and (one > 0) == (found.effect > 0)]
        said = f"{name} {str(value)[:40]!r} had a share of {found.reference_mean:.1%}, now {found.current_mean:.1%}"
        return self._row(name, found, kept_old, kept_new, said, order)

    def _vectors(self) -> Iterator[Feature]:
        old, new = self._old.vectors, self._new.vectors
        if old is None or new is None:
            for name in ("novelty", "mmd", "cluster_share"):
                yield _missing(name, _NO_VECTORS, len(self._old.lengths), len(self._new.lengths))
            return
        if len(old) < 2 or len(new) < 2:
            return
        yield from self._compare_vectors(old, new)

    def _compare_vectors(self, old: Any, new: Any) -> Iterator[Feature]:
        from llmops_sdk.drift.texts import _permutation, _shift
        from llmops_sdk.drift.texts._novelty import TAIL, novelty

        np = _permutation.numpy()
        vectors = np.concatenate([old, new])
        windows = [False] * len(old) + [True] * len(new)
        users = [*self._old.users[: len(old)], *self._new.users[: len(new)]] if self._clustered else None
        blocks = _permutation.make_blocks(windows, users)
        drawn = _permutation.draw_windows(blocks, self._resamples, self._seed)

        found = novelty(vectors, users, blocks, drawn)
        novel = found.is_novel.astype(float).tolist()
        shares = self._contrast(novel[: len(old)], novel[len(old) :])
        assert shares is not None
        order = np.argsort(found.similarity[len(old) :], kind="stable").tolist()
        said = (
            f"{shares.current_mean:.1%} of the texts are farther from the reference than the farthest {TAIL:.0%} of it"
        )
        shares = shares._replace(p_value=found.p_value)
        yield self._row("novelty", shares, novel[: len(old)], novel[len(old) :], said, order, threshold=found.threshold)

        features = _shift.kernel_features(vectors, self._seed)
        p_value = _permutation.p_value(_permutation.scaled_shift(features, blocks, drawn))
        step = features[len(old) :].mean(axis=0) - features[: len(old)].mean(axis=0)
        away = (features[len(old) :] @ step).astype(float)
        size = float((step * step).sum()) ** 0.5
        mmd = Contrast(size, Interval(math.nan, math.nan), p_value, 0.0, size)
        said = f"the vectors of the windows are {size:.3f} apart (maximum mean discrepancy)"
        near = (features[: len(old)] @ step).astype(float).tolist()
        order = np.argsort(-away, kind="stable").tolist()
        yield self._row("mmd", mmd, near, away.tolist(), said, order, interval=False)

        yield self._clusters(vectors, len(old), blocks, drawn)

    def _clusters(self, vectors: Any, count: int, blocks: Any, drawn: Any) -> Feature:
        from llmops_sdk.drift.texts import _permutation, _shift

        np = _permutation.numpy()
        groups = _shift.cluster(vectors, min(_CLUSTERS, max(2, len(vectors) // 20)), self._seed)
        p_value = _permutation.p_value(_permutation.scaled_shift(_shift.cluster_features(groups), blocks, drawn))
        tests: list[tuple[Contrast, int]] = []
        for number in range(len(groups.centres)):
            flags = (groups.labels == number).astype(float).tolist()
            one = self._contrast(flags[:count], flags[count:])
            if one is not None:
                tests.append((one, number))
        found, number = min(tests, key=lambda pair: pair[0].p_value)
        flags = (groups.labels == number).astype(float).tolist()
        nearness = vectors[count:] @ groups.centres[number]
        nearness[groups.labels[count:] != number] -= 4.0
        order = np.argsort(-nearness, kind="stable").tolist()
        value, expected = _shift.psi(groups.labels, np.arange(len(vectors)) >= count, len(groups.centres))
        said = f"the topic that changed most had a share of {found.reference_mean:.1%}, now {found.current_mean:.1%}"
        shown = found._replace(p_value=p_value)
        return self._row(
            "cluster_share", shown, flags[:count], flags[count:], said, order,
            clusters=len(groups.centres), psi=round(value, 4), psi_without_change=round(expected, 4),
        )  # fmt: skip

    def _contrast(self, old: Sequence[float | None], new: Sequence[float | None]) -> Contrast | None:
        values: list[float] = []
        windows: list[bool] = []
        users: list[Hashable] = []
        for side, labels, window in ((old, self._old.users, False), (new, self._new.users, True)):
            for row, value in enumerate(side):
                if value is not None:
                    values.append(value)
                    windows.append(window)
                    users.append(labels[row])
        return contrast(values, windows, users if self._clustered else None)

    def _row(
        self,
        signal: str,
        found: Contrast,
        old: Sequence[float | None],
        new: Sequence[float | None],
        said: str,
        order: Sequence[int] = (),
        *,
        interval: bool = True,
        **details: Any,
    ) -> Feature:
        sizes = [self._effective(old, self._old.users), self._effective(new, self._new.users)]
        enough = min(one.by_design for one in sizes) >= self._min_n
        if not enough:
            before, after = (one.by_design for one in sizes)
            said = f"the windows are worth {before:.0f} and {after:.0f} independent texts; {self._min_n} are needed"
        return Feature(
            signal=signal,
            status="steady" if enough else "not_enough_data",
            reason=said,
            effect=found.effect,
            interval=found.interval if interval and math.isfinite(found.interval.low) else None,
            p_value=found.p_value,
            reference_n=sum(value is not None for value in old),
            current_n=sum(value is not None for value in new),
            effective_n=round(sizes[1].effective, 1),
            examples=tuple(self._examples[row] for row in order[:_EXAMPLES] if row < len(self._examples)),
            details=details,
        )

    def _effective(self, values: Sequence[float | None], users: Sequence[int]) -> Size:
        pairs = [(value, user) for value, user in zip(values, users, strict=False) if value is not None]
        return effective_size([value for value, _ in pairs], [user for _, user in pairs] if self._clustered else None)


def _is(values: Sequence[Any], category: Any) -> list[float | None]:
    return [None if value is None else float(value == category) for value in values]


def _missing(signal: str, reason: str, reference_n: int, current_n: int) -> Feature:
    return Feature(signal=signal, status="not_enough_data", reason=reason, reference_n=reference_n, current_n=current_n)
