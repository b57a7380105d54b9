"""`SemanticCache`: what is served, what is learned, what is kept, and what failures do."""

from __future__ import annotations

import asyncio
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from llmops_sdk.caching.semantic import _neighbours
from llmops_sdk.errors import ConfigError, EmbeddingError, LLMOpsError, StoreError
from llmops_sdk.testing import ManualClock

QUESTION, ANSWER = "How do I close my account?", "Under Settings, choose Close."


@pytest.mark.parametrize(
    "asked",
    [
        QUESTION,
        "how do i close my account",
        "How do I close my acount?",
        "Please, how do I close my account?",
        "how do i close  my  ACCOUNT ??",
    ],
)
def test_question_in_other_wording_is_served_at_once(make_cache, asked: str) -> None:
    cache = make_cache()
    cache.put(QUESTION, ANSWER)
    hit = cache.get(asked)
    assert hit is not None
    assert (hit.value, hit.matched) == (ANSWER, QUESTION)
    assert 0.7 < hit.similarity <= 1.0
    assert hit.reason in {"equal", "wording"}


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("How do I close my account?", "How do I open my account?"),
        ("Is my order 48213 on its way?", "Is my order 48231 on its way?"),
        ("Cancel my subscription", "Don't cancel my subscription"),
        ("Move money from savings to current", "Move money from current to savings"),
        ("Does the train leave at 7am?", "Does the train leave at 7pm?"),
        ("What were the sales in Q3 2023?", "What were the sales in Q3 2024?"),
        ("Is the ticket refundable?", "Is the ticket non-refundable?"),
        ("How do I archive a project?", "How do I unarchive a project?"),
        ("When do you open?", "Where do you open?"),
    ],
)
def test_question_that_asks_for_something_else_is_not_served_even_when_labels_certify_all(
    make_cache, stored: str, asked: str
) -> None:
    cache = make_cache(max_error=0.4)
    certify(cache)
    cache.put(stored, "an answer", scope="pair")
    assert cache.get(stored, scope="pair") is not None
    assert cache.get(asked, scope="pair") is None
    assert [one.decision for one in cache.explain(asked, scope="pair")] == ["refuse"]


def certify(cache) -> None:
    """Add labels until the lowest threshold is certified."""

    identity = cache._store._embedder.identity
    cache._store._worker.run("test", None, lambda tier: [add_one(tier, identity) for _ in range(60)])
    assert cache.stats().threshold == 0.5


def add_one(tier, identity: str) -> None:
    tier.backend.add_label(identity, 10, right=True, audit=False, pair=os.urandom(16))
    tier._bound = None


def test_answers_that_turned_wrong_are_not_served_in_any_process(make_cache) -> None:
    cache, other = make_cache(max_error=0.4), make_cache(max_error=0.4)
    cache.put("How long does a transfer abroad take?", "Two days.")
    certify(cache)
    assert cache.get(PARAPHRASE) is not None
    identity = cache._store._embedder.identity

    def turn(tier) -> None:
        for _ in range(10):
            tier.backend.add_label(identity, 10, right=False, audit=False, pair=os.urandom(16))

    cache._store._worker.run("test", None, turn)
    assert (other.stats().paused, other.stats().threshold) == (True, None)
    assert other.get(PARAPHRASE) is None
    assert [one.decision for one in other.explain(PARAPHRASE)] == ["unsure"]


def test_labels_from_misses_let_a_paraphrase_be_served(make_cache) -> None:
    cache = make_cache(max_error=0.4)
    cache.put("How long does a transfer abroad take?", "Two days.")
    asked = "How long do transfers abroad take to arrive?"
    assert cache.get(asked) is None
    certify(cache)
    hit = cache.get(asked)
    assert hit is not None
    assert (hit.value, hit.reason) == ("Two days.", "certified")


