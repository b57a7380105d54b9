"""What we changed ourselves between two windows: prompts, models and parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from llmops_sdk.drift.signals._frame import Frame, numpy

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["OwnChanges", "own_changes"]

_LEAST_SHARE = 0.01
_TIMES = 10.0
_MOST_SENTENCES = 20
_CAUSES = (("prompt_version", (0, 1)), ("model", (2,)), ("configuration", (3,)))


class OwnChanges(NamedTuple):
    """What we changed."""

    cause: str | None
    """"prompt_version", "model" or "configuration"; None where nothing changed."""
    sentences: tuple[str, ...]
    common: NDArray[np.bool_]
    """For each configuration, whether both windows have it."""


def own_changes(frame: Frame, rows: NDArray[np.intp], configs: Sequence[tuple[str, ...]]) -> OwnChanges:
    """Return which configurations came or went between the windows.

    A configuration came if it has at least 1 % of the current calls and less than a tenth of that share of the
    reference. It went if the reverse holds.

    Args:
        frame: The calls.
        rows: The calls to look at.
        configs: The prompt, version, model and parameters of each place.
    """
    np = numpy()
    count = len(configs) + 1
    places, flags = frame.configs[rows], frame.is_current[rows]
    new = np.bincount(places[flags], minlength=count).astype(float)
    old = np.bincount(places[~flags], minlength=count).astype(float)
    if not new.sum() or not old.sum():
        return OwnChanges(None, (), (new > 0) & (old > 0))
    came, went = _moved(old / old.sum(), new / new.sum())
    common = (new > 0) & (old > 0) & ~came & ~went
    # The configurations beyond the list are many small ones: what they are is unknown, but both windows have them.
    came[-1] = went[-1] = False
    if not (came.any() or went.any()):
        return OwnChanges(None, (), common)
    causes: list[str] = []
    sentences: list[str] = []
    for cause, parts in _CAUSES:
        found = _part_changes(configs, parts, old[:-1], new[:-1])
        causes += [cause] if found else []
        sentences += found
    return OwnChanges(causes[0] if causes else "configuration", tuple(sentences[:_MOST_SENTENCES]), common)


def _moved(old: Any, new: Any) -> tuple[Any, Any]:
    came = (new >= _LEAST_SHARE) & (old * _TIMES < new)
    went = (old >= _LEAST_SHARE) & (new * _TIMES < old)
    return came, went


def _part_changes(configs: Sequence[tuple[str, ...]], parts: tuple[int, ...], old: Any, new: Any) -> list[str]:
    """Return a sentence for each value of a part of the configuration that came or went."""
    np = numpy()
    keys = [tuple(config[part] for part in parts) for config in configs]
    names = sorted(set(keys))
    places = np.array([names.index(key) for key in keys], int)
    shares = [np.bincount(places, side, minlength=len(names)) / max(float(side.sum()), 1.0) for side in (old, new)]
    came, went = _moved(*shares)
    said: list[str] = []
    for place, key in enumerate(names):
        if came[place] or went[place]:
            before, after = shares[0][place], shares[1][place]
            said.append(f"{_named(parts, key)} had {before:.0%} of the calls and now has {after:.0%}")
    return said


def _named(parts: tuple[int, ...], key: tuple[str, ...]) -> str:
    if parts == (0, 1):
        return f"version {key[1] or 'none'} of the prompt {key[0] or 'without a name'}"
    if parts == (2,):
        return f"the requested model {key[0] or 'without a name'}"
    return f"the parameters {key[0]}"
