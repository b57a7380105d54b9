"""A year of weekly checks of 20 signals in 10 slices, where nothing changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llmops_sdk.config import DriftSettings
from llmops_sdk.drift.signals._check import compared_features
from llmops_sdk.drift.signals._frame import Column, Frame, compare
from llmops_sdk.drift.signals._load import Loaded
from llmops_sdk.drift.signals._sample import Sample

SLICES = 10


def _frame(chance: Any, *, reference: int = 2_000, current: int = 500, users: int = 250) -> Frame:
    """Return calls of users who differ, on days that differ: 20 signals of every kind."""
    size = reference + current
    # A few users send many calls each; one must not send most of them, or no test could tell anything.
    of_user = (users * chance.random(size) ** 1.5).astype(int)
    blocks = np.where(np.arange(size) < reference, chance.integers(0, 112, size), chance.integers(112, 140, size))
    shock = chance.standard_normal(140)[blocks]
    habit = chance.standard_normal((users, 20))[of_user]
    frame = Frame(
        is_current=np.arange(size) >= reference,
        clusters=of_user.astype("int32"),
        blocks=blocks.astype("int32"),
        hours=np.zeros(size, "int32"),
        configs=np.zeros(size, "int32"),
        slices={"model": chance.integers(0, SLICES, size).astype("float32")},
    )
    noise = chance.standard_normal((size, 20))
    for number in range(8):
        values = np.exp(noise[:, number] + 0.5 * habit[:, number] + 0.3 * shock).astype("float32")
        frame.columns[f"log {number}"] = Column(values=values, scale="log")
    for number, rate in enumerate((0.002, 0.01, 0.03, 0.1, 0.5), 8):
        logit = np.log(rate / (1 - rate)) + 0.5 * habit[:, number] + 0.3 * shock
        flags = chance.random(size) < 1 / (1 + np.exp(-logit))
        frame.columns[f"share {number}"] = Column(values=flags.astype("float32"), scale="share")
    for number in range(13, 17):
        frame.columns[f"mean {number}"] = Column(values=(noise[:, number] + habit[:, number]).astype("float32"))
    for number in range(17, 20):
        place = np.minimum(chance.zipf(1.7, size) - 1, 6)
        frame.columns[f"category {number}"] = Column(
            values=place.astype("float32"), scale="category", names=tuple("abcdef")
        )
    return frame


def _drifted(frame: Frame) -> int:
    none = np.empty(0, "int32")
    empty = Frame(
        is_current=np.empty(0, bool), clusters=none, blocks=none, hours=none, configs=none,
        slices={"model": np.empty(0, "float32")},
    )  # fmt: skip
    loaded = Loaded(
        frame=frame, configs=(("answer", "1", "m", ""),), values={"model": tuple(map(str, range(SLICES)))},
        span_keys=none, trace_keys=none, own_traces=none, source="", parameters={},
    )  # fmt: skip
    sample = Sample(frame=empty, trace_ids=[], skipped={})
    rows = compared_features(loaded, sample, DriftSettings(max_slices=SLICES))
    assert len(rows) == 20 * (SLICES + 1)
    return sum(one.status == "drifted" for one in rows)


def test_three_weeks_without_a_change_give_no_alert():
    chance = np.random.default_rng(7)

    assert [_drifted(_frame(chance)) for _ in range(3)] == [0, 0, 0]


@pytest.mark.thorough
@pytest.mark.timeout(1_200)
def test_a_year_without_a_change_gives_at_most_one_alert():
    """Ten years: at most one check a year with an alert, on average."""
    chance = np.random.default_rng(8)
    years = 10

    alarms = sum(_drifted(_frame(chance)) > 0 for _ in range(52 * years))

    print(f"{alarms} checks with an alert in {years} years")
    assert alarms / years <= 1.0


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("kind", "least", "most"), [("log 0", 0.005, 0.06), ("mean 13", 0.005, 0.06), ("share 9", 0.0, 0.06)]
)
def test_a_p_value_of_one_signal_holds_its_level(kind: str, least: float, most: float):
    chance = np.random.default_rng(9)
    runs = 300
    alarms = 0
    for _ in range(runs):
        frame = _frame(chance, reference=800, current=300, users=120)
        found = compare(frame, frame.columns[kind], np.arange(len(frame)), within=False)
        assert found is not None
        alarms += found.found.p_value <= 0.05
    assert least <= alarms / runs <= most, alarms / runs
