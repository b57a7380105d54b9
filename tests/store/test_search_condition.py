"""The quick condition of a search is true for the texts for which the plain one is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_sdk.store import connect
from llmops_sdk.store.reading._filters import Filter, search_condition

_CHARS = "aAiIkKsS\u0130\u0131\u212a\u017f\u00df\u1e9e\u00e9\u00c9\u4e2d .*\\{}[]()$^|?\n\"'\0"


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    with connect(path=tmp_path_factory.mktemp("search")) as opened:
        yield opened


@settings(deadline=None, max_examples=200)
@given(
    text=st.text(alphabet=_CHARS, max_size=12),
    answer=st.none() | st.text(alphabet=_CHARS, max_size=3),
    search=st.text(alphabet=_CHARS.replace("\0", ""), min_size=1, max_size=4),
    swap=st.booleans(),
)
def test_it_finds_what_the_plain_condition_finds(connection, text, answer, search, swap):
    text = text + (search.swapcase() if swap else search) if len(text) % 2 else text
    exact, quick = Filter(search=search).where("spans"), search_condition(search)
    sql = (
        f"SELECT {exact.sql}, {quick.sql} FROM (SELECT $text AS name, $answer AS input, NULL AS output, "
        "'x' AS status_message, NULL AS attributes)"
    )
    [found] = connection.execute(sql, {**exact.params, **quick.params, "text": text, "answer": answer}).fetchall()
    assert found[0] == found[1]


def test_each_character_that_is_lowered_to_ascii_is_known(connection):
    """A new version of DuckDB may lower others."""
    found = connection.execute(
        "SELECT chr(x::INT), lower(chr(x::INT)) FROM range(128, 1114112) AS all_of(x) "
        r"WHERE x NOT BETWEEN 55296 AND 57343 AND regexp_matches(lower(chr(x::INT)), '[\x00-\x7f]')"
    ).fetchall()
    assert found
    for other, letter in found:
        quick = search_condition(letter)
        assert connection.execute("SELECT regexp_matches($1, $2)", [other, quick.params["quick"]]).fetchone() == (True,)
