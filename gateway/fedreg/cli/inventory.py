"""`fedreg inventory`, `fedreg models` and `fedreg show`."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from operator import itemgetter
from typing import Any

import click

from fedreg.cli.exit_codes import PARTIAL
from fedreg.cli.output import Column, format_option, human_size, note, print_item, print_json, print_rows
from fedreg.cli.session import run_reading
from fedreg.cli.times import parse_time
from fedreg.client.interface import Client
from fedreg.domain.errors import InvalidRequest
from fedreg.domain.models import Model
from fedreg.domain.records import InventoryQuery, InventoryRow, Sort
from fedreg.domain.refs import Ref
from fedreg.domain.reports import Facets, Inventory, ModelView, VersionView

PAGE = 1000

COLUMNS = (
    Column("registry", lambda row: row.registry),
    Column("model", lambda row: row.model),
    Column("version", lambda row: row.version),
    Column("stage", lambda row: row.stage if row.stage != "none" else ""),
    Column("since", lambda row: row.stage_since),
    Column("since from", lambda row: row.stage_since_basis, wide=True),
    Column("set by", lambda row: row.set_by, wide=True),
    Column("approval", lambda row: row.approval if row.approval != "none" else ""),
    Column("approved by", lambda row: row.approved_by, wide=True),
    Column("approved at", lambda row: row.approved_at, wide=True),
    Column("aliases", lambda row: row.aliases),
    Column("digest", lambda row: (row.digest or "")[:19]),
    Column("digest from", lambda row: row.digest_basis, wide=True),
    Column("links", lambda row: row.links, wide=True),
    Column("observed", lambda row: row.observed_at, wide=True),
)
UNKNOWN = Column("unknown", lambda row: row.unknown)
MODEL_COLUMNS = (*COLUMNS[:3], Column("versions", lambda row: row.versions), *COLUMNS[3:])
LIVE_COLUMNS = (
    Column("model", lambda model: model.name),
    Column("native name", lambda model: model.native_name, wide=True),
    Column("aliases", lambda model: dict(model.aliases)),
    Column("tags", lambda model: dict(model.tags)),
    Column("created", lambda model: model.created_at),
    Column("description", lambda model: model.description, wide=True),
)


@click.command()
@click.option("--versions", is_flag=True, help="One line a version instead of one line a model.")
@click.option("--registry", "registries", multiple=True, metavar="R", help="Only this registry; may be repeated.")
@click.option("--stage", metavar="S", help="Only versions of this stage.")
@click.option("--model", metavar="GLOB", help="Only models whose name matches, as in 'team-*'.")
@click.option("--tag", metavar="K=V", help="Only versions with this tag.")
@click.option("--alias", metavar="A", help="Only versions with this alias.")
@click.option("--approval", metavar="D", help="Only versions with this decision.")
@click.option("--digest", metavar="D", help="Only versions with these bytes: sha256:…")
@click.option("--search", metavar="TEXT", help="Only models that mention a text.")
@click.option(
    "--sort",
    type=click.Choice([sort.value for sort in reversed(Sort)]),
    default=Sort.NAME.value,
    show_default=True,
    metavar="ORDER",
    help="name, stage_since, approved_at or observed_at; -stage_since has the latest first.",
)
@click.option("--as-of", metavar="TIME", help="What was there then, told from the journal: 2026-01-31T12:00:00Z.")
@click.option("--facets", is_flag=True, help="Count the versions that match by registry, stage and approval instead.")
@click.option("--refresh", is_flag=True, help="Scan the registries first.")
@click.option("--max-age", metavar="D", help="Scan those last scanned longer ago: 90s, 15m, 2h, 1d.")
@format_option
@click.pass_context
def inventory(
    ctx: click.Context,
    /,
    versions: bool,
    tag: str | None,
    refresh: bool,
    max_age: str | None,
    as_of: str | None,
    facets: bool,
    output: str,
    **filters: Any,
) -> int:
    """What there is, in all registries: one line a model, or a version with --versions.

    A registry never scanned is scanned first. One that is down does not fail the answer: exit code 4 and a
    note say that it is partial, and so is a registry that the journal does not cover at --as-of.
    """
    if as_of and (refresh or max_age):
        raise InvalidRequest("--as-of asks for the past, --refresh and --max-age for now", cure="give one of them")
    query = InventoryQuery(tag=_parse_tag(tag), limit=PAGE, as_of=parse_time("--as-of", as_of), **filters)
    if facets:
        if query.sort != Sort.NAME:
            raise InvalidRequest("--facets counts, and has no order", cure="leave --sort out")
        del filters["sort"]
        filters |= {"tag": query.tag, "as_of": query.as_of}
        _print_facets(run_reading(ctx, lambda client: client.facets(**filters)), output)
        return 0
    age = parse_age(max_age) if max_age else None
    page = run_reading(ctx, lambda client: _all_pages(client, query, versions, refresh, age))
    columns = COLUMNS if versions else MODEL_COLUMNS
    print_rows(page.items, columns if as_of is None else (*columns, UNKNOWN), output, name=_name)
    for covered in page.coverage:
        note(f"{covered.registry}: the journal covers it since {covered.since or 'never'}")
    for missing in page.partial:
        note(f"partial: {missing['registry']}: {missing['error']['message']}")
        if missing["error"].get("cure"):
            note(f"  cure: {missing['error']['cure']}")
    return PARTIAL if page.partial else 0


@click.command()
@click.argument("registry")
@click.option("--name", metavar="TEXT", help="Only models whose name has this in it.")
@format_option
@click.pass_context
def models(ctx: click.Context, registry: str, name: str | None, output: str) -> None:
    """A registry's models, read live; `fedreg inventory` answers from the index, and for all registries."""

    async def read(client: Client) -> list[Model]:
        return [model async for model in client.models(registry, name=name)]

    print_rows(run_reading(ctx, read), LIVE_COLUMNS, output, name=lambda model: str(model.ref))