def test_put_after_a_miss_labels_the_nearest_value(make_cache) -> None:
    cache = make_cache()
    cache.put("What is the limit for cash machines?", "500 a day")
    for asked, value in [
        ("What is the cash machine withdrawal limit?", "500 a day"),
        ("Which limit do cash machines have for tourists?", "300 a day"),
    ]:
        assert cache.get(asked) is None
        cache.put(asked, value)
    counts = cache._store._worker.backend.bound().counts
    assert (sum(counts.right), sum(counts.wrong)) == (1, 1)


def test_scopes_never_meet(make_cache) -> None:
    cache = make_cache()
    cache.put(QUESTION, "A's answer", scope="tenant A")
    assert cache.get(QUESTION, scope="tenant B") is None
    assert cache.get(QUESTION) is None
    assert cache.get(QUESTION, scope="tenant A").value == "A's answer"


def test_another_embedder_of_the_same_dimension_finds_nothing(make_cache) -> None:
    def vectors(texts: list[str]) -> list[list[float]]:
        return [[float(len(text)), 1.0] for text in texts]

    one, other = make_cache(embedder=named(vectors, "one@1")), make_cache(embedder=named(vectors, "other@1"))
    one.put(QUESTION, ANSWER)
    assert one.get(QUESTION) is not None
    assert other.get(QUESTION) is None


def named(function, name: str):
    from llmops_sdk.embeddings import CallableEmbedder

    return CallableEmbedder(function, name)


def test_value_expires_and_reading_does_not_extend_it(make_cache, clock) -> None:
    cache = make_cache(ttl=100.0)
    cache.put(QUESTION, ANSWER)
    clock.advance(60)
    assert cache.get("how do i close my account").age_s == pytest.approx(60)
    clock.advance(41)
    assert cache.get("how do i close my account") is None


def test_value_from_the_future_is_not_served(make_cache, clock) -> None:
    make_cache(ttl=100.0).put(QUESTION, ANSWER)
    assert make_cache(ttl=100.0, clock=ManualClock(start=clock.time() - 200)).get(QUESTION).value == ANSWER
    cache = make_cache(ttl=100.0, clock=ManualClock(start=clock.time() - 10_000))
    assert cache.get(QUESTION) is None
    cache.put(QUESTION, "new")
    assert cache.get(QUESTION).value == "new"


def test_least_recently_used_entries_go_beyond_the_limit(make_cache) -> None:
    cache = make_cache(max_entries=100)
    for number in range(400):
        cache.put(f"Where is parcel {number}?", number)
    assert cache.stats().entries <= 164
    assert cache.get("Where is parcel 399?").value == 399
    assert cache.get("Where is parcel 0?") is None


def test_tags_and_scopes_are_invalidated(make_cache) -> None:
    cache = make_cache()
    cache.put(QUESTION, ANSWER, tags=["accounts", "web"])
    cache.put("Where is my card?", "On its way.", tags=["cards"])
    cache.put("Where is my card?", "In the post.", scope="b")
    assert cache.get(QUESTION) is not None
    assert cache.invalidate(tag="accounts") == 1
    assert cache.get(QUESTION) is None
    assert cache.invalidate(scope="b") == 1
    assert cache.get("Where is my card?", scope="b") is None
    assert cache.get("Where is my card?").value == "On its way."
    with pytest.raises(ValueError, match="a tag or a scope"):
        cache.invalidate()
    assert cache.clear() == 1


def test_what_one_process_stores_or_removes_holds_for_others(make_cache) -> None:
    writer, reader = make_cache(), make_cache()
    assert reader.get(QUESTION) is None
    writer.put(QUESTION, ANSWER, tags=["t"])
    assert reader.get(QUESTION).value == ANSWER
    writer.invalidate(tag="t")
    assert reader.get(QUESTION) is None


def test_large_scope_is_read_in_parts_between_other_work(make_cache, monkeypatch, caplog) -> None:
    monkeypatch.setattr(_neighbours, "_PAGE", 2)
    monkeypatch.setattr(_neighbours, "_PAGES", 1)
    writer, reader = make_cache(), make_cache()
    for number in range(20):
        writer.put(f"What does plan {number} cost?", number)
    writer.put(QUESTION, ANSWER)
    assert reader.get(QUESTION) is None  # the entry is beyond the first part
    reader.put("Where is my parcel?", "On its way.")
    assert any(not reader.stats().loading for _ in range(1_000))
    assert reader.get(QUESTION).value == ANSWER
    assert reader.get("where is my parcel").value == "On its way."
    assert not caplog.records


