"""Capabilities: the one Unsupported, limits at the edge, narrowing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedreg.domain.capabilities import (
    Capabilities,
    Change,
    Limits,
    Operation,
    UploadSupport,
    check_alias,
    check_model_draft,
    check_tags,
    check_version_draft,
    require_model_fields,
    require_stage,
    require_version_fields,
    unsupported,
)
from fedreg.domain.errors import FedregError, InvalidRequest, Unsupported
from fedreg.domain.models import ModelDraft, Provenance, VersionDraft
from fedreg.domain.stages import NONE, PRODUCTION, Approval, Holder, StageSupport

NATIVE = StageSupport(Holder.NATIVE, exclusive=False)
ALL = Capabilities(
    operations=frozenset(Operation),
    stages={PRODUCTION: NATIVE},
    custom_stages=NATIVE,
    approvals=frozenset(Approval),
    upload=UploadSupport(),
    incremental=frozenset(Change),
    fields=frozenset({"description", "metrics", "params", "provenance", "approval"}),
    model_fields=frozenset({"description", "tags"}),
    editable=frozenset({"model.description", "version.description"}),
)
operations = st.sets(st.sampled_from(Operation))


@given(operations, st.sampled_from(Operation))
def test_require(declared: set[Operation], asked: Operation) -> None:
    capabilities = Capabilities(operations=frozenset(declared))
    assert capabilities.supports(asked) == (asked in declared)
    if asked in declared:
        capabilities.require(asked, registry="r")
        return
    with pytest.raises(Unsupported) as caught:
        capabilities.require(asked, registry="r")
    assert caught.value.to_dict() == unsupported(asked, registry="r").to_dict()
    assert (caught.value.registry, caught.value.operation) == ("r", asked.value)
    assert asked.value in caught.value.message


@given(operations)
def test_without_leaves_nothing_half_declared(gone: set[Operation]) -> None:
    left = ALL.without(*gone)
    assert left.operations == ALL.operations - gone
    assert bool(left.stages) == bool(left.custom_stages) == (Operation.SET_STAGE in left.operations)
    assert bool(left.approvals) == (Operation.SET_APPROVAL in left.operations)
    assert bool(left.upload) == (Operation.UPLOAD in left.operations)
    assert bool(left.incremental) == (Operation.SCAN_INCREMENTAL in left.operations)
    assert ("model.description" in left.editable) == (Operation.UPDATE_MODEL in left.operations)
    assert ("version.description" in left.editable) == (Operation.UPDATE_VERSION in left.operations)
    assert (left.fields, left.model_fields, left.limits) == (ALL.fields, ALL.model_fields, ALL.limits)


def test_stage_support() -> None:
    tag = StageSupport(Holder.TAG, exclusive=False)
    mixed = Capabilities(operations=frozenset(), stages={PRODUCTION: NATIVE}, custom_stages=tag)
    assert mixed.stage_support(PRODUCTION) is NATIVE
    assert mixed.stage_support("shadow") is tag
    assert mixed.stage_support(NONE) is None
    fixed = Capabilities(operations=frozenset(), stages={PRODUCTION: NATIVE})
    require_stage(fixed, PRODUCTION, registry="r")
    require_stage(fixed, NONE, registry="r")
    with pytest.raises(Unsupported, match="'shadow'") as caught:
        require_stage(fixed, "shadow", registry="r")
    assert PRODUCTION in str(caught.value.cure)


@given(st.integers(1, 50), st.integers(0, 100))
def test_lengths_at_the_edge(limit: int, length: int) -> None:
    limits = Limits(model_name=limit, description=limit, alias=limit, version_tag_value=limit, model_tag_key=limit)
    text = "x" * length
    refused = length > limit
    assert fails(lambda: check_model_draft(ModelDraft(name=text), limits, registry="r")) == refused
    assert fails(lambda: check_model_draft(ModelDraft(name="m", tags={text: ""}), limits, registry="r")) == refused
    draft = VersionDraft(model="m", description=text)
    assert fails(lambda: check_version_draft(draft, limits, registry="r")) == refused
    tagged = VersionDraft(model="m", tags={"k": text})
    assert fails(lambda: check_version_draft(tagged, limits, registry="r")) == refused
    assert fails(lambda: check_alias(text, limits, registry="r")) == (refused or not text)


@given(st.integers(0, 8), st.integers(0, 8), st.booleans())
def test_counts_at_the_edge(limit: int, number: int, of_version: bool) -> None:
    limits = Limits(tags_per_version=limit) if of_version else Limits(tags_per_model=limit)
    tags = {f"k{n}": "v" for n in range(number)}
    assert fails(lambda: check_tags(tags, limits, registry="r", of_version=of_version)) == (number > limit)
    assert not fails(lambda: check_tags(tags, limits, registry="r", of_version=not of_version))


@pytest.mark.parametrize("text", ["a\n", "a b", "é", "", "a/b"])
def test_patterns_match_the_whole(text: str) -> None:
    limits = Limits(alias_pattern="[a-z]+", version_tag_pattern="[a-z]+", model_tag_pattern="[a-z]+")
    assert fails(lambda: check_alias(text, limits, registry="r"))
    assert fails(lambda: check_tags({"k": text}, limits, registry="r", of_version=True))
    assert fails(lambda: check_tags({"k": text}, limits, registry="r", of_version=False))
    assert fails(lambda: check_tags({text: "v"}, limits, registry="r", of_version=True))
    assert fails(lambda: check_tags({text: "v"}, limits, registry="r", of_version=False))
    check_tags({"k": "v"}, limits, registry="r", of_version=True)
    check_tags({"k": "v"}, limits, registry="r", of_version=False)


def test_a_refusal_names_field_value_and_cure() -> None:
    with pytest.raises(InvalidRequest, match=r"tag 'team' has 5 characters, registry 'r' holds 4") as caught:
        check_tags({"team": "12345"}, Limits(model_tag_value=4), registry="r", of_version=False)
    assert caught.value.cure == "shorten it to 4 characters"
    assert caught.value.registry == "r"


FIELDS = {
    "description": {"description": "d"},
    "metrics": {"metrics": {"auc": 1.0}},
    "params": {"params": {"depth": "3"}},
    "provenance": {"provenance": Provenance(run_id="r")},
    "approval": {"approval": Approval.PENDING},
}


@given(st.sets(st.sampled_from(sorted(FIELDS))), st.sampled_from(sorted(FIELDS)))
def test_version_fields(held: set[str], given_field: str) -> None:
    capabilities = Capabilities(operations=frozenset(), fields=frozenset(held))
    require_version_fields(VersionDraft(model="m"), capabilities, registry="r")
    draft = VersionDraft(model="m", **FIELDS[given_field])  # type: ignore[arg-type]
    if given_field in held:
        require_version_fields(draft, capabilities, registry="r")
        return
    with pytest.raises(Unsupported, match=given_field):
        require_version_fields(draft, capabilities, registry="r")


def test_model_fields_and_tags() -> None:
    nothing = Capabilities(operations=frozenset())
    require_model_fields(ModelDraft(name="m"), nothing, registry="r")
    with pytest.raises(Unsupported, match="description"):
        require_model_fields(ModelDraft(name="m", description="d"), nothing, registry="r")
    with pytest.raises(Unsupported, match="tags"):
        require_model_fields(ModelDraft(name="m", tags={"a": "b"}), nothing, registry="r")
    with pytest.raises(Unsupported, match="set_version_tags"):
        require_version_fields(VersionDraft(model="m", tags={"a": "b"}), nothing, registry="r")


def fails(check: object) -> bool:
    try:
        check()  # type: ignore[operator]
    except FedregError as error:
        assert isinstance(error, InvalidRequest)
        assert error.cure
        return True
    return False
