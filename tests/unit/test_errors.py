"""The error family: the table of the contract, and a trip through JSON."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedreg.domain.errors import ERRORS, FedregError, Outcome, RateLimited

# Written by hand from the contract: code -> HTTP status, exit code, retryable.
TABLE = {
    "error": (500, 1, False),
    "invalid_request": (400, 2, False),
    "unauthenticated": (401, 6, False),
    "forbidden": (403, 6, False),
    "not_found": (404, 3, False),
    "already_exists": (409, 1, False),
    "conflict": (409, 1, False),
    "precondition_failed": (412, 1, False),
    "unsupported": (422, 6, False),
    "loss_not_accepted": (422, 6, False),
    "gate_closed": (422, 6, False),
    "rate_limited": (429, 5, True),
    "registry_auth_error": (502, 1, False),
    "registry_error": (502, 1, False),
    "integrity_error": (502, 1, False),
    "registry_unavailable": (503, 5, True),
    "registry_timeout": (504, 5, True),
    "store_error": (500, 1, False),
    "store_busy": (503, 5, True),
    "engine_closed": (503, 5, True),
    "cancelled": (409, 1, False),
    "lease_lost": (503, 5, True),
    "store_unavailable": (503, 5, True),
    "wait_ended": (504, 5, False),
    "incomplete": (409, 7, False),
    "config_error": (500, 2, False),
    "gateway_error": (502, 1, False),
    "gateway_unavailable": (503, 5, True),
}
texts = st.text(max_size=20)
json_values = st.recursive(st.none() | st.booleans() | st.integers() | texts, lambda inner: st.lists(inner, max_size=3))
errors = st.builds(
    lambda kind, message, **fields: ERRORS[kind](message, **fields),
    st.sampled_from(sorted(ERRORS)),
    texts,
    cure=st.none() | texts,
    registry=st.none() | texts,
    operation=st.none() | texts,
    outcome=st.sampled_from(Outcome),
    upstream_code=st.none() | texts,
    request_id=st.none() | texts,
    retry_after=st.none() | st.floats(0, 1e6),
    details=st.none() | st.dictionaries(texts, json_values, max_size=3),
)


def test_table() -> None:
    assert {code: (kind.status, kind.exit_code, kind.retryable) for code, kind in ERRORS.items()} == TABLE


def test_codes_are_unique() -> None:
    def family(root: type[FedregError]) -> list[type[FedregError]]:
        return [root, *(found for child in root.__subclasses__() for found in family(child))]

    ours = [kind for kind in family(FedregError) if kind.__module__ == FedregError.__module__]
    assert sorted(kind.code for kind in ours) == sorted(ERRORS)


@given(errors)
def test_through_json_and_back(error: FedregError) -> None:
    fields = json.loads(json.dumps(error.to_dict()))
    again = FedregError.from_dict(fields)
    assert type(again) is type(error)
    assert again.to_dict() == error.to_dict()
    assert str(again) == str(error)


@given(errors)
def test_through_pickle_and_back(error: FedregError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert again.to_dict() == error.to_dict()


@given(errors)
def test_prints_message_and_cure(error: FedregError) -> None:
    assert error.message in str(error)
    assert error.cure is None or error.cure in str(error)
    assert {"code", "message", "retryable", "outcome"} <= error.to_dict().keys()
    assert None not in error.to_dict().values()


def test_a_code_of_a_later_version() -> None:
    again = FedregError.from_dict({"code": "from_the_future", "message": "hm"})
    assert (type(again), again.message, again.outcome) == (FedregError, "hm", Outcome.NOT_APPLIED)


@pytest.mark.parametrize("outcome", Outcome)
def test_outcome_is_kept(outcome: Outcome) -> None:
    error = RateLimited("slow down", outcome=outcome, retry_after=0.0)
    assert error.to_dict()["outcome"] == outcome.value
    assert error.to_dict()["retry_after"] == 0.0