def test_look_ups_alone_read_a_large_scope(make_cache, monkeypatch) -> None:
    monkeypatch.setattr(_neighbours, "_PAGE", 2)
    monkeypatch.setattr(_neighbours, "_PAGES", 1)
    writer, reader = make_cache(), make_cache()
    for number in range(5):
        writer.put(f"What does plan {number} cost?", number)
    # As in a forked child, where the thread that would read on is gone.
    monkeypatch.setattr(reader._store._worker, "start", lambda *_: None)
    found = [reader.get("what does plan 4 cost") for _ in range(3)]
    assert [None if hit is None else hit.value for hit in found] == [None, None, 4]
    assert not reader.stats().loading


@pytest.mark.parametrize("value", [None, 0, "text", ["a", {"b": [1.5, None]}], {"deep": {"er": True}}])
def test_any_json_value_comes_back(make_cache, value: object) -> None:
    cache = make_cache()
    cache.put(QUESTION, value)
    assert cache.get(QUESTION).value == value


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", 1 << 70])
def test_values_that_are_not_json_are_refused(make_cache, value: object) -> None:
    with pytest.raises(TypeError, match="not JSON"):
        make_cache().put(QUESTION, value)


def test_wrong_arguments_are_refused(make_cache) -> None:
    cache = make_cache()
    with pytest.raises(TypeError, match="text must be a string"):
        cache.get(3)
    with pytest.raises(TypeError, match="tags must be a list"):
        cache.put(QUESTION, ANSWER, tags="one")
    with pytest.raises(ConfigError, match="judge"):
        make_cache(judge="exakt")
    with pytest.raises(ConfigError, match="give a share"):
        make_cache(max_error=0)
    with pytest.raises(ConfigError, match="static"):
        make_cache(embedder="statik")


def test_embedder_that_gives_no_vector_is_an_error_to_its_caller(make_cache) -> None:
    with pytest.raises(EmbeddingError):
        make_cache(embedder=named(lambda texts: [[0.0, 0.0] for _ in texts], "zero")).get(QUESTION)


def test_judge_that_fails_gives_no_label_and_the_value_is_stored(make_cache, application) -> None:
    def judge(question: str, stored: object, new: object) -> bool:
        raise RuntimeError("no judge today")

    cache = make_cache(judge=judge)
    cache.put("What is the limit for cash machines?", "500 a day")
    cache.put("What is the cash machine withdrawal limit?", "500 a day")
    assert cache.stats().entries == 2
    assert cache.stats().labels == 0


@pytest.mark.parametrize("text", ["x" * 32_001, "half a pair: \ud83d"])
def test_text_that_no_store_takes_is_neither_stored_nor_found(make_cache, text: str) -> None:
    cache = make_cache()
    cache.put(text, ANSWER)
    assert cache.get(text) is None
    assert cache.explain(text) == []
    assert cache.stats().entries == 0


@pytest.mark.parametrize(
    "text", ["", " ", "???", "\u200b", "\x00", "😀", "日本語の質問です", "123", "'; DROP TABLE Cache; --"]
)
def test_odd_texts_are_found_again_and_meet_no_other(make_cache, text: str) -> None:
    cache = make_cache()
    cache.put(QUESTION, ANSWER)
    cache.put(text, "odd")
    assert cache.get(text).value == "odd"
    assert cache.get(QUESTION).value == ANSWER


def test_async_twins(make_cache) -> None:
    cache = make_cache()

    async def main() -> None:
        assert await cache.aget(QUESTION) is None
        await cache.aput(QUESTION, ANSWER)
        assert (await cache.aget("how do i close my account")).value == ANSWER

    asyncio.run(main())


