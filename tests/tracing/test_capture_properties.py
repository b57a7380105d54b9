"""Whatever is built from builtins: strict JSON within the bound, and the very same value where JSON can say it."""

from __future__ import annotations

import collections
import datetime as dt
import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from llmops_sdk.tracing.capture._arguments import Parameters
from llmops_sdk.tracing.capture._bounds import DEFAULT_BOUNDS, Bounds
from llmops_sdk.tracing.capture._deferrable import can_defer
from llmops_sdk.tracing.capture._encode import encode

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters())  # surrogates too
    | st.binary()
    | st.binary().map(bytearray)
    | st.binary().map(memoryview)
    | st.decimals()
    | st.fractions()
    | st.datetimes(timezones=st.none() | st.just(dt.UTC))
    | st.timedeltas()
    | st.uuids()
)
_HASHABLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary()
_ANY = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.lists(inner).map(collections.deque)
        | st.dictionaries(_HASHABLE, inner)
        | st.dictionaries(_HASHABLE, inner).map(collections.OrderedDict)
        | st.sets(_HASHABLE)
        | st.frozensets(_HASHABLE)
        | st.builds(range, st.integers(), st.integers(), st.integers(1))
        | st.lists(inner).map(lambda args: ValueError(*args))
    ),
    max_leaves=30,
)
_CLEAN = st.text(st.characters(exclude_categories=["Cs"]))
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _CLEAN,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_CLEAN, inner, max_size=5),
    max_leaves=20,
)
_SMALL = Bounds(max_bytes=512, max_depth=4, max_items=20)


def strict(line: bytes) -> Any:
    def refuse(constant: str) -> float:
        raise ValueError(constant)

    return json.loads(line.decode("utf-8", "strict"), parse_constant=refuse)


@given(_ANY)
@example({"\x00" * 200: ["\ud800" * 300, "é" * 300, '"' * 300]})
@example([[[[[[]]]]]] * 400)
@example({n: {n: {n: n}} for n in range(500)})
@example(["\x01" * 120] * 9)
def test_any_value_is_strict_json_within_the_bound(value: Any):
    whole = encode(value)
    strict(whole)
    cut = encode(value, _SMALL)
    strict(cut)
    assert len(whole) <= 65_536 * 3 // 2
    assert len(cut) <= 512 * 3 // 2 + 64


@given(st.dictionaries(st.sampled_from(["a", "b", "more"]), _ANY), st.lists(_ANY, max_size=3))
def test_arguments_are_strict_json_within_the_bound(named: dict[str, Any], args: list[Any]):
    def function(a: object = None, *rest: object, b: object = None, **more: object) -> None: ...

    parameters = Parameters(function)
    kwargs = {key: value for key, value in named.items() if key != "a"}
    line = parameters.encode(False, tuple(args), kwargs)
    assert set(strict(line)) == {*(["a"] if args else []), *(["rest"] if len(args) > 1 else []), *kwargs}
    assert len(parameters.encode(False, tuple(args), kwargs, _SMALL)) <= 512 * 3 // 2 + 64


@given(_JSON)
def test_json_round_trips_through_the_walk(value: Any):
    """As inside a set or any other value that the fast way does not take."""
    kept = strict(encode([value, {0}], Bounds(max_bytes=10_000_000, max_depth=50)))
    assert kept == [value, [0]]


@given(
    st.lists(st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(), max_size=4),
    st.dictionaries(st.sampled_from(["b", "more"]), st.integers(0, 9) | st.text(max_size=9)),
    st.sampled_from([frozenset[str](), frozenset({"a"}), frozenset({"ä"})]),
    st.booleans(),
)
def test_deferred_values_encode_as_they_do_at_the_call(
    args: list[Any], named: dict[str, Any], ignored: Any, bound: bool
):
    def function(a: object = None, ä: object = None, c: object = None, *rest: object, **more: object) -> None: ...  # noqa: PLC2401 - names may be so

    if not can_defer(args):
        assert any(isinstance(value, float) or len(str(value)) > 256 for value in args)
        return
    parameters = Parameters(function, ignored)
    later = parameters.encode_deferred(bound, tuple(args), dict(named), DEFAULT_BOUNDS)
    assert later == parameters.encode(bound, tuple(args), dict(named))
    strict(later)
