"""SageMaker's shapes and the domain's, both ways, without a request."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime

import botocore.exceptions as boto
import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedreg.domain.errors import (
    AlreadyExists,
    Conflict,
    FedregError,
    Forbidden,
    InvalidRequest,
    NotFound,
    Outcome,
    RateLimited,
    RegistryAuthError,
    RegistryError,
    RegistryTimeout,
    RegistryUnavailable,
    Unsupported,
)
from fedreg.domain.models import Provenance, VersionDraft
from fedreg.domain.stages import Approval
from fedreg_adapters.sagemaker.copies import copied_fields
from fedreg_adapters.sagemaker.errors import to_domain_error
from fedreg_adapters.sagemaker.events import check_secret, read_events
from fedreg_adapters.sagemaker.files import DataSource, data_sources
from fedreg_adapters.sagemaker.manifest import CAPABILITIES, MANIFEST, SageMakerOptions
from fedreg_adapters.sagemaker.mapping import (
    CODEC,
    KEY,
    description_of,
    edit_description,
    identity_of,
    is_native_description,
    properties_of,
    provenance_of,
    refuse_own,
    stage_map,
    stage_of,
    version_of,
)
from fedreg_adapters.sagemaker.packages import client_token
from fedreg_adapters.sagemaker.records import Record, read_card, read_record, write_card
from fedreg_adapters.sagemaker.spelling import is_plain, read_text, write_text
from fedreg_adapters.shared.drafts import begin, place_of, read_draft

GROUP_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=300)
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/churn/7"
CREATED = datetime(2024, 2, 29, 12, 0, 0, 123000, tzinfo=UTC)


def package(**more: object) -> dict[str, object]:
    return {
        "ModelPackageGroupName": "churn",
        "ModelPackageVersion": 7,
        "ModelPackageArn": ARN,
        "CreationTime": CREATED,
        "ModelPackageStatus": "Completed",
        **more,
    }


@given(st.text(min_size=1, max_size=200))
def test_every_name_has_a_spelling_that_sagemaker_takes(name: str) -> None:
    native = CODEC.encode(name)
    assert GROUP_NAME.fullmatch(native) and len(native) <= 63
    assert CODEC.decode(native, name) == name
    if not CODEC.is_hashed(native):
        assert CODEC.decode(native) == name


@given(TEXT)
def test_any_text_is_kept_in_values(text: str) -> None:
    held = write_text("fed:x", text)
    if held is None:
        assert len(text.encode()) * 3 > 8 * (256 - 36), "only a text that needs more than 8 values is refused"
        return
    assert read_text("fed:x", held) == text
    assert all(is_plain(value) for value in held.values())


def test_texts_that_need_no_escape_are_readable() -> None:
    assert write_text("fed:name", "team/churn_v1") == {"fed:name": "team/churn_v1"}
    assert write_text("k", "a,b") == {"k": "a=2Cb"}
    assert write_text("k", "x" * 2048) is not None
    assert write_text("k", "x" * 2049) is None


def test_the_declared_patterns_are_botocores() -> None:
    """Where Python's `\\w` and Java's categories part, ours is the narrower."""
    model = botocore.session.get_session().get_service_model("sagemaker")
    for shape in ("TagKey", "TagValue", "CustomerMetadataKey", "CustomerMetadataValue"):
        theirs = model.shape_for(shape).metadata["pattern"].replace("\\/", "/")
        assert theirs.startswith(r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)")
    pattern = CAPABILITIES.limits.version_tag_pattern or ""
    assert re.fullmatch(pattern, "aZ0_ .:/=+-@ é空\u00a0")
    for refused in ("", "a\n", "a\t", "a,b", "a#", "a%", "e\u0301", "😀"):
        assert not re.fullmatch(pattern, refused), refused


def test_limits_are_botocores() -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    limits = CAPABILITIES.limits
    assert model.shape_for("EntityDescription").metadata["max"] == limits.description
    assert model.shape_for("TagKey").metadata["max"] == limits.model_tag_key
    assert model.shape_for("TagValue").metadata["max"] == limits.model_tag_value
    assert model.shape_for("CustomerMetadataKey").metadata["max"] == limits.version_tag_key
    assert model.shape_for("CustomerMetadataValue").metadata["max"] == limits.version_tag_value
    assert limits.alias == model.shape_for("TagKey").metadata["max"] - len("fed:alias:")


@pytest.mark.parametrize(
    ("held", "native", "text"),
    [
        ({}, None, "first"),
        ({}, "old", "new"),
        ({"fed:desc": "long", "fed:desc:2": "er"}, "old", "short"),
        ({"fed:desc": "edited"}, "old", "old"),
        ({"fed:desc": "edited"}, "old", ""),
        ({}, None, ""),
        ({}, "old", "two\nlines, and a comma"),
    ],
)
def test_an_edited_description_reads_back(held: dict[str, str], native: str | None, text: str) -> None:
    added, removed = edit_description(held, native, text, "sm")
    after = {**{key: value for key, value in held.items() if key not in removed}, **added}
    assert (description_of(after, native) or "") == text
    assert all(after.values()), "a property can't be empty"


def test_a_description_that_can_not_be_kept_is_refused_by_name() -> None:
    with pytest.raises(Unsupported) as caught:
        edit_description({}, None, "," * 1024, "sm")
    assert caught.value.details == {"losses": ["description"]}


def test_native_descriptions_have_no_control_characters() -> None:
    assert is_native_description("Ümläut – 空 😀 (50 %), done.")
    assert not is_native_description("two\nlines")
    assert not is_native_description("zero\u200bwidth")


def test_version_of_a_full_package() -> None:
    full = package(
        ModelPackageStatus="Failed",
        ModelPackageStatusDetails={"ValidationStatuses": [{"Name": "v", "Status": "Failed", "FailureReason": "no"}]},
        ModelApprovalStatus="Rejected",
        ApprovalDescription="by the board",
        ModelLifeCycle={"Stage": "PreProduction", "StageStatus": "Approved"},
        CustomerMetadataProperties={"team": "growth", KEY: "k", "fed:metric:auc": "0.5", "fed:metric:bad": "x"},
        ModelPackageDescription="d",
        LastModifiedTime=CREATED,
    )
    version = version_of(full, "churn", {"champion": "7", "other": "6"}, stage_map(SageMakerOptions()), "sm", Record())
    assert (version.version, version.identity) == ("7", f"{ARN}@1709208000123")
    assert (version.status.value, version.status_message) == ("failed", "no")
    assert (version.stage, version.native_stages) == ("staging", ("PreProduction",))
    assert (version.approval, version.approval_comment) == (Approval.REJECTED, "by the board")
    assert (version.aliases, dict(version.tags), dict(version.metrics)) == (
        ("champion",),
        {"team": "growth"},
        {"auc": 0.5},
    )


@pytest.mark.parametrize(
    ("word", "stage", "native"),
    [
        (None, "none", ()),
        ("None", "none", ()),
        ("Production", "production", ("Production",)),
        ("shadow", "shadow", ("shadow",)),
        ("QA", "none", ("QA",)),
        ("production", "none", ("production",)),
    ],
)
def test_stages(word: str | None, stage: str, native: tuple[str, ...]) -> None:
    """A word that is no stage of ours is shown as SageMaker has it, and counts for nothing."""
    given = package(**({"ModelLifeCycle": {"Stage": word, "StageStatus": "Approved"}} if word else {}))
    stages = stage_map(SageMakerOptions())
    assert stage_of(given, stages) == stage
    assert version_of(given, "churn", {}, stages, "sm", Record()).native_stages == native


def test_provenance_of_others_packages() -> None:
    given = package(
        MetadataProperties={"GeneratedBy": "run", "CommitId": "c", "Repository": "r", "ProjectId": "p"},
        CreatedBy={"IamIdentity": {"Arn": "arn:aws:iam::1:user/u"}},
    )
    assert provenance_of(given, None) == Provenance(
        run_id="run", git_commit="c", git_repository="r", created_by="arn:aws:iam::1:user/u", extra={"project_id": "p"}
    )
    recorded = Provenance(run_id="x")
    assert provenance_of(given, recorded) is recorded


NUMBERS = st.floats(allow_nan=False)


@settings(max_examples=50)
@given(
    st.dictionaries(st.text(max_size=20), NUMBERS, max_size=5),
    st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=5),
    st.booleans(),
)
def test_a_record_is_read_back_whole(metrics: dict[str, float], params: dict[str, str], known: bool) -> None:
    provenance = Provenance(run_id="r", created_at=CREATED, extra={"a": "b"}) if known else Provenance()
    record = Record.of(VersionDraft(model="m", metrics=metrics, params=params, provenance=provenance))
    if record is None:
        assert not metrics and not params and not known
        return
    data = record.to_json()
    assert read_record(data) == record and b"\n" not in data
    json.loads(data, parse_constant=pytest.fail)
    card = write_card(record, whole=True)
    assert card is not None and read_card(card) == record


def test_not_a_number_is_recorded() -> None:
    record = Record(metrics={"loss": math.nan})
    assert math.isnan(read_record(record.to_json()).metrics["loss"])


def test_others_reports_and_cards() -> None:
    report = {"regression_metrics": {"mse": {"value": 4.5, "standard_deviation": "NaN"}, "bad": {"value": "NaN"}}}
    assert read_record(json.dumps(report).encode()).metrics == {"mse": 4.5}
    for odd in (b"", b"[]", b"{", b'{"version": 1}', b"\xff"):
        assert read_record(odd) == Record()
    job = {"training_metrics": [{"name": "auc", "value": 0.5}], "hyper_parameters": [{"name": "depth", "value": "3"}]}
    card = json.dumps({"training_details": {"training_job_details": job}})
    assert read_card(card) == Record(metrics={"auc": 0.5}, params={"depth": "3"})
    for odd_card in ("", "[]", '{"training_details": []}', "{"):
        assert read_card(odd_card) == Record()


def test_a_card_keeps_to_its_schema() -> None:
    record = Record(
        metrics={**{f"m{n:03d}": float(n) for n in range(60)}, "inf": math.inf},
        params={**{f"p{n:03d}": "v" for n in range(120)}, "long": "x" * 256, "empty": ""},
    )
    card = json.loads(write_card(record, whole=False) or "")
    job = card["training_details"]["training_job_details"]
    assert len(job["user_provided_training_metrics"]) == 50
    assert len(job["user_provided_hyper_parameters"]) == 100
    assert all(0 < len(item["value"]) <= 255 for item in job["user_provided_hyper_parameters"])


def test_properties_of_a_draft_fit() -> None:
    draft = VersionDraft(
        model="m",
        tags={f"t{n}": "v" for n in range(30)},
        metrics={f"m{n}": float(n) for n in range(60)},
        description="line\n" + "," * 600,
    )
    properties = properties_of(draft, "key-1", "sm")
    assert len(properties) <= 50
    assert properties[KEY] == "key-1"
    assert sum(name.startswith("fed:metric:") for name in properties) == 10


def test_own_keys_are_refused_as_tags() -> None:
    refuse_own(["team", "federal"], "sm")
    for key in ("fed:key", "FED:x", "aws:x"):
        with pytest.raises(InvalidRequest, match="reserved"):
            refuse_own([key], "sm")


def test_upload_state_and_its_place() -> None:
    draft = VersionDraft(
        model="team/m", provenance=Provenance(created_at=CREATED), approval=Approval.APPROVED, files={"a": 1}
    )
    state = begin(draft, CODEC.encode("team/m"), "k")
    stored = json.loads(json.dumps(state.data))
    assert stored == state.data
    assert read_draft(state) == draft
    assert place_of("m", "key-1") == "m/key-1"
    for odd in ("..", "a/b", "", "x" * 81, "ü"):
        assert re.fullmatch(r"m/h\.[0-9a-f]{40}", place_of("m", odd)), odd
    assert re.fullmatch(r"[a-zA-Z0-9-]{1,36}", client_token("m", "k"))
    assert len({client_token("m", "k"), client_token("m", "k", 1), client_token("n", "k")}) == 3


def test_data_sources() -> None:
    prefix = {"ModelDataSource": {"S3DataSource": {"S3Uri": "s3://b/p/", "S3DataType": "S3Prefix"}}}
    packed = {"ModelDataUrl": "s3://b/model.tar.gz"}
    gzip = {
        "ModelDataSource": {"S3DataSource": {"S3Uri": "s3://b/m", "S3DataType": "S3Object", "CompressionType": "Gzip"}}
    }
    plain = {"ModelDataUrl": "s3://b/model.onnx"}

    def of(*containers: object) -> list[DataSource]:
        return data_sources({"InferenceSpecification": {"Containers": list(containers)}})

    assert of(prefix) == [DataSource("prefix", "s3://b/p/")]
    assert of(packed) == [DataSource("archive", "s3://b/model.tar.gz")]
    assert of(gzip) == [DataSource("archive", "s3://b/m")]
    assert of(plain, {"Image": "i"}) == [DataSource("object", "s3://b/model.onnx")]
    assert [source.folder for source in of(prefix, packed, prefix)] == ["container-0/", "container-1/"]
    assert data_sources({}) == []
    with pytest.raises(RegistryError, match="https"):
        of({"ModelDataUrl": "https://example.com/model.tar.gz"})


def test_a_native_copy_takes_what_can_be_given() -> None:
    source = {
        "ModelDataUrl": "s3://b/m",
        "ModelDataETag": "abc",
    }
    given = package(
        InferenceSpecification={"Containers": [source]},
        CustomerMetadataProperties={"team": "growth", KEY: "old"},
        ModelApprovalStatus="Approved",
        ModelLifeCycle={"Stage": "Production", "StageStatus": "Approved"},
        ModelPackageDescription="d",
        SourceUri="s3://x",
    )
    assert copied_fields(given, "new") == {
        "InferenceSpecification": {"Containers": [{"ModelDataUrl": "s3://b/m"}]},
        "CustomerMetadataProperties": {"team": "growth", KEY: "new"},
        "ModelApprovalStatus": "PendingManualApproval",
        "ModelPackageDescription": "d",
    }


EVENT = {
    "id": "e1",
    "source": "aws.sagemaker",
    "detail-type": "SageMaker Model Package State Change",
    "time": "2024-02-29T12:00:00Z",
    "detail": {"ModelPackageGroupName": "churn", "ModelPackageVersion": 7},
}


@pytest.mark.parametrize(
    ("updated", "kind"),
    [
        ([], "updated"),
        (["ModelLifeCycle"], "stage"),
        (["ModelApprovalStatus", "ApprovalDescription"], "approval"),
        (["CustomerMetadataProperties"], "updated"),
    ],
)
def test_events(updated: list[str], kind: str) -> None:
    detail = {**EVENT["detail"], "UpdatedModelPackageFields": updated}  # type: ignore[dict-item]
    [event] = read_events(json.dumps([{**EVENT, "detail": detail}]).encode(), "sm", CODEC.decode)
    assert (event.id, event.model, event.version, event.kind) == ("e1", "churn", "7", kind)
    assert event.occurred_at == datetime(2024, 2, 29, 12, tzinfo=UTC)


def test_events_about_something_else_give_nothing() -> None:
    others = [
        {**EVENT, "source": "aws.s3"},
        {**EVENT, "detail-type": "x"},
        {**EVENT, "detail": {}},
        {**EVENT, "detail": 1},
    ]
    assert read_events(json.dumps(others).encode(), "sm", CODEC.decode) == []


def test_no_event_without_a_secret() -> None:
    with pytest.raises(Forbidden, match="accepts no events"):
        check_secret({"x-fedreg-event-secret": ""}, None, "sm")
    with pytest.raises(Forbidden):
        check_secret({}, "right", "sm")
    with pytest.raises(Forbidden):
        check_secret({"x-fedreg-event-secret": "ümläut"}, "right", "sm")
    check_secret({"x-fedreg-event-secret": "right"}, "right", "sm")


def answer(code: str, message: str = "m", status: int = 400) -> boto.ClientError:
    metadata = {"HTTPStatusCode": status, "RequestId": "r-1", "HTTPHeaders": {"retry-after": "7"}}
    return boto.ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, "Op")  # type: ignore[arg-type,typeddict-item,unused-ignore]


@pytest.mark.parametrize(
    ("error", "kind", "outcome"),
    [
        (answer("ValidationException", "ModelPackageGroup arn does not exist."), NotFound, Outcome.NOT_APPLIED),
        (answer("ValidationException", "Could not find model"), NotFound, Outcome.NOT_APPLIED),
        (answer("ValidationException", "Model Package Group already exists: x"), AlreadyExists, Outcome.NOT_APPLIED),
        (answer("ValidationException", "1 validation error detected"), InvalidRequest, Outcome.NOT_APPLIED),
        (answer("ResourceNotFound"), NotFound, Outcome.NOT_APPLIED),
        (answer("ConflictException"), Conflict, Outcome.NOT_APPLIED),
        (answer("ResourceLimitExceeded"), Conflict, Outcome.NOT_APPLIED),
        (answer("ThrottlingException", "Rate exceeded"), RateLimited, Outcome.NOT_APPLIED),
        (answer("AccessDeniedException"), RegistryAuthError, Outcome.NOT_APPLIED),
        (answer("ExpiredTokenException", status=403), RegistryAuthError, Outcome.NOT_APPLIED),
        (answer("UnrecognizedClientException"), RegistryAuthError, Outcome.NOT_APPLIED),
        (answer("InternalFailure", status=500), RegistryUnavailable, Outcome.UNKNOWN),
        (answer("Odd"), RegistryError, Outcome.NOT_APPLIED),
        (boto.EndpointConnectionError(endpoint_url="http://x"), RegistryUnavailable, Outcome.NOT_APPLIED),
        (boto.ConnectTimeoutError(endpoint_url="http://x"), RegistryUnavailable, Outcome.NOT_APPLIED),
        (boto.ReadTimeoutError(endpoint_url="http://x"), RegistryTimeout, Outcome.UNKNOWN),
        (boto.ConnectionClosedError(endpoint_url="http://x"), RegistryUnavailable, Outcome.UNKNOWN),
        (boto.NoCredentialsError(), RegistryAuthError, Outcome.NOT_APPLIED),
    ],
)
def test_the_table_of_errors(error: Exception, kind: type[FedregError], outcome: Outcome) -> None:
    found = to_domain_error(error, "sm", "op")
    assert type(found) is kind
    assert (found.registry, found.operation, found.outcome) == ("sm", "op", outcome)
    if isinstance(error, boto.ClientError):
        assert (found.request_id, found.retry_after) == ("r-1", 7.0)


def test_the_manifest_names_what_exists_and_shows_no_secret() -> None:
    options = SageMakerOptions(
        secret_access_key="v3ry", session_token="v3ry", event_secret="v3ry", access_key_id="v3ry"
    )
    assert "v3ry" not in repr(options)
    assert MANIFEST.kind == "sagemaker"


def test_identity_tells_a_version_made_again() -> None:
    again = package(CreationTime=datetime(2024, 3, 1, tzinfo=UTC))
    assert identity_of(package()) != identity_of(again)
