"""Writes the pages that are made from the code: `python docs/generate.py`; `--check` only names those that differ.

Longer than 350 lines because each page is a function of it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from inspect import signature
from itertools import takewhile
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml

from fedreg.api.openapi import build_openapi
from fedreg.api.routes import ROUTES
from fedreg.domain.capability_table import capability_rows, describe_capabilities
from fedreg.domain.errors import ERRORS, Outcome
from fedreg.domain.links import Link, LinkMember
from fedreg.domain.port import AdapterManifest
from fedreg.domain.proofs import LEGEND, Proofs, list_proofs, mark_cell, spell_proofs
from fedreg.registries.ledgers import load_ledger
from fedreg.registries.manifests import BUILT_IN, load_manifest
from fedreg.registries.policy import CallPolicy
from fedreg.settings import json_schema
from fedreg.settings.sections import (
    AnchorSettings,
    AuditSettings,
    AuthSettings,
    Role,
    ServerSettings,
    StoreSettings,
    TelemetrySettings,
    TokenSettings,
    WebhookSettings,
)
from surfaces import reasons
from surfaces.commands import Use, find_uses, iter_commands, list_commands
from surfaces.methods import METHODS, list_parameters
from surfaces.requests import find_fields, list_routes

DOCS = Path(__file__).parent
MADE = "<!-- Made by docs/generate.py from {source}: change that and run `make docs`. -->"
# What follows it on docs/errors.md is made by tests/errors, which see the answers.
ANSWERS = "<!-- What follows is made by tests/errors: `make docs` writes it, `make test` compares. -->\n"


def main() -> int:
    """Write the pages, or with `--check` compare them; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name the pages that differ")
    check = parser.parse_args().check
    differing = {name: text for name, text in render_pages().items() if not _holds(name, text)}
    for name, text in differing.items():
        if check:
            sys.stderr.write(f"docs/{name} is not what the code says: run `make docs`\n")
        else:
            (DOCS / name).parent.mkdir(exist_ok=True)
            (DOCS / name).write_text(text, encoding="utf-8")
            sys.stdout.write(f"docs/{name}\n")
    return 1 if check and differing else 0


def render_pages() -> dict[str, str]:
    """Every generated page: its path below docs/ and its text."""
    manifests = {kind: load_manifest(kind) for kind in sorted(BUILT_IN)}
    pages = {
        "cli.md": _cli(),
        "http.md": _http(),
        "errors.md": _errors(),
        "configuration.md": _configuration(manifests),
        "configuration.schema.json": json.dumps(json_schema(), indent=1, ensure_ascii=False, sort_keys=True) + "\n",
        "capabilities.md": _capabilities(manifests),
        "parity.md": _parity(),
    }
    return pages | {f"adapters/{kind}.md": _adapter(manifest) for kind, manifest in manifests.items()}


def _holds(name: str, text: str) -> bool:
    target = DOCS / name
    return target.is_file() and target.read_text(encoding="utf-8") == text


# -- the command line ----------------------------------------------------------------------------------


def _cli() -> str:
    parts = [
        MADE.format(source="the commands"),
        "# Command line",
        "Results go to stdout, progress and remarks to stderr. A reference is `REGISTRY:MODEL` or "
        "`REGISTRY:MODEL@SELECTOR`; a selector is `version:3`, `alias:champion`, `stage:production`, or a bare value "
        "that matches exactly one version. Which error ends with which exit code: [errors](errors.md).",
        "TAB completes commands and options once the shell has read click's script: "
        '`eval "$(_FEDREG_COMPLETE=bash_source fedreg)"` in `~/.bashrc`, '
        '`eval "$(_FEDREG_COMPLETE=zsh_source fedreg)"` in `~/.zshrc`, or '
        "`_FEDREG_COMPLETE=fish_source fedreg | source` in `~/.config/fish/completions/fedreg.fish`.",
    ]
    for path, command, ctx in iter_commands():
        parts += [f"## {path}", f"```text\n{command.get_help(ctx)}\n```"]
    return _page(parts)


# -- HTTP ----------------------------------------------------------------------------------------------


