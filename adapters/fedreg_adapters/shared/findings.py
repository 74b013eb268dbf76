"""One line of `doctor`: a harmless probe, and what to do where it fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fedreg.domain.errors import FedregError, RegistryAuthError
from fedreg.domain.models import Finding, Severity
from fedreg_adapters.shared.answers import CURE, MISREAD

# Codes that ask for new credentials: no permission would help.
_RENEW = ("expired", "unauthenticated", "401", "invalid", "unrecognized", "signature", "missing")


async def check(
    name: str,
    probe: Callable[[], Awaitable[str]],
    severity: Severity = Severity.ERROR,
    *,
    needs: str | None = None,
    otherwise: str | None = None,
) -> Finding:
    """What a probe says; or, never raising, what it failed with, of that severity.

    `needs`: the permission or role to add where the credentials are good and not enough. `otherwise`: what to look
    at where the error itself does not say.
    """
    try:
        return Finding(check=name, severity=Severity.OK, message=await probe())
    except FedregError as error:
        own = _cure_of(error, needs)
        cure = otherwise or own if own == error.usual_cure else own
        return Finding(check=name, severity=severity, message=error.message, cure=cure)
    except MISREAD as error:
        text = f"an answer of another shape than documented ({type(error).__name__})"
        return Finding(check=name, severity=severity, message=text, cure=CURE)


def _cure_of(error: FedregError, needs: str | None) -> str | None:
    code = (error.upstream_code or "").lower()
    if not isinstance(error, RegistryAuthError) or needs is None or any(word in code for word in _RENEW):
        return error.cure
    if error.cure is None or error.cure == error.usual_cure:
        return f"add {needs}"
    if needs in error.cure:
        return error.cure
    return f"{error.cure}: it needs {needs}"