@click.command()
@click.argument("ref")
@format_option
@click.pass_context
def show(ctx: click.Context, ref: str, output: str) -> None:
    """A model with its versions, or a version with its files, read live."""
    parsed = Ref.parse(ref)
    view = run_reading(ctx, lambda client: client.show(parsed))
    if output in ("json", "ndjson"):
        print_json(view)
    elif isinstance(view, ModelView):
        _print_model(view, output)
    else:
        _print_version(view, output)


def parse_age(text: str) -> timedelta:
    """`90s`, `15m`, `2h` or `1d` as a duration. Raises InvalidRequest."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if not found:
        raise InvalidRequest(f"--max-age {text!r} is no duration", cure="write it as 90s, 15m, 2h or 1d")
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[found.group(2)]
    return timedelta(**{unit: int(found.group(1))})


def _parse_tag(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InvalidRequest(f"--tag {text!r} is no pair", cure="write it as KEY=VALUE")
    return key, value


def _print_facets(facets: Facets, output: str) -> None:
    if output == "json":
        print_json(facets)
        return
    counts = (("registry", facets.registries), ("stage", facets.stages), ("approval", facets.approvals))
    rows = [{"facet": facet, "value": value, "versions": n} for facet, found in counts for value, n in found.items()]
    columns = [Column(name, itemgetter(name)) for name in ("facet", "value", "versions")]
    print_rows(rows, columns, output, name=lambda row: f"{row['facet']}:{row['value']}")


async def _all_pages(
    client: Client, query: InventoryQuery, versions: bool, refresh: bool, max_age: timedelta | None
) -> Inventory:
    page = await client.inventory(query, versions=versions, refresh=refresh, max_age=max_age)
    items, partial, cursor = list(page.items), page.partial, page.next_cursor
    while cursor is not None:
        page = await client.inventory(replace(query, cursor=cursor), versions=versions)
        items += page.items
        cursor = page.next_cursor
    return Inventory(items=tuple(items), partial=partial, as_of=page.as_of, coverage=page.coverage)


def _name(row: InventoryRow) -> str:
    ref = Ref(row.registry, row.model)
    return str(ref.at_version(row.version) if row.version else ref)


def _print_model(view: ModelView, output: str) -> None:
    model = view.model
    if output in ("table", "wide"):
        print_item(
            model,
            {
                "model": str(Ref(model.registry, model.name)),
                "native name": model.native_name if model.native_name != model.name else None,
                "description": model.description,
                "tags": dict(model.tags),
                "aliases": dict(model.aliases),
                "created": model.created_at,
            },
            output,
            name=model.name,
        )
        click.echo()
    columns = (
        Column("version", lambda v: v.version),
        Column("status", lambda v: v.status.value),
        Column("stage", lambda v: v.stage if v.stage != "none" else ""),
        Column("native stage", lambda v: v.native_stages),
        Column("approval", lambda v: v.approval.value if v.approval.value != "none" else ""),
        Column("aliases", lambda v: v.aliases),
        Column("created", lambda v: v.created_at),
        Column("description", lambda v: v.description, wide=True),
        Column("held by gateway", lambda v: v.held_by_gateway, wide=True),
    )
    print_rows(view.versions, columns, output, name=lambda v: str(Ref(v.registry, v.model).at_version(v.version)))


def _print_version(view: VersionView, output: str) -> None:
    version = view.version
    source = version.provenance
    fields = {
        "version": view.ref,
        "identity": version.identity,
        "status": version.status.value,
        "status message": version.status_message,
        "stage": version.stage,
        "native stages": version.native_stages,
        "approval": version.approval.value,
        "approval comment": version.approval_comment,
        "aliases": version.aliases,
        "tags": dict(version.tags),
        "description": version.description,
        "digest": f"{version.digest.value} ({version.digest.basis.value})" if version.digest else None,
        "metrics": dict(version.metrics),
        "params": dict(version.params),
        "artifact": version.artifact_uri,
        "run": source.run_id,
        "source": source.source_uri,
        "git": " ".join(part for part in (source.git_repository, source.git_commit) if part),
        "made by": source.created_by,
        "made at": source.created_at,
        "provenance": dict(source.extra),
        "created": version.created_at,
        "updated": version.updated_at,
        "held by gateway": version.held_by_gateway,
        "files": view.files_error,
    }
    print_item(view, fields, output, name=view.ref)
    if output in ("table", "wide") and view.files:
        click.echo()
        columns = (Column("size", lambda f: human_size(f.size)), Column("file", lambda f: f.path))
        print_rows(view.files, columns, output, name=lambda f: str(f.path))