def _http() -> str:
    document = build_openapi(ROUTES)
    parts = [
        MADE.format(source="the table of routes"),
        "# HTTP API",
        str(document["info"]["description"]).strip(),
        "A running gateway describes itself in full at `/openapi.json`, and for people at `/docs`. Roles are "
        f"ranked: {', '.join(Role)}; each includes those before it. Without `auth.tokens` the gateway listens on "
        "loopback only, and everybody there may do everything.",
        "What a route is called in Python and on the command line: [parity](parity.md).",
    ]
    groups = sorted({route.group for route in ROUTES})
    for group in groups:
        own = [route for route in ROUTES if route.group == group]
        rows = [(f"`{r.method} {r.path}`", r.role.value if r.role else "open", r.summary) for r in own]
        parts += [f"## {group.capitalize()}", _table(("route", "role", "what"), rows)]
        details = [line for route in own for line in _route_details(route.method, route.path, document)]
        if details:
            parts.append("\n".join(details))
    return _page(parts)


def _route_details(method: str, path: str, document: Mapping[str, Any]) -> Iterator[str]:
    """One line each for what a route takes in its query and in its body."""
    operation = document["paths"][path][method.lower()]
    query = [_parameter(one["name"], one) for one in operation["parameters"] if one["in"] == "query"]
    if query:
        yield f"- `{method} {path}` query: {', '.join(query)}"
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        body = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        required = body.get("required", [])
        fields = [_parameter(name, {"required": name in required}) for name in body["properties"]]
        yield f"- `{method} {path}` body: {', '.join(fields)}"


def _parameter(name: str, declared: Mapping[str, Any]) -> str:
    return f"`{name}`" + (" (required)" if declared.get("required") else "")


# -- parity --------------------------------------------------------------------------------------------


def _parity() -> str:
    uses = [use for path in list_commands() for use in find_uses(path)]
    columns = ("Python", "HTTP", "command line")
    parts = [
        MADE.format(source="the three surfaces"),
        "# Parity",
        "Whatever can be done in Python can be done over [HTTP](http.md) and on the [command line](cli.md). A test "
        "fails on a gap that is not among those at the end of this page.",
        "## Methods",
        "Of `fedreg.client.interface.Client`, as `fedreg.open` and `fedreg.connect` give it.",
        _table(columns, [_parity_row(method, uses) for method in METHODS]),
        "## Parameters",
        "Fields in braces are part of the path; `route` chooses between two.",
        _table(
            ("Python", "HTTP", "command line"), [row for method in METHODS for row in _parameter_rows(method, uses)]
        ),
        "## What not every surface has",
    ]
    for title, table in (
        ("no command", reasons.COMMANDLESS),
        ("no method", reasons.METHODLESS),
        ("a command of this machine", reasons.OF_THIS_MACHINE),
        ("a parameter that is no field", reasons.FIELDLESS),
        ("a parameter that is no option", reasons.OPTIONLESS),
        ("a field that is no parameter", reasons.PARAMETERLESS),
        ("an option that is no parameter", reasons.PRINTING),
    ):
        parts.append(_table((title, "why"), [(f"`{name}`", why) for name, why in table.items()]))
    return _page(parts)


def _parity_row(method: str, uses: Sequence[Use]) -> tuple[str, str, str]:
    commands = [use.command for use in uses if use.method == method]
    return f"`{method}`", _marked(list_routes(method)), _marked(commands)


def _parameter_rows(method: str, uses: Sequence[Use]) -> Iterator[tuple[str, str, str]]:
    found = find_fields(method)
    for name in list_parameters(method):
        options = [option for use in uses if use.method == method for option in use.options.get(name, ())]
        yield f"`{method}` `{name}`", _marked(found[name]), _marked(options)


def _marked(names: Iterable[str]) -> str:
    return "<br>".join(f"`{name}`" for name in dict.fromkeys(names))


# -- errors --------------------------------------------------------------------------------------------


