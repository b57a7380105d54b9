"""`data_drift`: what changed is found, and what did not is left alone, with windows of made-up texts."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llmops_sdk.drift import DriftReport, Feature, TextProfile, data_drift
from llmops_sdk.drift._contrast import contrast, effective_size
from llmops_sdk.drift.texts import _permutation, _shift
from llmops_sdk.errors import NotComparableError, QueryError

VERBS = ("change", "cancel", "explain", "check", "repeat", "confirm", "refund", "move", "stop", "raise")
THINGS = ("card", "payment", "transfer", "account", "limit", "fee", "pin", "statement", "loan", "address", "deposit")
WHENS = ("today", "this week", "before Monday", "as soon as possible", "from abroad", "by phone", "online", "again")
FOREIGN = ("volcano", "penguin", "sonata", "glacier", "comet", "orchid", "galaxy", "kangaroo", "waterfall", "violin")


def asked(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [
        f"Please {chance.choice(VERBS)} the {chance.choice(THINGS)} and the {chance.choice(THINGS)} "
        f"{chance.choice(WHENS)}"
        for _ in range(count)
    ]


def foreign(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [f"Tell a story of the {chance.choice(FOREIGN)} and a {chance.choice(FOREIGN)}" for _ in range(count)]


def _row(report: DriftReport, signal: str) -> Feature:
    return next(one for one in report.features if one.signal == signal)


def test_the_same_traffic_does_not_drift():
    report = data_drift(asked(300, 1), asked(200, 2), resamples=199)

    assert report.status == "steady"
    assert [one.signal for one in report.features] == [
        "length", "oov", "language", "novelty", "mmd", "cluster_share",
    ]  # fmt: skip
    assert report.reason == "nothing drifted"


def test_a_few_foreign_texts_are_found_and_shown():
    report = data_drift(asked(400, 1), asked(180, 2) + foreign(20, 3))

    row = _row(report, "novelty")
    assert row.status == "drifted"
    assert row.effect == pytest.approx(0.1, abs=0.06)
    assert set(row.examples) <= set(foreign(20, 3))
    assert len(report.examples) == 5


def test_a_shift_among_known_texts_is_found_by_the_distribution():
    narrow = [text for text in asked(2_000, 2) if "loan" in text][:120]
    report = data_drift(asked(400, 1), asked(120, 3) + narrow, resamples=399)

    assert {"mmd", "cluster_share"} & {one.signal for one in report.features if one.status == "drifted"}
    assert _row(report, "novelty").status == "steady"


def test_longer_texts_are_found():
    report = data_drift(asked(200, 1), [f"{text}, and {text.lower()}" for text in asked(200, 2)], resamples=199)

    row = _row(report, "length")
    assert row.status == "drifted"
    assert row.interval is not None
    assert row.interval.low > 0


def test_case_7_psi_of_20_clusters_of_200_texts_is_no_threshold():
    found = [data_drift(asked(200, seed), asked(200, seed + 50), resamples=199) for seed in range(4)]

    details = [_row(report, "cluster_share").details for report in found]
    assert all(one["clusters"] == 20 for one in details)
    # A fixed threshold of 0.1 alarms here.
    assert max(one["psi"] for one in details) > 0.1
    assert details[0]["psi_without_change"] == pytest.approx(0.19)
    assert not any(_row(report, "cluster_share").status == "drifted" for report in found)


# --- Hard case 12: users ------------------------------------------------------------------------------------


def test_a_heavy_user_makes_no_alarm():
    reference, current = asked(400, 1), asked(120, 2) + foreign(80, 3)
    users = ([f"u{number}" for number in range(400)], [f"v{number}" for number in range(120)] + ["heavy"] * 80)

    alone = data_drift(reference, current, resamples=399)
    by_user = data_drift(reference, current, users=users, resamples=399)
    even_so = data_drift(reference, current, users=users, resamples=399, min_n=2)

    assert alone.drifted
    assert not by_user.drifted
    assert not even_so.drifted
    assert _row(by_user, "novelty").effective_n < 20  # type: ignore[operator]


def test_what_many_users_do_is_found_beside_a_heavy_user():
    reference = asked(400, 1)
    current = asked(80, 2) + foreign(60, 3) + asked(60, 4)
    users = (
        [f"u{number % 200}" for number in range(400)],
        [f"v{number}" for number in range(140)] + ["heavy"] * 60,
    )

    assert _row(data_drift(reference, current, users=users), "novelty").status == "drifted"


def test_a_users_own_habit_is_no_novelty():
    """A user who always sends foreign texts, in both windows, changes nothing."""
    reference, current = asked(200, 1) + foreign(100, 3), asked(100, 2) + foreign(50, 4)
    before, now = ([f"{one}{number}" for number in range(size)] for one, size in (("u", 200), ("v", 100)))
    users = (before + ["poet"] * 100, now + ["poet"] * 50)

    assert not data_drift(reference, current, users=users, resamples=399).drifted


def test_the_effective_size_is_that_of_kish():
    values = [1.0, 1.0, 0.0, 0.0] * 10
    assert effective_size(values, None) == (40, 40)
    assert effective_size(values, [number // 2 for number in range(40)]).effective == pytest.approx(20)
    # Values of one user are at least a little alike, whatever the few values say.
    assert effective_size([0.0] * 40, ["one"] * 40).effective == pytest.approx(40 / (1 + 39 * 0.05))


def test_one_cluster_alone_never_gets_a_small_p_value():
    values = [0.0] * 100 + [0.0] * 60 + [1.0] * 40
    windows = [False] * 100 + [True] * 100
    users = [f"u{number}" for number in range(160)] + ["heavy"] * 40

    found, naive = contrast(values, windows, users), contrast(values, windows, None)

    assert naive is not None
    assert naive.p_value < 1e-6
    assert found is not None
    assert found.p_value > 0.2
    assert found.interval.low < 0 < found.interval.high


# --- Hard case 11: profiles ---------------------------------------------------------------------------------


def test_a_stored_profile_gives_the_same_result(tmp_path: Path):
    reference, current = asked(300, 1), asked(180, 2) + foreign(20, 3)
    TextProfile.fit(reference).save(tmp_path / "profile.npz")
    loaded = TextProfile.load(tmp_path / "profile.npz")

    assert data_drift(loaded, current, resamples=199) == data_drift(reference, current, resamples=199)
    assert b"transfer" not in (tmp_path / "profile.npz").read_bytes()


def test_case_11_vectors_of_two_embedders_are_not_compared(tmp_path: Path):
    class Other:
        identity, dimension = "other@1#8", 8

        def embed(self, texts: list[str]) -> np.ndarray:
            return np.eye(8, dtype="float32")[[len(text) % 8 for text in texts]]

    TextProfile.fit(asked(100, 1)).save(tmp_path / "profile.npz")

    with pytest.raises(NotComparableError, match=r'"static@.*other@1#8.*cannot be compared'):
        data_drift(TextProfile.load(tmp_path / "profile.npz"), asked(100, 2), embedder=Other())


def test_a_file_that_is_no_profile_is_refused(tmp_path: Path):
    (tmp_path / "profile.npz").write_bytes(b"PK nothing")

    with pytest.raises(NotComparableError, match="make it anew"):
        TextProfile.load(tmp_path / "profile.npz")


# --- Input --------------------------------------------------------------------------------------------------


def test_queries_give_texts_traces_users_and_further_signals(tmp_path: Path):
    ids = "printf('%032x', range) AS trace_id, 'u' || range AS user_id"
    sql = f"SELECT 'text ' || range AS text, {ids}, {{}} FROM range({{}})"
    report = data_drift(
        sql.format("1.0 + range % 3 AS rating, 'a' AS tag", 200),
        sql.format("3.0 + range % 3 AS rating, CASE WHEN range % 2 = 0 THEN 'b' ELSE 'a' END AS tag", 150),
        path=tmp_path,
        resamples=199,
    )

    assert {"rating", "tag"} <= {one.signal for one in report.features if one.status == "drifted"}
    assert _row(report, "rating").effect == pytest.approx(2, abs=0.1)
    assert all(len(example) == 32 for example in report.examples)


def test_bad_input_gets_an_error_that_says_what_to_do(tmp_path: Path):
    with pytest.raises(NotComparableError, match="column named text"):
        data_drift("SELECT 1 AS n", "SELECT 1 AS n", path=tmp_path)
    with pytest.raises(QueryError):
        data_drift("SELECT 'a' AS text) UNION (SELECT 'b' AS text", "SELECT 'a' AS text", path=tmp_path)
    with pytest.raises(NotComparableError, match="one user for each text"):
        data_drift(["a", "b"], ["c"], users=(["x"], ["y"]))
    with pytest.raises(NotComparableError, match="leave out"):
        data_drift("SELECT 'a' AS text", ["a"], users=(["x"], ["y"]))
    with pytest.raises(TypeError):
        data_drift(["a", None], ["c"])  # type: ignore[list-item]


def test_few_texts_are_not_enough_data():
    assert data_drift(asked(100, 1), []).status == "not_enough_data"
    assert data_drift([], asked(100, 1)).status == "not_enough_data"
    assert data_drift(asked(100, 1), foreign(30, 2), resamples=199).status == "not_enough_data"


def test_hostile_texts_are_measured():
    texts = ["", "\ud800", "\x00" * 1_000, "🙂" * 500, "a" * 100_000, "(((" * 2_000, "\n\n"] * 20

    assert data_drift(texts, texts[::-1], resamples=199).status == "steady"


def test_without_numpy_length_and_words_still_work():
    program = """
