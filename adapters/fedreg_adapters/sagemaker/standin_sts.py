"""The two STS operations an assumed role needs: AssumeRole and GetCallerIdentity (query protocol, XML)."""

import re
import secrets
from collections.abc import Callable
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from aiohttp import web

from .standin_auth import check_caller
from .standin_errors import ServiceError
from .standin_state import Credentials, State, digest, iso_time
from .standin_validation import check_request, load_service_model

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
DEFAULT_DURATION_SECONDS = 3600
_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::(?P<account>\d{12}):role/(?:[\w+=,.@/-]+/)?(?P<role>[\w+=,.@-]+)")
# STS names these refusals otherwise than the JSON services do.
_CODES = {
    "UnrecognizedClientException": "InvalidClientTokenId",
    "ExpiredTokenException": "ExpiredToken",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "ValidationException": "ValidationError",
}


def answer_sts(state: State, request: web.Request, body: bytes, request_id: str) -> web.Response:
    """Answer one form-encoded STS request in XML."""
    try:
        form = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        action = form.pop("Action", "")
        form.pop("Version", None)
        if action not in OPERATIONS:
            raise ServiceError("InvalidAction", f"Could not find operation {action} for version 2011-06-15")
        check_caller(state, request.method, request.headers, body)
        result = OPERATIONS[action](state, form)
        state.calls[action] = state.calls.get(action, 0) + 1
        text = (
            f'<{action}Response xmlns="{NAMESPACE}"><{action}Result>{result}</{action}Result>'
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
        )
        status = 200
    except ServiceError as error:
        code, status = _CODES.get(error.code, error.code), error.status
        text = (
            f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
            f"<Message>{escape(error.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return web.Response(text=text, status=status, content_type="text/xml", headers={"x-amzn-RequestId": request_id})


def assume_role(state: State, form: dict[str, str]) -> str:
    """Issue credentials for DurationSeconds (900 to 43200, by default 3600)."""
    given = {name: value for name, value in form.items() if "." not in name}  # lists are `Tags.member.1.Key`
    duration = given.get("DurationSeconds", str(DEFAULT_DURATION_SECONDS))
    if not duration.isdigit():
        raise ServiceError("MalformedInput", f"DurationSeconds is not a number: {duration}")
    typed = {**given, **({"DurationSeconds": int(duration)} if "DurationSeconds" in given else {})}
    check_request(load_service_model("sts").operation_model("AssumeRole").input_shape, typed)
    role = _ROLE_ARN.fullmatch(given["RoleArn"])
    if role is None:
        raise ServiceError("ValidationError", f"{given['RoleArn']} is invalid")
    name = given["RoleSessionName"]
    session = Credentials(
        secret=secrets.token_urlsafe(30),
        token=secrets.token_urlsafe(120),
        role_arn=given["RoleArn"],
        session_arn=f"arn:aws:sts::{role['account']}:assumed-role/{role['role']}/{name}",
        expires=state.now() + int(duration),
    )
    key = f"ASIA{secrets.token_hex(8).upper()}"
    state.sessions[key] = session
    return (
        f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{session.secret}</SecretAccessKey>"
        f"<SessionToken>{session.token}</SessionToken><Expiration>{iso_time(session.expires)}</Expiration>"
        f"</Credentials><AssumedRoleUser><AssumedRoleId>{_role_id(session)}:{escape(name)}</AssumedRoleId>"
        f"<Arn>{escape(session.session_arn)}</Arn></AssumedRoleUser>"
    )


def get_caller_identity(state: State, _form: dict[str, str]) -> str:
    """Say who called: an assumed role's session, or this account's user."""
    arn = state.caller_arn or f"arn:aws:iam::{state.options.account}:user/standin"
    account = arn.split(":")[4]
    return f"<Arn>{escape(arn)}</Arn><UserId>AIDA{digest(arn)[:17].upper()}</UserId><Account>{account}</Account>"


def _role_id(session: Credentials) -> str:
    return f"AROA{digest(session.role_arn)[:17].upper()}"


OPERATIONS: dict[str, Callable[[State, dict[str, str]], str]] = {
    "AssumeRole": assume_role,
    "GetCallerIdentity": get_caller_identity,
}