def _errors() -> str:
    base, *family = ERRORS.values()
    rows = [
        (
            f"`{kind.code}`",
            kind.__name__,
            str(kind.status),
            str(kind.exit_code),
            "yes" if kind.retryable else "no",
            " ".join((kind.__doc__ or "").split()),
        )
        for kind in family
    ]
    fields = signature(base).parameters
    own = _page(
        [
            MADE.format(source="`fedreg.domain.errors`"),
            "# Errors",
            "One family on every surface: a Python exception, problem+json over HTTP, one line and its cure on the "
            "command line. The second table is what each kind of bad input is answered with.",
            _table(("code", "Python", "HTTP", "exit", "retryable", "meaning"), rows),
            f"Anything unforeseen is `{base.code}` ({base.status}, exit {base.exit_code}).",
            f"Fields: `code`, `retryable`, {', '.join(f'`{name}`' for name in fields)}; absent ones are left out. "
            f"`outcome` says whether a failed write may have happened: {' or '.join(f'`{one}`' for one in Outcome)}.",
        ]
    )
    page = DOCS / "errors.md"
    _, marker, answers = (page.read_text(encoding="utf-8") if page.is_file() else "").partition(ANSWERS)
    return f"{own}\n{marker}{answers}" if marker else own


# -- configuration and adapters ------------------------------------------------------------------------


def _configuration(manifests: Mapping[str, AdapterManifest]) -> str:
    sections: tuple[tuple[str, type[Any]], ...] = (
        ("store", StoreSettings),
        ("auth", AuthSettings),
        ("auth.tokens[]", TokenSettings),
        ("server", ServerSettings),
        ("telemetry", TelemetrySettings),
        ("webhooks", WebhookSettings),
        ("audit", AuditSettings),
        ("audit.anchors[]", AnchorSettings),
        ("links.NAME", Link),
        ("links.NAME.members[]", LinkMember),
        ("registries.NAME.calls", CallPolicy),
    )
    kinds = ", ".join(f"[`{kind}`](adapters/{kind}.md)" for kind in manifests)
    parts = [
        MADE.format(source="the settings' dataclasses"),
        "# Configuration",
        "One YAML file: `--config FILE`, else `FEDREG_CONFIG`, else `./fedreg.yaml`. Relative paths start at the file. "
        "`${VAR}` is required, `${VAR:-default}` is not, `${file:PATH}` is a file's text, `$$` is a dollar sign. Any "
        "key can be overridden: `FEDREG__SERVER__PORT=9090`. An unknown key is refused, and the nearest valid one "
        "named. `fedreg config check` finds every mistake, `fedreg config show` prints what is used, secrets masked.",
        "Examples: [minimal](../config/minimal.yaml), [MLflow and SageMaker](../config/mlflow-sagemaker.yaml), "
        "[several gateways on PostgreSQL](../config/postgresql.yaml), "
        "[everything](../config/full.yaml). For editors: [JSON Schema](configuration.schema.json).",
        f"A registry has a `kind`, the options of that kind ({kinds}), `calls`, and `poll`: seconds "
        "between scans while the gateway is served, by default none. `stage_order` at the top says "
        "which stage counts where a version has several.",
    ]
    for name, section in sections:
        parts += [f"## {name}", _contract(section), _options_table(section)]
    return _page(parts)


def _adapter(manifest: AdapterManifest) -> str:
    install = f"`pip install 'fedreg[{manifest.extra}]'`" if manifest.extra else "nothing beyond fedreg itself"
    parts = [
        MADE.format(source=f"the manifest of kind `{manifest.kind}`"),
        f"# {manifest.title} (`kind: {manifest.kind}`)",
        f"To install: {install}.",
        "## Options",
        _contract(manifest.options),
        _options_table(manifest.options),
        "Every registry also takes [`calls`](../configuration.md#registriesnamecalls).",
    ]
    if manifest.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in manifest.notes)]
    proofs = _proofs(manifest)
    described = describe_capabilities(manifest.capabilities)
    described |= {name: "yes" for name in proofs if name not in described}
    rows = [(name, _code(text), spell_proofs(proofs.get(name, ()))) for name, text in described.items()]
    parts += [
        "## Capabilities",
        "What the kind can do at most; a registry may allow less, and `fedreg capabilities` shows what it does.",
        _table(("capability", manifest.kind, "proven by"), rows),
        *_quality(manifest),
    ]
    return _page(parts)