def test_many_threads_store_and_find(make_cache) -> None:
    cache = make_cache()

    def work(number: int) -> object:
        cache.put(f"What is the code of city {number}?", number)
        hit = cache.get(f"what is the code of city {number}")
        return hit and hit.value

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(64))) == list(range(64))


def test_forked_child_uses_the_cache_and_leaves_the_parent_alone(make_cache) -> None:
    cache = make_cache()
    cache.put(QUESTION, ANSWER)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        hit = cache.get("how do i close my account")
        cache.put("Where is my card?", "On its way.")
        os.write(writing, str(hit and hit.value).encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reading, 100).decode() == ANSWER
    assert cache.get("where is my card").value == "On its way."


_KILLED = """
import sys
from llmops_sdk.caching import SemanticCache
cache = SemanticCache(path=sys.argv[1])
for number in range(100_000):
    cache.put(f"Where is parcel {number}?", "x" * 2_000)
    print(number, flush=True)
"""


def test_killed_writer_leaves_whole_entries(make_cache, folder) -> None:
    program = [sys.executable, "-c", _KILLED, str(folder)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) == 20:
                process.send_signal(signal.SIGKILL)
                break
    cache = make_cache()
    assert cache.get("where is parcel 20").value == "x" * 2_000
    assert cache.stats().entries >= 21


@pytest.mark.parametrize("damage", ["truncate", "garbage", "zeros"])
def test_damaged_database_is_set_aside(make_cache, folder, application, damage: str) -> None:
    first = make_cache()
    first.put(QUESTION, ANSWER)
    first.close()
    database = folder / "semantic" / "cache.db"
    data = database.read_bytes()
    spoilt = {"truncate": data[:100], "garbage": os.urandom(len(data)), "zeros": bytes(len(data))}[damage]
    database.write_bytes(spoilt)
    cache = make_cache()
    assert cache.get(QUESTION) is None
    cache.put(QUESTION, "new")
    assert cache.get(QUESTION).value == "new"


def test_folder_removed_by_hand_is_empty_for_a_running_program(make_cache, folder) -> None:
    cache = make_cache()
    cache.put(QUESTION, ANSWER)
    shutil.rmtree(folder)
    assert cache.get(QUESTION) is None
    cache.put(QUESTION, "new")
    assert (cache.get(QUESTION).value, make_cache().get(QUESTION).value) == ("new", "new")


@pytest.mark.parametrize("loss", ["damaged", "removed", "replaced"])
def test_no_question_gets_the_answer_of_another_one_in_a_new_database(
    make_cache, folder, tmp_path, application, loss: str
) -> None:
    """Entries of a new database have the numbers of those that the old one had."""
    cache = make_cache()
    for number in range(3):
        cache.put(f"Where is parcel {number}?", f"parcel {number}")
    assert cache.get("where is parcel 1").value == "parcel 1"
    database = folder / "semantic" / "cache.db"
    if loss == "damaged":
        for path in database.parent.glob("cache.db*"):
            path.write_bytes(b"This is no page of a database. " * 2_000)
        assert cache.get("where is parcel 1") is None
    else:
        shutil.rmtree(folder)
    writer = cache
    if loss == "replaced":
        with make_cache() as writer:
            for number in range(3):
                writer.put(f"How do I close account {number}?", f"account {number}")
    else:
        for number in range(3):
            writer.put(f"How do I close account {number}?", f"account {number}")
    assert [cache.get(f"where is parcel {number}") for number in range(3)] == [None] * 3
    assert [cache.get(f"how do i close account {number}").value[-1] for number in range(3)] == ["0", "1", "2"]


def test_planted_rows_are_misses_and_run_nothing(make_cache, folder, tmp_path) -> None:
    cache = make_cache()
    cache.put(QUESTION, ANSWER)
    cache.close()
    touched = tmp_path / "touched"
    planted = pickle.dumps(Planted(str(touched)))
    with sqlite3.connect(folder / "semantic" / "cache.db") as db:
        db.execute("UPDATE Cache SET value = ?", (planted,))
    db.close()
    assert make_cache().get(QUESTION) is None
    with sqlite3.connect(folder / "semantic" / "cache.db") as db:
        db.execute("UPDATE Cache SET vector = ?, text = ?", (b"\x00" * 7, 3))
    db.close()
    assert make_cache().get(QUESTION) is None
    assert not touched.exists()


