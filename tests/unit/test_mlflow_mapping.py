"""MLflow's shapes <-> the domain, without a server."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import unquote, urlparse, urlunparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedreg.domain.errors import ConfigError, InvalidRequest
from fedreg.domain.models import Provenance, VersionStatus
from fedreg.domain.stages import Approval, Holder, StageOptions
from fedreg_adapters.mlflow import mapping
from fedreg_adapters.mlflow.manifest import capabilities_of
from fedreg_adapters.mlflow.mapping import CODEC
from fedreg_adapters.mlflow.paths import to_path, to_stored
from fedreg_adapters.mlflow.stages import rules_of

SURROGATES: tuple[Literal["Cs"]] = ("Cs",)
TEXT = st.text(st.characters(exclude_categories=SURROGATES), min_size=1, max_size=40)
PARTS = st.text(
    st.characters(exclude_categories=SURROGATES, exclude_characters="/\0\\"), min_size=1, max_size=12
).filter(lambda part: part not in (".", ".."))
RULES = rules_of(StageOptions())


def mlflow_keeps(path: str) -> bool:
    """What mlflow.utils.uri.validate_path_is_safe makes of a path, up to and including its refusals."""
    url = path
    for _ in range(10):
        parsed = urlunparse(urlparse(unquote(url)))
        if parsed == url:
            break
        url = parsed
    return url == path and "#" not in url and not any(ord(char) < 32 or ord(char) == 127 for char in url)


@given(st.lists(PARTS, min_size=1, max_size=3).map("/".join))
def test_stored_paths_pass_the_proxy_and_come_back(path: str) -> None:
    stored = to_stored(path)
    assert mlflow_keeps(f"1/run/artifacts/model/{stored}")
    assert to_path(stored) == path


@given(TEXT)
def test_names_fit_mlflows_rule_and_come_back(name: str) -> None:
    native = CODEC.encode(name)
    assert not set(native) & set("/:")
    assert native not in (".", "..") and not native.startswith("..") and native.strip() == native
    assert len(native) <= 256
    assert CODEC.decode(native, name if CODEC.is_hashed(native) else None) == name


def item(**fields: Any) -> dict[str, Any]:
    return {"name": "m", "version": "1", "creation_timestamp": 1000, "current_stage": "None", **fields}


def version_of(found: dict[str, Any], aliases: list[str] | None = None, rules: Any = RULES) -> Any:
    return mapping.to_version(found, registry="r", model="m", rules=rules, aliases=aliases or [])


def test_identity_tells_versions_apart() -> None:
    one = mapping.identity_of(item(source="a", run_id="x"))
    others = [
        item(source="b", run_id="x"),
        item(source="a", run_id="y"),
        item(source="a", run_id="x", creation_timestamp=2),
    ]
    assert one == mapping.identity_of(item(source="a", run_id="x", description="changed", last_updated_timestamp=9))
    assert len({one, *(mapping.identity_of(other) for other in others)}) == 4


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("READY", VersionStatus.READY),
        ("PENDING_REGISTRATION", VersionStatus.REGISTERING),
        ("FAILED_REGISTRATION", VersionStatus.FAILED),
        ("SOMETHING_NEW", VersionStatus.REGISTERING),
    ],
)
def test_status(status: str, expected: VersionStatus) -> None:
    assert version_of(item(status=status)).status is expected


def test_own_tags_are_hidden_and_approval_is_read() -> None:
    tags = {"team": "x", "mlflow.note": "n", **mapping.approval_tags(Approval.REJECTED, "no"), "fedreg.key": "k"}
    version = version_of(item(tags=mapping.to_tag_list(tags)))
    assert version.tags == {"team": "x", "mlflow.note": "n"}
    assert (version.approval, version.approval_comment) == (Approval.REJECTED, "no")


def test_tags_that_somebody_spoilt_do_no_harm() -> None:
    spoilt = {
        "fedreg.approval": "maybe",
        "fedreg.metrics": "{",
        "fedreg.source.created_at": "x",
        "fedreg.source.extra": "[1]",
    }
    version = mapping.to_version(
        item(tags=mapping.to_tag_list(spoilt)), registry="r", model="m", rules=RULES, aliases=[], run={}
    )
    assert (version.approval, version.metrics, version.provenance.extra) == (Approval.NONE, {}, {})


def test_provenance_comes_round() -> None:
    given_one = Provenance(
        run_id="r0", source_uri="s3://a", git_commit="c", git_repository="g", created_by="ann", extra={"a": "b"}
    )
    back = version_of(
        item(run_id="r1", source="s", tags=mapping.to_tag_list(mapping.source_tags(given_one)))
    ).provenance
    assert (back.run_id, back.source_uri, back.git_commit, back.git_repository, back.created_by) == (
        "r0", "s3://a", "c", "g", "ann",
    )  # fmt: skip
    assert back.extra == {"a": "b", "mlflow_run_id": "r1"}


@pytest.mark.parametrize(
    ("aliases", "stages", "shown"),
    [
        (["production", "champion"], ("production",), ("champion",)),
        (["stage-canary", "stage-"], ("canary",), ("stage-",)),
        (["staging", "production"], ("production", "staging"), ()),
        (["archived", "Production", "canary"], (), ("Production", "archived", "canary")),
    ],
)
def test_alias_held_stages(aliases: list[str], stages: tuple[str, ...], shown: tuple[str, ...]) -> None:
    version = version_of(item(), aliases)
    assert (version.stages, version.aliases) == (stages, shown)


def test_mapped_word_is_the_only_pointer() -> None:
    rules = rules_of(StageOptions(map={"production": "champion"}))
    version = version_of(item(), ["champion", "production"], rules)
    assert (version.stages, version.aliases) == (("production",), ("production",))


@pytest.mark.parametrize(
    "options",
    [
        StageOptions(map={"production": "latest"}),
        StageOptions(map={"production": "a b"}),
        StageOptions(map={"none": "x"}),
        StageOptions(map={"production": "x", "staging": "x"}),
        StageOptions(held_by=Holder.NATIVE, map={"production": "Live"}),
        StageOptions(held_by=Holder.NATIVE, map={"canary": "Staging"}),
    ],
)
def test_words_that_cannot_be_held(options: StageOptions) -> None:
    with pytest.raises(ConfigError, match=r"stages\.map"):
        rules_of(options)


def test_holder_that_mlflow_lacks() -> None:
    with pytest.raises(ConfigError, match="branch"):
        capabilities_of(StageOptions(held_by=Holder.BRANCH))


@pytest.mark.parametrize("key", ["a", "a.b-c_d e:f/g", "ä", "空"])
def test_good_keys(key: str) -> None:
    mapping.check_tag_keys([key], "r")


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "..", "../a", "a/../b", ".", "a#", "a\n", "x" * 251, "fedreg.x"]
)
def test_bad_keys(key: str) -> None:
    with pytest.raises(InvalidRequest, match="tag"):
        mapping.check_tag_keys([key], "r")


@pytest.mark.parametrize("key", ["3f2a", "a:b/c.d-e_f", "it's", "ümlaut", "x" * 300, '"`'])
def test_keys_fit_a_filter(key: str) -> None:
    value = mapping.key_tag_value(key)
    assert len(value) <= 200
    assert value.isascii()
    assert not set(value) & set("'\"`\\ ")
