"""What can be done on one surface can be done on all three; what can't stands in `surfaces.reasons`, and only that."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import click
import msgspec
import pytest

import fedreg.cli.inventory
import fedreg.cli.operations
from fedreg.api.paging import PageQuery
from fedreg.api.routes import ROUTES
from fedreg.client.interface import Client
from fedreg.client.remote import RemoteClient
from surfaces import commands, methods, reasons, requests
from surfaces.commands import find_uses, list_commands, list_options
from surfaces.methods import METHODS, list_parameters
from surfaces.requests import find_fields, list_routes

USES = [use for path in list_commands() for use in find_uses(path)]


def used_routes() -> set[str]:
    return {route for method in METHODS for route in list_routes(method)}


def used_fields() -> set[str]:
    """`route field` for each field that a parameter of a method becomes; those of a path are the route's own."""
    return {
        f"{route} {name}"
        for method in METHODS
        for route in list_routes(method)
        for names in find_fields(method).values()
        for name in names
    }


def unused_fields() -> Iterator[str]:
    """Fields of query and body that no parameter becomes: `route field`, and of pages the field alone."""
    used = used_fields()
    for route in ROUTES:
        name = f"{route.method} {route.path}"
        for kind in (route.query, route.body) if name not in reasons.METHODLESS else ():
            fields = [field.encode_name for field in msgspec.structs.fields(kind)] if kind is not None else []
            paging = ("limit", "cursor") if issubclass(route.query, PageQuery) else ()
            unused = [field for field in fields if f"{name} {field}" not in used]
            yield from (field if field in paging else f"{name} {field}" for field in unused)


def options_of(method: str) -> set[str]:
    """The parameters of a method that some command lets one give."""
    return {name for use in USES if use.method == method for name in use.options}


def optionless() -> set[str]:
    """Parameters that no command gives, of methods that have one."""
    reached = {use.method for use in USES}
    return {
        f"{method}.{name}" for method in reached for name in list_parameters(method) if name not in options_of(method)
    }


def printing() -> set[str]:
    """Options that change nothing in what is asked for, of commands that ask."""
    found = set()
    for path in list_commands():
        uses = find_uses(path)
        effective = {word for use in uses for words in use.options.values() for word in words}
        effective |= {use.command.removeprefix(f"{path} ") for use in uses}
        found |= {f"{path} {option}" for option in list_options(path) if uses and option not in effective}
    return found


def without(names: set[str], listed: dict[str, str], last: Callable[[str], str]) -> set[str]:
    """The names that are not listed, in full or by their last part; those listed in vain are marked."""
    vain = {f"(in vain) {entry}" for entry in listed if not any(entry in (name, last(name)) for name in names)}
    return {name for name in names if not {name, last(name)} & listed.keys()} | vain


# -- methods, routes, commands ----------------------------------------------------------------------------


def test_every_method_has_a_route() -> None:
    known = {f"{route.method} {route.path}" for route in ROUTES}
    assert [method for method in METHODS if not list_routes(method)] == []
    assert used_routes() - known == set()


def test_every_method_has_a_command() -> None:
    assert METHODS.keys() - {use.method for use in USES} == reasons.COMMANDLESS.keys()


def test_every_route_has_a_method() -> None:
    assert {f"{route.method} {route.path}" for route in ROUTES} - used_routes() == reasons.METHODLESS.keys()


def test_every_command_works_at_a_gateway() -> None:
    assert {path for path in list_commands() if not find_uses(path)} == reasons.OF_THIS_MACHINE.keys()


# -- parameters, fields, options --------------------------------------------------------------------------


def test_every_parameter_becomes_a_field() -> None:
    missing = {f"{method}.{name}" for method in METHODS for name, found in find_fields(method).items() if not found}
    assert without(missing, reasons.FIELDLESS, lambda name: name.partition(".")[2]) == set()


def test_every_parameter_has_an_option() -> None:
    assert without(optionless(), reasons.OPTIONLESS, lambda name: name.partition(".")[2]) == set()


def test_every_field_is_a_parameter() -> None:
    assert without(set(unused_fields()), reasons.PARAMETERLESS, str) == set()


def test_every_option_is_a_parameter() -> None:
    assert without(printing(), reasons.PRINTING, lambda name: name.rpartition(" ")[2]) == set()


def test_every_parameter_was_tried() -> None:
    """The recorder saw each parameter of each method, so that none is compared with nothing."""
    assert {method: sorted(find_fields(method)) for method in METHODS} == {
        method: sorted(list_parameters(method)) for method in METHODS
    }


def test_every_reason_is_one() -> None:
    tables = [table for name, table in vars(reasons).items() if name.isupper() and isinstance(table, dict)]
    assert len(tables) == 7
    assert [entry for table in tables for entry, why in table.items() if len(why) < 10] == []


# -- that gaps are found ----------------------------------------------------------------------------------


def test_a_method_without_command_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "forgotten", Client.show)
    with pytest.raises(AssertionError, match="forgotten"):
        test_every_method_has_a_command()


def test_a_route_without_method_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    route = dataclasses.replace(ROUTES[0], path="/v1/forgotten")
    monkeypatch.setitem(globals(), "ROUTES", (*ROUTES, route))
    with pytest.raises(AssertionError, match="/v1/forgotten"):
        test_every_route_has_a_method()


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """`fedreg models` takes --name and does not pass it on."""

    def run_reading(ctx: click.Context, work: object) -> None:
        raise commands.Called("models", {"registry": ctx.params["registry"], "name": None})

    monkeypatch.setattr(fedreg.cli.inventory, "run_reading", run_reading)


def test_an_option_that_is_not_passed_on_is_found(forgetful: None) -> None:
    [use] = find_uses.__wrapped__("fedreg models")
    assert (use.method, use.options) == ("models", {"registry": ("REGISTRY",)})


def test_a_parameter_that_is_not_sent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def facets(self: RemoteClient, registries: object = (), **filters: object) -> object:
        return await self._http.get("/v1/facets", dict)

    monkeypatch.setattr(RemoteClient, "facets", facets)
    assert find_fields("facets")["registries"] == []


def test_a_request_that_no_route_answers_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def facets(self: RemoteClient, registries: object = (), **filters: object) -> object:
        return await self._http.get("/v1/facet", dict)

    monkeypatch.setattr(RemoteClient, "facets", facets)
    with pytest.raises(LookupError, match="no route is GET /v1/facet"):
        find_fields("facets")


def test_an_annotation_without_samples_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(methods.SAMPLES, "float")
    with pytest.raises(LookupError, match=r"doctor: .* no samples of 'float'"):
        find_fields("doctor")


@pytest.mark.parametrize(
    ("entry", "last"), [("a.b", "in full"), ("b", "by its last part"), ("c", None)], ids=["full", "part", "in vain"]
)
def test_what_a_reason_stands_for(entry: str, last: str | None) -> None:
    left = without({"a.b"}, {entry: "why"}, lambda name: name.partition(".")[2])
    assert left == (set() if last else {"a.b", "(in vain) c"})


def test_paths_are_read_from_the_source() -> None:
    """One of each way of writing them: a name, an f-string, a variable, an argument of a private method."""
    assert list_routes("version") == [f"GET {requests.remote.VERSION}"]
    assert list_routes("delete_alias") == [f"DELETE {requests.remote.MODEL}/aliases/{{alias}}"]
    assert "GET /v1/operations/{id}/events" in list_routes("copy")
    assert list_routes("promotions") == ["GET /v1/promotions"]