class Planted:
    """Runs code when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return open, (self.path, "w")


def test_folder_and_files_belong_to_the_user_alone(make_cache, folder) -> None:
    make_cache().put(QUESTION, ANSWER)
    place = folder / "semantic"
    assert place.stat().st_mode & 0o777 == 0o700
    assert {one.stat().st_mode & 0o777 for one in place.iterdir()} == {0o600}


def test_database_that_others_keep_busy_is_a_miss(make_cache, folder, application) -> None:
    cache = make_cache()
    cache.put(QUESTION, ANSWER)
    db = sqlite3.connect(folder / "semantic" / "cache.db", isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    done = threading.Event()
    threading.Thread(target=lambda: (cache.put("Where is my card?", "?"), done.set()), daemon=True).start()
    assert done.wait(30)
    db.execute("ROLLBACK")
    db.close()


def test_erase_removes_the_questions_too(make_cache, folder) -> None:
    from llmops_sdk.caching import count_answers, erase

    cache = make_cache()
    cache.put("My name is Ada Byron and I want a refund", ANSWER)
    cache.close()
    assert count_answers(folder) == 1
    assert erase(folder) == 1
    assert b"Ada Byron" not in b"".join(one.read_bytes() for one in (folder / "semantic").iterdir())


def test_equal_answers_of_near_questions_form_a_group_though_the_best_one_differs(make_cache) -> None:
    cache = make_cache()
    cache.put("How do I close my account?", "Under Settings, choose Close.")
    cache.put("Where can I close an account with you?", "Somewhere else.")
    # The nearest question has another answer, and the second nearest the same.
    asked = "Where could I close an account, then?"
    assert cache.explain(asked)[0].text == "Where can I close an account with you?"
    cache.get(asked)
    cache.put(asked, "Under Settings, choose Close.")
    store = cache._store
    stored = store._worker.run("test", [], lambda one: one.backend.entries(store._place(""), 0, 10))
    assert [one.group for one in stored] == [1, 2, 1]


def test_without_wording_nothing_is_served_before_labels_certify_it(make_cache) -> None:
    cache = make_cache(wording=False, max_error=0.4)
    cache.put(QUESTION, ANSWER)
    assert cache.get(QUESTION) is None
    assert [one.decision for one in cache.explain(QUESTION)] == ["unsure"]
    for number in range(60):
        cache.put(f"Where is parcel {number}?", "On its way.", scope="labels")
        cache.put(f"where is parcel {number}", "On its way.", scope="labels")
    assert cache.stats().threshold is not None
    assert cache.get(QUESTION).value == ANSWER


PARAPHRASE = "How long do transfers abroad take to arrive?"


@pytest.mark.parametrize("same_hit", [True, False])
def test_ratings_of_one_pair_of_questions_count_once(make_cache, same_hit: bool) -> None:
    cache = make_cache(max_error=0.4)
    cache.put("How long does a transfer abroad take?", "Two days.")
    certify(cache)
    labels = cache.stats().labels
    hit = cache.get(PARAPHRASE)
    for _ in range(20):
        cache.feedback(hit if same_hit else cache.get(PARAPHRASE), correct=True)
    assert (cache.stats().labels - labels, cache.stats().audited) == (1, 1)


def test_pair_of_questions_counts_once_for_all_processes_and_after_its_value_is_replaced(make_cache) -> None:
    one, other = make_cache(max_error=0.4), make_cache(max_error=0.4)
    for number in range(10):
        for cache in (one, other):
            cache.put("How long does a transfer abroad take?", f"{number} days.")
            cache.put(PARAPHRASE, f"{number} days.", scope="")
            cache.invalidate(scope="")
    assert make_cache(max_error=0.4).stats().labels == 1


def test_ratings_of_answers_in_other_wording_certify_no_scores(make_cache) -> None:
    """One user who rates equal questions as right must not get other questions served to everybody."""
    cache = make_cache(max_error=0.4)
    for number in range(60):
        cache.put(f"Where is parcel {number}?", number)
        cache.feedback(cache.get(f"where is parcel {number}"), correct=True)
    assert (cache.stats().threshold, cache.stats().audited) == (None, 60)
    cache.put("How long does a transfer abroad take?", "Two days.")
    assert cache.get(PARAPHRASE) is None


def test_wrong_answers_in_other_wording_end_serving_them(make_cache) -> None:
    cache = make_cache(max_error=0.05)
    for number in range(12):
        cache.put(f"Where is parcel {number}?", number)
        if (hit := cache.get(f"where is parcel {number}")) is not None:
            cache.feedback(hit, correct=False)
    assert cache.get("where is parcel 3") is None


def test_newer_value_replaces_the_older_one_of_the_same_question(make_cache, folder) -> None:
    cache = make_cache()
    for value in ("old", "new", "newest"):
        cache.put(QUESTION, value)
        assert cache.get(QUESTION).value == value
    cache.put("how do i close my account", "in small letters")
    cache.put("HOW DO I CLOSE MY ACCOUNT?", "in capitals")
    assert cache.get(QUESTION).value == "newest"
    assert cache.get("how do i close my account").value == "in small letters"
    assert cache.stats().entries == 3
    assert cache.stats().audited == 0


def test_of_two_entries_of_one_question_the_newer_one_is_served(make_cache) -> None:
    """Two processes may store a question at the same time."""
    one, other = make_cache(), make_cache()
    one.get(QUESTION), other.get(QUESTION)
    one.put(QUESTION, "first")
    other.put(QUESTION, "second")
    assert [cache.get(QUESTION).value for cache in (one, other)] == ["second", "second"]


USES = {
    "get": lambda cache: cache.get(QUESTION),
    "put": lambda cache: cache.put(QUESTION, ANSWER),
    "aget": lambda cache: asyncio.run(cache.aget(QUESTION)),
    "aput": lambda cache: asyncio.run(cache.aput(QUESTION, ANSWER)),
    "explain": lambda cache: cache.explain(QUESTION),
    "invalidate": lambda cache: cache.invalidate(tag="a"),
    "clear": lambda cache: cache.clear(),
    "stats": lambda cache: cache.stats(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_closed_cache_says_so(make_cache, use) -> None:
    cache = make_cache()
    cache.put(QUESTION, ANSWER)
    cache.close()
    cache.close()
    with pytest.raises(LLMOpsError, match="this SemanticCache is closed: make a new one"):
        use(cache)


@pytest.mark.parametrize("remove", [lambda cache: cache.clear(), lambda cache: cache.invalidate(tag="a")])
def test_removal_that_fails_is_an_error(make_cache, folder, remove) -> None:
    cache = make_cache()
    cache.put(QUESTION, ANSWER, tags=["a"])
    db = sqlite3.connect(folder / "semantic" / "cache.db", isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="try again"):
        remove(cache)
    db.execute("ROLLBACK")
    db.close()
    assert remove(cache) == 1
    assert cache.get(QUESTION) is None


def test_scope_of_any_length_and_characters_is_a_scope_of_its_own(make_cache) -> None:
    cache = make_cache()
    scopes = ["s" * 10_000_000, "s" * 10_000_001, "\ud800", "\ud801", "?", ""]
    for number, scope in enumerate(scopes):
        cache.put(QUESTION, number, scope=scope)
    assert [cache.get(QUESTION, scope=scope).value for scope in scopes] == list(range(len(scopes)))
    assert cache.invalidate(scope="\ud801") == 1


@pytest.mark.parametrize("tags", [["a"] * 3 + [""], ["a" * 201], [f"tag {number}" for number in range(33)], ["\ud800"]])
def test_too_many_or_too_long_tags_are_refused(make_cache, tags) -> None:
    with pytest.raises(ValueError, match="at most 32 tags of 1 to 200 characters"):
        make_cache().put(QUESTION, ANSWER, tags=tags)


def test_value_of_more_than_a_megabyte_is_refused(make_cache) -> None:
    cache = make_cache()
    with pytest.raises(ValueError, match="at most 1,000,000"):
        cache.put(QUESTION, "x" * 1_000_000)
    assert cache.stats().entries == 0


@pytest.mark.parametrize("given", [(None, True), ("hit", True)])
def test_feedback_takes_hits_only(make_cache, given) -> None:
    with pytest.raises(TypeError, match="a Hit of `get`"):
        make_cache().feedback(*given)


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({"ttl": "1h"}, "seconds above zero"),
        ({"ttl": float("nan")}, "seconds above zero"),
        ({"max_error": "0.1"}, "a number between 0 and 1"),
        ({"max_error": 0.5}, "above 0 and below 0.5"),
        ({"max_error": float("nan")}, "above 0 and below 0.5"),
        ({"confidence": "high"}, "a number between 0 and 1"),
        ({"confidence": float("nan")}, "from 0.5 to below 1"),
        ({"max_entries": "9"}, "a whole number from 1 to"),
        ({"max_entries": float("inf")}, "a whole number from 1 to"),
        ({"max_entries": float("nan")}, "a whole number from 1 to"),
        ({"max_entries": 1_000_001}, "a whole number from 1 to 1000000"),
        ({"judge_error": 0.05}, "a JudgeError"),
        ({"wording": "no"}, "True or False"),
    ],
)
def test_option_out_of_its_range_is_refused_with_the_range(make_cache, options, allowed: str) -> None:
    with pytest.raises(ConfigError, match=allowed):
        make_cache(**options)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), (1, 2)])
def test_values_that_json_would_change_are_refused(make_cache, value: object) -> None:
    with pytest.raises(TypeError, match="not JSON"):
        make_cache().put(QUESTION, value)


@pytest.mark.parametrize(("stored", "asked"), [("?", "!"), ("...", "-"), ("😀", "😢")])
def test_texts_without_a_word_serve_only_themselves(make_cache, stored: str, asked: str) -> None:
    cache = make_cache()
    cache.put(stored, ANSWER)
    assert cache.get(asked) is None
    assert cache.get(stored).value == ANSWER


@pytest.mark.parametrize("top", ["5", None, 2.5, True])
def test_explain_takes_a_whole_number_of_candidates(make_cache, top) -> None:
    with pytest.raises(TypeError, match="top must be a whole number"):
        make_cache().explain(QUESTION, top=top)


def test_explain_needs_at_least_one_candidate(make_cache) -> None:
    with pytest.raises(ValueError, match="top=0: give at least 1"):
        make_cache().explain(QUESTION, top=0)


def make_foreign(folder, columns: str) -> bytes:
    """Make a database of another program where the cache has its own, and return its bytes."""
    (folder / "semantic").mkdir(parents=True, mode=0o700)
    database = folder / "semantic" / "cache.db"
    with closing(sqlite3.connect(database)) as db:
        db.execute(f"CREATE TABLE {columns}")
        db.commit()
    return database.read_bytes()


@pytest.mark.parametrize("columns", ["Cache (id INTEGER, name TEXT)", "invoices (id INTEGER)"])
def test_database_of_another_program_is_refused_and_left_as_it_is(make_cache, folder, columns: str) -> None:
    before = make_foreign(folder, columns)
    with pytest.raises(StoreError, match=r"is a database of another program .*give the cache another folder"):
        make_cache()
    assert (folder / "semantic" / "cache.db").read_bytes() == before


def test_database_of_another_program_that_came_later_is_refused_too(make_cache, folder) -> None:
    cache = make_cache()
    cache.put(QUESTION, ANSWER)
    shutil.rmtree(folder)
    before = make_foreign(folder, "Cache (id INTEGER)")
    for use in (lambda: cache.get(QUESTION), cache.clear):
        with pytest.raises(StoreError, match="is a database of another program"):
            use()
    assert (folder / "semantic" / "cache.db").read_bytes() == before
