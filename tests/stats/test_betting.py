"""The e-process: its reference values, its guarantee under looks after every item, its intervals."""

from __future__ import annotations

import math
import pickle
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.errors import MissingScoreError
from llmops_sdk.stats import EProcess

DIFFERENCES = st.lists(st.floats(-1, 1), min_size=1, max_size=60)


def after(values, **options) -> EProcess:
    process = EProcess(**options)
    for value in values:
        process.update(value)
    return process


@pytest.mark.parametrize(("gained", "lost", "expected"), [(139, 477, 94.34306497573694), (404, 242, 17.17420809282717)])
def test_evidence_of_the_reference(gained: int, lost: int, expected: float):
    # 1,000 primes (LLMDrift), gpt-4 and gpt-3.5. The order does not matter for the last value.
    process = after([1] * gained + [-1] * lost + [0] * (1_000 - gained - lost))

    assert process.log_e == pytest.approx(expected, abs=1e-9)
    assert process.n == 1_000
    assert process.rejects(1e-6)


def test_losses_alone_are_evidence_at_the_reference_places():
    # The primes come sorted: the first items are all lost.
    process, reached = EProcess(), {}
    for index in range(20):
        process.update(-1)
        for bound in (20, 100):
            if process.e_value >= bound:
                reached.setdefault(bound, index + 1)

    assert reached == {20: 9, 100: 12}


@given(DIFFERENCES, st.sampled_from(["two-sided", "greater", "less"]), st.floats(-0.9, 0.9))
def test_evidence_is_the_mean_of_the_bets(values: list[float], alternative, null: float):
    bets = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8]
    up = [math.prod(1 + bet * (value - null) / (null + 1) for value in values) for bet in bets]
    down = [math.prod(1 - bet * (value - null) / (1 - null) for value in values) for bet in bets]
    wealth = {"two-sided": up + down, "greater": up, "less": down}[alternative]

    assert after(values, null=null, alternative=alternative).e_value == pytest.approx(sum(wealth) / len(wealth))


@given(DIFFERENCES)
def test_mirrored_values_are_the_same_evidence(values: list[float]):
    one, other = after(values, alternative="greater"), after([-value for value in values], alternative="less")

    assert one.e_value == pytest.approx(other.e_value)
    assert one.p_value == pytest.approx(other.p_value)
    assert one.interval().low == pytest.approx(-other.interval().high, abs=2e-3)


@given(DIFFERENCES, st.floats(0.001, 0.5))
def test_peak_decides(values: list[float], alpha: float):
    process = EProcess()
    seen = list(accumulate((process.update(value) for value in values), max, initial=0.0))

    assert process.peak_log_e == seen[-1]
    assert process.rejects(alpha) == (seen[-1] >= math.log(1 / alpha))
    assert process.p_value == pytest.approx(math.exp(-seen[-1]))


@pytest.mark.thorough
@pytest.mark.parametrize("alternative", ["two-sided", "less"])
def test_gate_that_is_peeked_at_after_each_item_seldom_fails_falsely(alternative):
    generator = np.random.default_rng(7)
    failed = 0
    for _ in range(400):
        stream = generator.choice([-1.0, 0.0, 1.0], size=250, p=[0.15, 0.7, 0.15])
        failed += after(stream, alternative=alternative).rejects(0.05)

    assert failed <= 0.05 * 400


def test_gate_with_a_margin_lets_a_small_loss_pass_and_finds_a_large_one():
    generator = np.random.default_rng(8)
    small, large = (
        sum(
            after(generator.choice([-1, 0, 1], size=500, p=loss), null=-0.05, alternative="less").rejects(0.05)
            for _ in range(40)
        )
        for loss in ([0.125, 0.8, 0.075], [0.3, 0.65, 0.05])
    )

    assert small <= 4
    assert large >= 36


def test_interval_holds_at_all_times_and_excludes_what_the_test_rejects():
    generator = np.random.default_rng(9)
    missed = 0
    for _ in range(60):
        stream, process = generator.binomial(1, 0.7, size=200), EProcess(null=0.5, low=0, high=1)
        intervals = []
        for index, value in enumerate(stream):
            process.update(value)
            if index % 10 == 9:
                intervals.append(process.interval())
        missed += any(not low <= 0.7 <= high for low, high in intervals)
        assert intervals[-1].low <= stream.mean() <= intervals[-1].high
        assert intervals[-1].high - intervals[-1].low < intervals[0].high - intervals[0].low

    assert missed <= 6


@given(DIFFERENCES, st.floats(-0.95, 0.95))
def test_means_outside_the_interval_are_rejected(values: list[float], mean: float):
    low, high = after(values).interval(0.1)
    two_sided = after(values, null=mean)

    assert -1 <= low <= high <= 1
    if two_sided.e_value < 10 * 0.999:
        assert low <= mean <= high
    if not low - 0.01 <= mean <= high + 0.01:
        assert two_sided.e_value >= 10 * 0.9


def test_interval_needs_bounded_memory_and_knows_nothing_at_first():
    assert EProcess().interval() == (-1, 1)
    process = after(np.random.default_rng(10).random(3_000), null=0.2, low=0, high=1)

    assert len(process._counts) <= 2_001
    assert process.interval().low < 0.5 < process.interval().high


def test_evidence_beyond_the_largest_float_is_infinity():
    process = after([1.0] * 3_000)

    assert process.e_value == math.inf
    assert process.log_e > 1_000
    assert pickle.loads(pickle.dumps(process)) == process


@pytest.mark.parametrize("value", [None, math.nan])
def test_failed_items_are_a_typed_error(value):
    with pytest.raises(MissingScoreError, match="leave failed items out"):
        EProcess().update(value)


@pytest.mark.parametrize("value", [1.1, -2, math.inf])
def test_values_out_of_bounds_are_refused_and_change_nothing(value: float):
    process = EProcess()

    with pytest.raises(ValueError, match="value is"):
        process.update(value)
    assert (process.n, process.log_e) == (0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"null": 1}, "null is 1.0"),
        ({"null": 0.5, "low": 0.6, "high": 1}, "between low"),
        ({"null": math.nan}, "null is nan"),
        ({"high": math.inf}, "high is inf"),
        ({"alternative": "both"}, "alternative"),
    ],
)
def test_settings_out_of_range_are_refused(options, message: str):
    with pytest.raises(ValueError, match=message):
        EProcess(**options)
    with pytest.raises(ValueError, match="alpha"):
        EProcess().rejects(0)
    with pytest.raises(ValueError, match="alpha"):
        EProcess().interval(1)
