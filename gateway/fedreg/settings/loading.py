"""Finding and loading a configuration. Flags beat the environment, the environment beats ./fedreg.yaml."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedreg.domain.errors import ConfigError
from fedreg.domain.refs import REGISTRY_NAME
from fedreg.registries.manifests import load_manifest, nearest
from fedreg.registries.policy import CallPolicy, RegistryEntry
from fedreg.settings.binding import bind, bind_dataclass, construct, structure
from fedreg.settings.document import Document, read_document
from fedreg.settings.interpolation import interpolate
from fedreg.settings.links import check_members
from fedreg.settings.overrides import apply_overrides
from fedreg.settings.sections import Sections, Settings, check_exposure

FILE_NAME = "fedreg.yaml"
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
    settings = Settings(
        file=document.file.absolute(),
        store=replace(sections.store, url=_resolve_store(document, sections.store.url)),
        auth=sections.auth,
        registries=registries,
        links=sections.links,
        server=sections.server,
        stage_order=sections.stage_order,
        telemetry=sections.telemetry,
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
        {option: value for option, value in data.items() if option not in ("kind", "calls")},
        key,
        also=("kind", "calls"),
    )
    calls = bind_dataclass(document, CallPolicy, data.get("calls"), (*key, "calls"))
    return RegistryEntry(kind=kind, options=options, calls=calls)


def _resolve_store(document: Document, url: str) -> str:
    """A relative SQLite file lies beside the configuration."""
    path = url.removeprefix(_SQLITE)
    if not url.startswith(_SQLITE) or not path or path.startswith(("/", ":", "file:")):
        return url
    return f"{_SQLITE}{document.directory / path}"


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
