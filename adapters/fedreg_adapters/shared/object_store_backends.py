"""The obstore backends behind a URL: which class, which options under which of its names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from obstore import exceptions
from obstore.store import AzureStore, GCSStore, LocalStore, S3Store

from fedreg.domain.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """How to reach a store. What is left out comes from the environment, as the vendors' tools read it.

    - `credential_provider`: a plain or async callable in obstore's form (`access_key_id`, …, `expires_at`).
    - `path_style`: None means path style where an endpoint is given (MinIO, moto), else the vendor's own.
    - `kms_key`: SSE-KMS key id of what is written to S3.
    - `idle_timeout`: seconds without a byte after which a request is given up.
    """

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    account_name: str | None = None
    account_key: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)
    bearer_token: str | None = field(default=None, repr=False)
    service_account: str | None = None
    credential_provider: Callable[[], Any] | None = field(default=None, repr=False)
    anonymous: bool = False
    path_style: bool | None = None
    kms_key: str | None = None
    connect_timeout: float = 10.0
    idle_timeout: float = 60.0


def open_backend(url: str, options: StoreOptions) -> tuple[Any, Path | None]:
    """The obstore store of a URL, and the directory where it is local. Raises ConfigError."""
    parts = urlsplit(url)
    try:
        if parts.scheme == "file":
            root = Path(unquote(parts.path))
            return LocalStore(root, automatic_cleanup=True, mkdir=True), root
        opener = _BACKENDS.get(parts.scheme)
        if opener is None or not parts.netloc:
            known = ", ".join(f"{scheme}://" for scheme in (*_BACKENDS, "file"))
            raise ConfigError(f"{without_secrets(url)!r} is no object store address", cure=f"use one of {known}")
        return opener(parts.netloc, parts.path.strip("/") or None, options), None
    except (ValueError, OSError, exceptions.BaseError) as error:
        raise ConfigError(f"object store {without_secrets(url)!r} can't be opened: {type(error).__name__}") from error


def _open_s3(netloc: str, prefix: str | None, options: StoreOptions) -> Any:
    keys = ("access_key_id", "secret_access_key", "session_token", "region")
    config: dict[str, Any] = _given(options, keys, endpoint="endpoint_url")
    if options.kms_key:
        config |= {"server_side_encryption": "aws:kms", "sse_kms_key_id": options.kms_key}
    if options.anonymous:
        config["skip_signature"] = True
    path_style = bool(options.endpoint_url) if options.path_style is None else options.path_style
    config["virtual_hosted_style_request"] = not path_style
    return S3Store(netloc, prefix=prefix, config=config, **_shared(options))  # type: ignore[arg-type]


def _open_gcs(netloc: str, prefix: str | None, options: StoreOptions) -> Any:
    config: dict[str, Any] = _given(options, ("bearer_token", "service_account"), base_url="endpoint_url")
    if options.anonymous:
        config["skip_signature"] = True
    return GCSStore(netloc, prefix=prefix, config=config, **_shared(options))  # type: ignore[arg-type]


def _open_azure(netloc: str, prefix: str | None, options: StoreOptions) -> Any:
    container, at, host = netloc.partition("@")
    if at:  # abfss://container@account.dfs.core.windows.net/path, and wasbs:// likewise
        account = host.partition(".")[0]
    else:  # az://account/container/path
        account, (container, _, rest) = netloc, (prefix or "").partition("/")
        prefix = rest or None
    if not container:
        raise ValueError("no container")
    names = {"sas_key": "sas_token", "token": "bearer_token", "endpoint": "endpoint_url"}
    config: dict[str, Any] = _given(options, ("account_key",), **names)
    config["account_name"] = options.account_name or account
    if options.anonymous:
        config["skip_signature"] = True
    return AzureStore(container, prefix=prefix, config=config, **_shared(options))  # type: ignore[arg-type]


_BACKENDS: dict[str, Callable[[str, str | None, StoreOptions], Any]] = {
    "s3": _open_s3,
    "s3a": _open_s3,
    "gs": _open_gcs,
    **dict.fromkeys(("az", "abfs", "abfss", "wasb", "wasbs"), _open_azure),
}


def _given(options: StoreOptions, same: Sequence[str], **renamed: str) -> dict[str, Any]:
    """The options that are set, under the backend's names."""
    names = {name: name for name in same} | renamed
    found = {theirs: getattr(options, ours) for theirs, ours in names.items()}
    return {name: value for name, value in found.items() if value is not None}


def _shared(options: StoreOptions) -> dict[str, Any]:
    plain = bool(options.endpoint_url and options.endpoint_url.startswith("http://"))
    client = {
        "allow_http": plain,
        "connect_timeout": timedelta(seconds=options.connect_timeout),
        "read_timeout": timedelta(seconds=options.idle_timeout),
        "timeout": timedelta(days=1),  # of a whole body; the idle time limit is what guards
    }
    retry = {"max_retries": 0, "retry_timeout": timedelta(0)}
    shared: dict[str, Any] = {"client_options": client, "retry_config": retry}
    if options.credential_provider is not None:
        shared["credential_provider"] = options.credential_provider
    return shared


def without_secrets(url: str) -> str:
    """The URL without anything that may be a secret. A container before `@` is none, a query may be."""
    parts = urlsplit(url)
    host = parts.netloc if ":" not in parts.netloc.rpartition("@")[0] else parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()
