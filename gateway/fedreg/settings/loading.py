"""Finding and loading a configuration. Flags beat the environment, the environment beats ./fedreg.yaml."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedreg.domain.errors import ConfigError
from fedreg.domain.links import check_members
from fedreg.domain.refs import REGISTRY_NAME
from fedreg.registries.manifests import load_manifest, nearest
from fedreg.registries.policy import CallPolicy, RegistryEntry
from fedreg.settings.binding import bind, bind_dataclass, construct, structure
from fedreg.settings.document import Document, read_document
from fedreg.settings.interpolation import interpolate
from fedreg.settings.overrides import apply_overrides
from fedreg.settings.sections import AuditSettings, Sections, Settings, StoreSettings, check_exposure

FILE_NAME = "fedreg.yaml"
OF_ENTRIES = ("kind", "calls", "poll")  # keys of every kind; the others are its options
_SQLITE = "sqlite:///"


def find_config(
    explicit: Path | str | None = None, env: Mapping[str, str] | None = None, directory: Path | None = None
) -> Path:
    """`explicit`, else FEDREG_CONFIG, else fedreg.yaml in `directory` (default: the working directory).

    Raises ConfigError where there is none.
    """
    if explicit is not None:
        return Path(explicit)
    named = (os.environ if env is None else env).get("FEDREG_CONFIG")
    if named:
        return Path(named)
    found = (directory or Path()) / FILE_NAME
    if found.is_file():
        return found
    raise ConfigError(
        f"no configuration: neither --config nor FEDREG_CONFIG is given, and there is no {found}",
        cure="write one with `fedreg init`, or name one with --config FILE",
    )


def load_settings(path: Path | str | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """Read, fill and validate a configuration. `path` None means `find_config`, `env` None the process's own.

    Raises ConfigError naming file and line (or the environment variable), key, value and cure.
    """
    env = os.environ if env is None else env
    document = read_document(find_config(path, env))
    apply_overrides(document, env)
    interpolate(document, env)
    sections: Sections = bind_dataclass(document, Sections, document.data, ())
    registries = {name: _bind_registry(document, name, data) for name, data in sections.registries.items()}
    store = replace(sections.store, url=_resolve_store(document, sections.store.url))
    settings = Settings(
        file=document.file.absolute(),
        store=store,
        auth=sections.auth,
        registries=registries,
        links=sections.links,
        server=sections.server,
        stage_order=sections.stage_order,
        telemetry=sections.telemetry,
        webhooks=sections.webhooks,
        audit=_place_key(document, sections.audit, store),
    )
    _check_references(document, settings)
    return settings


def _bind_registry(document: Document, name: str, data: Any) -> RegistryEntry:
    key = ("registries", name)
    if not REGISTRY_NAME.fullmatch(name):
        cure = "use a-z, 0-9, '.', '_' and '-', at most 63 characters, the first a letter or digit"
        raise document.error(key, f"{name!r} is no registry name", cure)
    data = structure(document, data, key, dict, "a mapping")
    if "kind" not in data:
        raise document.error(key, "'kind' is missing", "add `kind: mlflow`, or another kind")
    kind = bind(document, str, data["kind"], (*key, "kind"))
    manifest = construct(document, load_manifest, {"kind": kind}, (*key, "kind"))
    options = bind_dataclass(
        document,
        manifest.options,
        {option: value for option, value in data.items() if option not in OF_ENTRIES},
        key,
        also=OF_ENTRIES,
    )
    calls = bind_dataclass(document, CallPolicy, data.get("calls"), (*key, "calls"))
    poll = bind(document, float | None, data.get("poll"), (*key, "poll")) or None
    values = {"kind": kind, "options": options, "calls": calls, "poll": poll}
    entry: RegistryEntry = construct(document, RegistryEntry, values, key)
    return entry


def _resolve_store(document: Document, url: str) -> str:
    """A relative SQLite file lies beside the configuration."""
    path = url.removeprefix(_SQLITE)
    if not url.startswith(_SQLITE) or not path or path.startswith(("/", ":", "file:")):
        return url
    return f"{_SQLITE}{document.directory / path}"


def _place_key(document: Document, audit: AuditSettings | None, store: StoreSettings) -> AuditSettings | None:
    """The key lies beside the store where no other place is named."""
    if audit is None or audit.key is not None:
        return audit
    path = store.url.removeprefix(_SQLITE)
    if not store.url.startswith(_SQLITE) or not path or path.startswith((":", "file:")):
        raise document.error(("audit",), "'key' is missing: this store is no file to put one beside", "add `key: FILE`")
    return replace(audit, key=Path(f"{path}.audit.key"))


def _check_references(document: Document, settings: Settings) -> None:
    if not settings.registries:
        raise document.error(("registries",), "no registry is configured", "`fedreg init` shows how one looks")
    for at, token in enumerate(settings.auth.tokens):
        for name in token.registries or ():
            if name not in settings.registries:
                cure = nearest(name, tuple(settings.registries))
                raise document.error(("auth", "tokens", at, "registries"), f"{name!r} is not configured", cure)
    for name, link in settings.links.items():
        construct(document, check_members, {"link": link, "registries": settings.registries}, ("links", name))
    construct(document, check_exposure, {"auth": settings.auth, "host": settings.server.host}, ("server", "host"))
