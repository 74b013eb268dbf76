"""Errors as Azure words them: the envelope of Resource Manager, and Blob's."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from aiohttp import web

REFUSALS = {401: "ExpiredAuthenticationToken", 403: "AuthorizationFailed", 429: "TooManyRequests"}


class ServiceError(Exception):
    """An error to answer with. `code` stands in `details[0]`; the outer code of the model's plane is UserError."""

    def __init__(self, status: int, code: str, message: str, outer: str = "UserError") -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.outer = status, code, message, outer


def envelope(error: ServiceError) -> web.Response:
    """The answer to a request that failed."""
    detail = {"code": error.code, "message": error.message, "details": [], "additionalInfo": []}
    is_user = error.outer == "UserError"
    info = [
        {"type": "ComponentName", "info": {"value": "managementfrontend"}},
        {"type": "Correlation", "info": {"value": {"operation": uuid.uuid4().hex, "request": uuid.uuid4().hex[:16]}}},
        {"type": "Environment", "info": {"value": "eastus"}},
        {"type": "Time", "info": {"value": datetime.now(UTC).isoformat()}},
    ]
    body = {
        "error": {
            "code": error.outer if is_user else error.code,
            "message": "The specified resource was not found." if error.status == 404 and is_user else error.message,
            "details": [detail] if is_user and error.code != "UserError" else [],
            "additionalInfo": info if is_user else [],
        }
    }
    return web.json_response(body, status=error.status, headers={"x-ms-response-type": "error"})


class BlobError(Exception):
    """An error of the blob service."""

    def __init__(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.headers = status, code, headers or {}


def blob_envelope(error: BlobError, *, head: bool) -> web.Response:
    """Blob says the code in a header too, for an answer to HEAD has no body."""
    text = (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{error.code}</Code><Message>{error.code}</Message></Error>'
    )
    headers = {"x-ms-error-code": error.code, "x-ms-version": "2021-08-06", **error.headers}
    if head or error.status == 304:
        return web.Response(status=error.status, headers=headers)
    return web.Response(status=error.status, headers=headers, body=text.encode(), content_type="application/xml")
