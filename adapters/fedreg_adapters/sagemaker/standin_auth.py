"""Who is calling: access keys, SigV4 signatures, and temporary credentials that expire."""

import hmac
import re
from collections.abc import Mapping

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .standin_errors import ServiceError
from .standin_state import State

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,\s*"
    r"SignedHeaders=(?P<signed>[^,]+),\s*Signature=(?P<signature>[0-9a-f]+)"
)


def check_caller(state: State, method: str, headers: Mapping[str, str], body: bytes) -> None:
    """Set the caller of this request, or refuse with 403.

    Without known credentials in the options any key is let in, except a temporary one that has expired or comes
    without its session token. With them, the key must be known or issued here and the signature must match.
    """
    state.caller_arn = ""
    strict = state.options.known_credentials is not None
    found = _AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
    if found is None:
        if strict:
            raise ServiceError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
        return
    session = state.sessions.get(found["key"])
    if session:
        if headers.get("X-Amz-Security-Token") != session.token:
            raise _unrecognized()
        if session.expires <= state.now():
            raise ServiceError("ExpiredTokenException", "The security token included in the request is expired", 403)
        state.caller_arn = session.session_arn
    if strict:
        secret = session.secret if session else (state.options.known_credentials or {}).get(found["key"])
        if secret is None:
            raise _unrecognized()
        _check_signature(found, secret, method, headers, body)


def _check_signature(found: re.Match[str], secret: str, method: str, headers: Mapping[str, str], body: bytes) -> None:
    signed = {name: headers.get(name, "") for name in found["signed"].split(";")}
    request = AWSRequest(method=method, url=f"http://{headers.get('Host', '')}/", headers=signed, data=body)
    request.context["timestamp"] = headers.get("X-Amz-Date", "")
    signer = SigV4Auth(Credentials(found["key"], secret), found["service"], found["region"])
    wanted = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    if not hmac.compare_digest(wanted, found["signature"]):
        raise ServiceError(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret"
            " Access Key and signing method.",
            403,
        )


def _unrecognized() -> ServiceError:
    return ServiceError("UnrecognizedClientException", "The security token included in the request is invalid.", 403)
