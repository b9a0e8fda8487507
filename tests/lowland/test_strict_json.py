"""Reading JSON: what every reader agrees on is read, the rest is refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowland.spec.strict_json import JsonMalformed, parse_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=50)
@given(json_values)
def test_plain_json_is_read_as_it_was_written(value: object) -> None:
    assert parse_json(json.dumps(value).encode(), what="the file") == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"), what="the file") == value


@settings(deadline=None)
@given(st.binary() | st.text('[]{}:,"\\\\eE+-.019 tunfalsrIiyNa').map(str.encode))
def test_any_other_bytes_are_refused_by_one_error(raw: bytes) -> None:
    try:
        value = parse_json(raw, what="the file")
    except JsonMalformed:
        return

    agreed = json.loads(raw.decode("utf-8-sig"))
    assert agreed == value or agreed != agreed, "only a lone NaN is unequal to itself"


@pytest.mark.parametrize("depth", [32, 33])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
def test_the_nesting_is_counted_exactly(depth: int, opening: bytes, closing: bytes) -> None:
    raw = opening * depth + (b"1" if closing == b"}" else b"") + closing * depth

    if depth <= 32:
        assert parse_json(raw, what="the file")
    else:
        with pytest.raises(JsonMalformed, match="the file is nested more than 32 levels"):
            parse_json(raw, what="the file")
