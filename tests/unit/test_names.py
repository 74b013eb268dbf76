"""The name codec over arbitrary Unicode, surrogates included, for alphabets of several registries."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fedreg.domain.errors import InvalidRequest, NotFound
from fedreg.domain.names import NATIVE_PREFIX, NameCodec, parse_integer_version

LETTERS = frozenset(string.ascii_letters + string.digits)
CODECS = {
    "narrow": NameCodec(max_length=63, mark="x-", allowed=LETTERS | {"-"}, inner_only=frozenset("-")),
    "wide": NameCodec(max_length=250, mark="x_", forbidden=frozenset("/:"), reserved=frozenset({".", ".."})),
    "one": NameCodec(max_length=48, mark="x", allowed=LETTERS),
    "long-mark": NameCodec(max_length=80, mark="q--", allowed=LETTERS | {"-", "_"}, reserved=frozenset({"none"})),
}
names = st.text(st.characters(codec=None, categories=None), min_size=1, max_size=80) | st.text(
    st.sampled_from("x-_qz0fh~/.é空\ud800\udfff\x00 ~native"), min_size=1, max_size=40
)
codecs = st.sampled_from(sorted(CODECS)).map(CODECS.__getitem__)


def fits(codec: NameCodec, native: str) -> bool:
    """Whether a spelling obeys the registry."""
    if not native or len(native) > codec.max_length or native in codec.reserved:
        return False
    if native[0] in codec.inner_only or native[-1] in codec.inner_only:
        return False
    if codec.allowed is not None:
        return codec.allowed >= set(native)
    return native.isprintable() and not codec.forbidden & set(native)


def is_plain(name: str) -> bool:
    """Not one of the names that are kept for spellings somebody else made."""
    return not name.startswith(NATIVE_PREFIX)


@given(codecs, names)
@example(CODECS["narrow"], "-")
@example(CODECS["narrow"], "a/b")
@example(CODECS["one"], "x2fz")
@example(CODECS["wide"], "..")
@example(CODECS["long-mark"], "none")
@example(CODECS["narrow"], "\ud800")
def test_reversible_within_the_length(codec: NameCodec, name: str) -> None:
    assume(is_plain(name))
    native = codec.encode(name)
    assert fits(codec, native)
    if codec.is_hashed(native):
        assert codec.decode(native, name) == name
    else:
        assert codec.decode(native) == name


@given(codecs, st.sampled_from(["", NATIVE_PREFIX]), names)
def test_every_name_is_kept_by_its_stored_original(codec: NameCodec, prefix: str, name: str) -> None:
    native = codec.encode(prefix + name)
    assert codec.decode(native, prefix + name) == prefix + name


@given(codecs, names, st.integers(60, 400))
def test_hashed_beyond_it(codec: NameCodec, part: str, length: int) -> None:
    name = (part * length)[:length]
    assume(is_plain(name))
    native = codec.encode(name)
    assert fits(codec, native)
    assert codec.decode(native, name) == name
    assert codec.encode(codec.decode(native)) == native, "reachable even where the stored original was lost"


@given(codecs, names, names)
def test_no_two_names_alike(codec: NameCodec, one: str, other: str) -> None:
    assume(is_plain(one) and is_plain(other))
    assert (codec.encode(one) == codec.encode(other)) == (one == other)


@given(codecs, st.lists(st.text(st.sampled_from("x-_q2fz/h0"), min_size=1, max_size=30), min_size=2, unique=True))
def test_no_two_of_many_confusable_names_alike(codec: NameCodec, several: list[str]) -> None:
    assert len({codec.encode(name) for name in several}) == len(several)


@given(codecs, names, st.sampled_from(["y", "z", "é", "\ud800"]))
def test_long_names_with_a_common_start_differ(codec: NameCodec, part: str, end: str) -> None:
    stem = (part * 300)[:300]
    assert codec.encode(stem + end) != codec.encode(stem + end + end)


@given(codecs, st.data())
def test_any_spelling_of_the_registry_is_reachable(codec: NameCodec, data: st.DataObject) -> None:
    """Made by somebody else: with escapes that are none, with a hash of nothing, with a stranger's original."""
    alphabet = "".join(sorted(codec.allowed)) if codec.allowed is not None else "axz_-20fh ~é/:"
    native = data.draw(
        st.text(st.sampled_from(alphabet + codec.mark * 3), min_size=1, max_size=codec.max_length), label="native"
    )
    stored = data.draw(st.none() | names, label="stored original")
    name = codec.decode(native, stored)
    assert name
    assert codec.encode(name) == native


@given(codecs, st.lists(st.text(st.sampled_from("x-_q2fzh~"), min_size=1, max_size=20), min_size=2, unique=True))
def test_no_two_spellings_read_alike(codec: NameCodec, natives: list[str]) -> None:
    possible = [native for native in natives if codec.allowed is None or codec.allowed >= set(native)]
    assert len({codec.decode(native) for native in possible}) == len(possible)


@given(codecs, names)
def test_a_stored_original_that_was_edited_does_not_count(codec: NameCodec, name: str) -> None:
    assume(is_plain(name))
    native = codec.encode("another " + name)
    assert codec.decode(native, name) != name


@pytest.mark.parametrize("name", ["~native~a/b", "~native~../../etc", "~native~" + "a" * 500])
def test_a_name_can_not_send_anything_raw(name: str) -> None:
    assert fits(CODECS["narrow"], CODECS["narrow"].encode(name))
    assert CODECS["narrow"].decode(CODECS["narrow"].encode(name), name) == name


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_foreign_spellings_have_names_of_their_own(codec: NameCodec) -> None:
    foreign = f"{codec.mark}2z"  # an escape of a control character would be spelt with its code point alone
    plain = f"{codec.mark}61z"  # 'a' is never escaped
    assert codec.decode(plain) == NATIVE_PREFIX + plain
    assert codec.encode(NATIVE_PREFIX + plain) == plain
    assert codec.encode(codec.decode(foreign)) == foreign


def test_readable_where_it_can_be() -> None:
    codec = CODECS["narrow"]
    assert codec.encode("churn-model-2") == "churn-model-2"
    assert codec.encode("team/churn") == "teamx-2fzchurn"
    assert codec.encode("-lead") == "x-2dzlead"
    assert re.fullmatch(r"a{34}x-h[0-9a-v]{26}", codec.encode("a" * 64))


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_empty(codec: NameCodec) -> None:
    with pytest.raises(InvalidRequest):
        codec.encode("")


@given(st.integers(1, 10**18 - 1))
def test_integer_versions(number: int) -> None:
    assert parse_integer_version(str(number), registry="r", model="m") == number


@given(st.text(max_size=30))
@example("0")
@example("01")
@example("-1")
@example("１")
@example("1\n")
@example("9" * 19)
@example("1_000")
def test_other_versions_do_not_exist(version: str) -> None:
    assume(not re.fullmatch("[1-9][0-9]{0,17}", version))
    with pytest.raises(NotFound):
        parse_integer_version(version, registry="r", model="m")
