"""Which embedder a specification opens, and what happens to vectors that are not usable."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmops_sdk as llmops
from llmops_sdk.embeddings import AsyncEmbedder, CallableEmbedder, Embedder, ProviderEmbedder, open_embedder
from llmops_sdk.errors import ConfigError, EmbeddingError, MissingDependencyError


def lengths(texts: list[str]) -> list[list[float]]:
    return [[len(text), 1.0] for text in texts]


@pytest.mark.parametrize(
    ("spec", "nearest"),
    [
        ("sttaic", "static"),
        ("Static", "static"),
        ("static:x", "static"),
        ("lite-llm:openai/x", "litellm"),
        ("litellm", "litellm"),
        ("sentence_transformers:/tmp", "sentence-transformers"),
        ("openai/text-embedding-3-small", None),
        ("", None),
    ],
)
def test_unknown_names_suggest_the_nearest(spec: str, nearest: str | None):
    with pytest.raises(ConfigError, match="there is no embedder") as caught:
        open_embedder(spec)

    assert caught.value.nearest == nearest
    assert caught.value.key == "embedder"


@pytest.mark.parametrize("spec", [None, 3, ["static"]])
def test_other_things_are_no_embedders(spec):
    with pytest.raises(ConfigError, match="or a function, not"):
        open_embedder(spec)


def test_an_embedder_is_returned_as_it_is():
    ours = CallableEmbedder(lengths)

    assert open_embedder(ours) is ours
    assert isinstance(ours, Embedder)
    assert not isinstance(ours, AsyncEmbedder)


def test_opening_asks_nothing():
    asked: list[list[str]] = []

    def vectors(texts: list[str]) -> list[list[float]]:
        asked.append(texts)
        return [[1.0, 0.0] for _ in texts]

    opened = open_embedder(open_embedder(vectors))
    open_embedder("litellm:openai/text-embedding-3-small")
    assert asked == []
    assert opened.dimension == 2
    assert len(asked) == 1


def test_a_function_is_asked_in_parts_and_its_vectors_are_brought_to_unit_length():
    sizes: list[int] = []

    def ask(texts: list[str]) -> list[list[float]]:
        sizes.append(len(texts))
        return lengths(texts)

    embedder = open_embedder(ask, name="lengths-1")
    found = embedder.embed([str(10**n) for n in range(1000)])

    assert sizes == [512, 488]
    assert np.allclose(found[2], np.array([3, 1]) / np.sqrt(10))
    assert embedder.identity == "callable:lengths-1#2"
    assert embedder.embed([]).shape == (0, 2)
    assert sizes == [512, 488]


def test_the_dimension_is_asked_for_once():
    asked: list[list[str]] = []

    def ask(texts: list[str]) -> list[list[float]]:
        asked.append(texts)
        return lengths(texts)

    embedder = open_embedder(ask, name="lengths")
    assert (embedder.dimension, embedder.identity, embedder.dimension) == (2, "callable:lengths#2", 2)
    assert asked == [["dimension"]]


def test_functions_have_names_that_other_processes_know_or_their_own():
    assert open_embedder(lengths).identity == f"callable:{__name__}.lengths#2"
    first, second = (open_embedder(lambda texts: lengths(texts)) for _ in range(2))
    assert first.identity != second.identity
    assert first.identity == first.identity

    class Model:
        def __call__(self, texts: list[str]) -> list[list[float]]:
            return lengths(texts)

    assert len({open_embedder(Model()).identity, open_embedder(Model()).identity}) == 2


def test_names_are_checked():
    with pytest.raises(ConfigError, match="empty"):
        open_embedder(lengths, name=" ")
    for spec in ("static", "litellm:offline/echo", CallableEmbedder(lengths)):
        with pytest.raises(ConfigError, match="only a function"):
            open_embedder(spec, name="ours")

    async def ask(texts: list[str]) -> list[list[float]]:
        return lengths(texts)

    with pytest.raises(ConfigError, match="not an async one"):
        open_embedder(ask)


@pytest.mark.parametrize(
    "answer",
    [
        [], [[1.0, 2.0]], [[1.0], [1.0], [1.0]], [[1.0], [1.0, 2.0]], [[], []], [1.0, 2.0], [[[1.0]], [[1.0]]], None,
        [["1"], ["2"]], [[None], [1.0]], [[True], [False]], [[1j], [1j]],
        [[1.0, float("nan")], [1.0, 1.0]], [[1.0, 1.0], [float("inf"), 1.0]], [[0.0, 0.0], [1.0, 1.0]],
        [[-0.0, 0.0], [1.0, 1.0]],
    ],
)  # fmt: skip
def test_unusable_vectors_are_an_error(answer):
    embedder = open_embedder(lambda _: answer, name="ours")

    with pytest.raises(EmbeddingError, match="callable:ours: ") as caught:
        embedder.embed(["one", "two"])
    assert caught.value.source == "callable:ours"


def test_another_dimension_later_is_an_error_and_the_first_stays():
    answers = iter([[[1.0, 2.0]], [[1.0, 2.0, 3.0]], [[3.0, 4.0]]])
    embedder = open_embedder(lambda _: next(answers), name="ours")

    embedder.embed(["one"])
    with pytest.raises(EmbeddingError, match="have 3 numbers, not 2"):
        embedder.embed(["two"])
    assert embedder.embed(["three"])[0].tolist() == pytest.approx([0.6, 0.8])


def test_two_threads_cannot_fix_two_dimensions():
    together = Barrier(2, timeout=60)

    def ask(texts: list[str]) -> list[list[float]]:
        together.wait()
        return [[1.0] * int(texts[0])]

    def outcome(embedder: Embedder, text: str) -> str:
        try:
            return f"{embedder.embed([text]).shape[1]}"
        except EmbeddingError:
            return "refused"

    for _ in range(20):
        embedder = open_embedder(ask, name="ours")
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda text: outcome(embedder, text), ["2", "3"]))  # noqa: B023 - used at once
        assert sorted(found) in (["2", "refused"], ["3", "refused"])
        assert str(embedder.dimension) in found


SIZES = st.floats(allow_nan=False, allow_infinity=False).filter(bool)


@given(st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=5))
def test_every_finite_vector_gets_unit_length(vectors: list[tuple[float, float]]):
    found = open_embedder(lambda _: vectors, name="ours").embed(["text"] * len(vectors))

    assert np.allclose((found.astype("float64") ** 2).sum(axis=1), 1, atol=1e-5)
    assert (np.sign(found) * np.sign(vectors) >= 0).all()


def test_a_model_is_asked_through_its_provider():
    embedder = open_embedder("litellm:offline/echo")
    asked = llmops.embed(["Where is my card?"], model="offline/echo").vectors[0]
    found = embedder.embed(["Where is my card?"])[0]

    assert np.allclose(found, np.array(asked) / np.linalg.norm(asked), atol=1e-6)
    assert embedder.identity == f"litellm:offline/echo#{len(asked)}"
    assert isinstance(embedder, AsyncEmbedder)


async def test_a_model_is_asked_async():
    embedder = open_embedder("litellm:offline/echo")
    assert isinstance(embedder, ProviderEmbedder)
    texts = [f"text {number}" for number in range(300)]

    found = await embedder.aembed(texts)
    assert found.shape[0] == 300
    assert np.array_equal(found, embedder.embed(texts))
    assert (await embedder.aembed([])).shape == (0, embedder.dimension)
    embedder.close()


def test_options_and_servers_of_a_model_belong_to_its_identity(tmp_path: Path):
    def identity(**model: object) -> str:
        llmops.configure(models={"ours": {"model": "offline/echo", **model}})
        return open_embedder("litellm:ours").identity.partition("#")[0]

    found = {identity(), identity(options={"seed": 1}), identity(options={"seed": 2})}
    assert len(found) == 3


def test_errors_of_models_come_through():
    with pytest.raises(ConfigError):
        open_embedder("litellm:offline/nothing")
    with pytest.raises(ConfigError):
        open_embedder("litellm:no model")


def test_models_are_loaded_from_folders_only(tmp_path: Path):
    for folder in (tmp_path, tmp_path / "missing", "all-MiniLM-L6-v2"):
        with pytest.raises(ConfigError, match=r"models are not downloaded"):
            open_embedder(f"sentence-transformers:{folder}")


def test_missing_libraries_are_named(tmp_path: Path):
    (tmp_path / "modules.json").write_text("[]")
    program = """
        import sys
        sys.modules["numpy"] = None
        from llmops_sdk.embeddings import VectorIndex, open_embedder, vocabulary
        from llmops_sdk.errors import MissingDependencyError
        specs = ["static", len, "litellm:offline/echo"]
        for make, *arguments in [(vocabulary,), (VectorIndex, 2), *((open_embedder, spec) for spec in specs)]:
            try:
                make(*arguments)
            except MissingDependencyError as error:
                print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={"PYTHONPATH": str(Path(llmops.__file__).parents[1])}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.count('pip install "llmops-sdk[embeddings]"') == 5, done

    with pytest.raises(MissingDependencyError, match=r"llmops-sdk\[sentence-transformers\]"):
        open_embedder(f"sentence-transformers:{tmp_path}")
