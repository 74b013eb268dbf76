"""Links: those of the configuration and those made by API, and which of them concern a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from fedreg.domain.capabilities import Capabilities, Operation, check_alias
from fedreg.domain.errors import ConfigError, Conflict, FedregError, InvalidRequest, NotFound, Unsupported
from fedreg.domain.links import BoundLink, Link, OnMissing, bind_link, check_members
from fedreg.domain.records import Actor, Change
from fedreg.domain.refs import REGISTRY_NAME, Ref
from fedreg.domain.reports import LinkView
from fedreg.domain.stages import NONE
from fedreg.services.gateway import Gateway
from fedreg.services.rules import check_rules
from fedreg.store import journal
from fedreg.store import links as rows

CONFIGURATION, API = "configuration", "api"


@dataclass(frozen=True, slots=True)
class _Need:
    operation: Operation
    why: str


async def load_links(gateway: Gateway) -> dict[str, Link]:
    """All links by name; those of the configuration win."""
    return {**await _list_stored(gateway), **gateway.links}


async def _list_stored(gateway: Gateway) -> Mapping[str, Link]:
    """Those made by API; read once, until this process changes one, where no other can."""
    kept = gateway.kept_links
    if kept.found is not None:
        return kept.found
    changes = kept.changes
    stored = await gateway.store.read(rows.list_links)
    if gateway.store.is_sole and kept.changes == changes:
        kept.found = stored
    return stored


async def list_links(gateway: Gateway) -> list[LinkView]:
    """All links, by name, each with what its members can't honour."""
    return [await _view(gateway, name, link) for name, link in sorted((await load_links(gateway)).items())]


async def get_link(gateway: Gateway, name: str) -> LinkView:
    """One link. Raises NotFound."""
    found = (await load_links(gateway)).get(name)
    if found is None:
        raise NotFound(f"link {name!r} does not exist", cure="`fedreg link list` shows what there is")
    return await _view(gateway, name, found)


async def bound_links(gateway: Gateway, registry: str, model: str) -> list[BoundLink]:
    """The links that this model is a member of, by name."""
    found = [bind_link(name, link, registry, model) for name, link in sorted((await load_links(gateway)).items())]
    return [one for one in found if one is not None]


async def set_link(gateway: Gateway, name: str, link: Link, *, actor: Actor, reason: str | None = None) -> LinkView:
    """Make a link, or replace it.

    Raises InvalidRequest for a bad name or a member that is not configured, Conflict for a link of the configuration,
    Unsupported where a member can't honour it, naming the member and why.
    """
    _check_ours(gateway, name)
    try:
        check_members(link, gateway.registries.names())
    except ConfigError as error:
        raise InvalidRequest(f"link {name!r}: {error.message}", cure=error.cure) from error
    check_rules(link)
    problems = await list_problems(gateway, link)
    if problems:
        raise Unsupported(
            f"link {name!r} can't be honoured: {'; '.join(problems)}", cure="change the link, or leave that member out"
        )
    now = gateway.now()

    def commit(tx: Connection) -> None:
        before = rows.get_link(tx, name)
        rows.set_link(tx, name, link, now=now, actor=actor.subject)
        journal.append(tx, _change("link_set", name, before, link, actor, reason), now)

    await _write(gateway, commit)
    return await _view(gateway, name, link)


async def delete_link(gateway: Gateway, name: str, *, actor: Actor, reason: str | None = None) -> None:
    """Forget a link; what it has brought about stays. Raises NotFound, Conflict for a link of the configuration."""
    _check_ours(gateway, name)
    await get_link(gateway, name)
    now = gateway.now()

    def commit(tx: Connection) -> None:
        before = rows.get_link(tx, name)
        if rows.delete_link(tx, name):
            journal.append(tx, _change("link_deleted", name, before, None, actor, reason), now)

    await _write(gateway, commit)


async def _write(gateway: Gateway, commit: Callable[[Connection], None]) -> None:
    """Commit a change of links, and forget what was kept of them; a caller that gives up changes nothing in that."""

    async def write() -> None:
        await gateway.store.write(commit)
        gateway.kept_links.forget()

    await asyncio.shield(asyncio.ensure_future(write()))


async def list_problems(gateway: Gateway, link: Link) -> list[str]:
    """What members can't honour, a line each; a registry that can't be opened is judged by its kind's ceiling."""
    found: list[str] = []
    authority = next(m for m in link.expanded if link.authority in (m.ref, m.registry))
    for member in link.expanded:
        try:
            capabilities = await gateway.registries.capabilities(member.registry)
        except FedregError:
            capabilities = gateway.registries.manifest(member.registry).capabilities
        needs = _needs(link, source=member is authority)
        missing = [need for need in needs if not capabilities.supports(need.operation)]
        found += [f"{member.ref}: its registry has no {need.operation.value!r}, {need.why}" for need in missing]
        found += [f"{member.ref}: {problem}" for problem in _bad_words(link, capabilities, member.registry)]
    return found


def _needs(link: Link, *, source: bool) -> list[_Need]:
    needs = []
    if link.aliases:
        needs.append(_Need(Operation.SET_ALIAS, f"alias {link.aliases[0]!r} can't flow there"))
    if link.on_missing is OnMissing.COPY:
        both = link.direction.value == "both"
        if source or both:
            needs.append(_Need(Operation.OPEN_FILE, "nothing can be copied from there"))
        if not source or both:
            needs.append(_Need(Operation.UPLOAD, "nothing can be copied there"))
    return needs


def _bad_words(link: Link, capabilities: Capabilities, registry: str) -> list[str]:
    problems = []
    for alias in link.aliases if capabilities.supports(Operation.SET_ALIAS) else ():
        try:
            check_alias(alias, capabilities.limits, registry=registry)
        except InvalidRequest as error:
            problems.append(error.message)
    support = capabilities.stage_support(link.demote_to)
    if link.exclusive and link.demote_to != NONE and support is not None and support.exclusive:
        problems.append(f"demote_to {link.demote_to!r} is held by one version at most there, earlier holders need more")
    return problems


def _check_ours(gateway: Gateway, name: str) -> None:
    if not REGISTRY_NAME.fullmatch(name):
        raise InvalidRequest(
            f"link name {name!r} is no name", cure="use a-z, 0-9, '.', '_' and '-', 63 characters at most"
        )
    if name in gateway.links:
        raise Conflict(f"link {name!r} is the configuration's", cure="change it there, or use another name")


async def _view(gateway: Gateway, name: str, link: Link) -> LinkView:
    origin = CONFIGURATION if name in gateway.links else API
    return LinkView(name=name, link=link, origin=origin, problems=tuple(await list_problems(gateway, link)))


def _change(
    action: str, name: str, before: Link | None, after: Link | None, actor: Actor, reason: str | None
) -> Change:
    given = after or before
    place = None if given is None else Ref.parse(given.expanded[0].ref)
    return Change(
        action=action,
        registry=place.registry if place else "",
        model=place.model if place else "",
        actor=actor,
        before=None if before is None else {"link": name, **msgspec.to_builtins(before)},
        after=None if after is None else {"link": name, **msgspec.to_builtins(after)},
        reason=reason,
    )