import sys
sys.modules["numpy"] = None
from llmops_sdk.drift import data_drift
report = data_drift([f"a short one {n}" for n in range(80)], [f"a very long question of {n} words" for n in range(80)])
print({one.signal: one.status for one in report.features if one.signal != "language"})
print([one.reason for one in report.features if one.signal == "mmd"])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert "'length': 'drifted', 'oov': 'drifted', 'novelty': 'not_enough_data'" in ran.stdout
    assert 'pip install "llmops-sdk[embeddings]"' in ran.stdout


# --- Calibration --------------------------------------------------------------------------------------------


def test_permutations_of_users_hold_their_level_where_users_differ():
    """Users who repeat themselves: the naive test alarms in most windows, that of whole users in about 5 %."""
    chance = np.random.default_rng(0)
    runs, alarms, naive = 200, 0, 0
    for _ in range(runs):
        of_row = np.repeat(np.arange(40), chance.integers(2, 20, 40))
        habits = chance.standard_normal((40, 3))
        vectors = habits[of_row] + 0.3 * chance.standard_normal((len(of_row), 3))
        windows = (of_row % 2 == 1).tolist()
        for users in (of_row.tolist(), None):
            blocks = _permutation.make_blocks(windows, users)
            drawn = _permutation.draw_windows(blocks, 99)
            alarm = _permutation.p_value(_permutation.scaled_shift(vectors, blocks, drawn)) <= 0.05
            alarms += alarm and users is not None
            naive += alarm and users is None
    assert alarms / runs <= 0.09
    assert naive / runs > 0.5


def test_a_user_in_both_windows_is_one_unit():
    blocks = _permutation.make_blocks([False, False, True, True, True], ["a", "b", "a", "c", "a"])
    drawn = _permutation.draw_windows(blocks, 50)

    assert blocks.sizes.tolist() == [1, 1, 2, 1]
    assert blocks.pairs.tolist() == [[0, 2]]
    assert (drawn[:, 0] != drawn[:, 2]).all()
    assert 0 < drawn[1:, 0].mean() < 1


def test_clusters_are_the_same_for_the_same_seed_and_never_more_than_the_texts():
    vectors = np.eye(3, dtype="float32")[[0, 1, 2, 0, 1, 2]]

    first, second = _shift.cluster(vectors, 20), _shift.cluster(vectors, 20)

    assert (first.labels == second.labels).all()
    assert len(set(first.labels.tolist())) == 3