def _capabilities(manifests: Mapping[str, AdapterManifest]) -> str:
    proofs = {kind: _proofs(manifest) for kind, manifest in manifests.items()}
    access = {kind: [name for name in proofs[kind] if name.startswith("access ")] for kind in manifests}
    rows = capability_rows({kind: manifest.capabilities for kind, manifest in manifests.items()}, access)
    cells = [
        (name, *(mark_cell(_code(row[kind]), proofs[kind].get(name, ())) for kind in manifests))
        for row in rows
        for name in (row["capability"],)
    ]
    return _page(
        [
            MADE.format(source="the adapters' manifests"),
            "# Capabilities",
            "What each kind can do at most. `-` stands for what a registry can't do or hold, or does not limit. "
            "`fedreg capabilities` prints the same for configured registries, narrowed to what they allow.",
            "Each cell is marked with what saw it work; why a cell is unproven, the page of its kind says.",
            f"> {LEGEND}",
            _table(("capability", *(f"[{kind}](adapters/{kind}.md)" for kind in manifests)), cells),
        ]
    )


def _proofs(manifest: AdapterManifest) -> dict[str, Proofs]:
    return list_proofs(manifest.capabilities, load_ledger(manifest.kind))


def _quality(manifest: AdapterManifest) -> list[str]:
    """The adapter's ledger, where it keeps one."""
    module = import_module(BUILT_IN[manifest.kind].partition(":")[0])
    ledger = Path(str(module.__file__)).with_name("quality.yaml")
    if not ledger.is_file():
        return []
    text = ledger.read_text(encoding="utf-8")
    legend = "\n".join(line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), text.splitlines()))
    parts = ["## Quality", f"```text\n{legend}\n```"]
    for section, entries in yaml.safe_load(text).items():
        if not isinstance(entries, Mapping) or section in ("capabilities", "access"):  # they mark the table
            continue
        proven = any(isinstance(entry, list) for entry in entries.values())
        rows = [(str(name), _entry(entry)) for name, entry in entries.items()]
        parts += [f"### {str(section).capitalize()}", _table(("what", "proven by" if proven else "note"), rows)]
    return parts


def _entry(entry: Any) -> str:
    return ", ".join(str(item) for item in entry) if isinstance(entry, list) else str(entry)


def _options_table(options: type[Any]) -> str:
    rows = list(_option_rows(options, ""))
    return _table(("key", "type", "default"), rows) if rows else "It has no keys."


def _option_rows(options: type[Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    hints = get_type_hints(options)
    for field in dataclasses.fields(options):
        kind = hints[field.name]
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            yield from _option_rows(kind, f"{prefix}{field.name}.")
            continue
        secret = "" if field.repr else " **secret**"
        yield f"`{prefix}{field.name}`{secret}", _code(_type_name(kind)), _default(field)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return "required"
    return "" if value is None or value in ("", (), {}) else _code(_plain(value))


def _plain(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(_plain(item) for item in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(getattr(value, "value", value))


def _type_name(kind: Any) -> str:
    """A type as a YAML author reads it: `text`, `number`, `list of text`."""
    plain = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
        type(None): "null",
        Any: "any",
        Path: "file",
    }
    if kind in plain:
        return plain[kind]
    parts = [_type_name(part) for part in get_args(kind) if part not in (type(None), ...)]
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return " or ".join(parts)
    if origin is not None:
        return f"mapping of {parts[0]} to {parts[1]}" if issubclass(origin, Mapping) else f"list of {parts[0]}"
    if dataclasses.is_dataclass(kind):
        return "mapping"
    return " or ".join(member.value for member in kind)


# -- Markdown ------------------------------------------------------------------------------------------


def _contract(kind: type[Any]) -> str:
    """A docstring, without its indentation."""
    lines = (kind.__doc__ or "").strip().splitlines()
    return "\n".join(line.removeprefix("    ") for line in lines)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _code(text: str) -> str:
    """A regular expression or another text with marks of Markdown stands as code."""
    return f"`{text}`" if any(mark in text for mark in "*_\\[]<>#") else text


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
