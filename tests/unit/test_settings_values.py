"""Placeholders in values, and overrides from the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fedreg.domain.errors import ConfigError
from fedreg.settings import Settings, load_settings
from fedreg.settings.binding import bind_dataclass
from fedreg.settings.document import Document, parse_document
from fedreg.settings.interpolation import interpolate

Load = Callable[..., Settings]
MEMORY = "registries: {mem: {kind: memory}}\n"


def fill(text: str, env: Mapping[str, str], directory: Path = Path()) -> Document:
    document = parse_document(f"a: {text}", directory / "fedreg.yaml")
    interpolate(document, env)
    return document


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load_text(text: str, env: Mapping[str, str]) -> Settings:
        file = tmp_path / "fedreg.yaml"
        file.write_text(text)
        return load_settings(file, env)

    return load_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'${X}'", "one"),
        ("'http://${X}:${Y}/${X}'", "http://one:2/one"),
        ("'${GONE:-default}'", "default"),
        ("'${EMPTY:-default}'", "default"),
        ("'${GONE:-}'", ""),
        ("'${GONE:-a:-b c}'", "a:-b c"),
        ("'${EMPTY}'", ""),
        ("'$${X}'", "${X}"),
        ("'$$$$'", "$$"),
        ("'costs $5'", "costs $5"),
        ("['${X}', {b: '${Y}'}]", ["one", {"b": "2"}]),
    ],
)
def test_placeholders(text: str, expected: object) -> None:
    assert fill(text, {"X": "one", "Y": "2", "EMPTY": ""}).data["a"] == expected


def test_what_a_variable_holds_is_not_filled_again() -> None:
    assert fill("'${X}'", {"X": "${Y} $$"}).data["a"] == "${Y} $$"


def test_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2\n")
    assert fill("'${file:token}'", {}, tmp_path).data["a"] == "hunter2"
    assert fill(f"'${{file:{tmp_path}/token}}'", {}).data["a"] == "hunter2"


@pytest.mark.parametrize(
    ("text", "words", "cure"),
    [
        ("'${GONE}'", "variable GONE is not set", "${GONE:-default}"),
        ("'${file:gone}'", "gone can't be read (No such file", "check the path"),
        ("'${A B}'", "`${A B}` is no placeholder", "$$"),
        ("'${}'", "`${}` is no placeholder", "$$"),
        ("'${X'", "is not closed", "$$"),
        ("[b, '${GONE}']", "a[1]: variable GONE", "set it"),
    ],
)
def test_placeholders_that_can_not_be_filled(text: str, words: str, cure: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fill(text, {"X": "1"})
    assert caught.value.message.startswith("fedreg.yaml:1: a")
    assert words in caught.value.message
    assert cure in (caught.value.cure or "")


def test_a_filled_value_becomes_what_the_field_wants(load: Load) -> None:
    text = MEMORY + "server: {port: '${PORT:-9000}', shutdown_timeout: '${WAIT}'}\n"
    assert load(text, {"WAIT": "1.5"}).server.port == 9000
    assert load(text, {"WAIT": "1.5", "PORT": "9"}).server.shutdown_timeout == 1.5


def test_a_filled_text_stays_text(load: Load) -> None:
    text = "registries: {a: {kind: mlflow, url: http://x, token: '${T}'}}\n"
    assert load(text, {"T": "0123"}).registries["a"].options.token == "0123"


def test_an_empty_one_means_not_given_where_that_is_allowed(load: Load) -> None:
    text = "registries: {a: {kind: mlflow, url: http://x, token: '${T:-}'}}\n"
    assert load(text, {}).registries["a"].options.token is None


def test_a_filled_value_of_the_wrong_type_is_not_shown(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load(MEMORY + "server: {port: '${T}'}\n", {"T": "hunter2"})
    assert "'${T}' is not a whole number" in caught.value.message
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "read", "expected"),
    [
        ("FEDREG__SERVER__PORT", "9", lambda s: s.server.port, 9),
        ("FEDREG__SERVER__MAX_BODY", "10", lambda s: s.server.max_body, 10),
        ("fedreg__server__port", "9", lambda s: s.server.port, 9),
        ("FEDREG__REGISTRIES__SM_EU__REGION", "eu-west-3", lambda s: s.registries["sm-eu"].options.region, "eu-west-3"),
        ("FEDREG__REGISTRIES__SM_EU__CALLS__RATE", "2", lambda s: s.registries["sm-eu"].calls.rate, 2.0),
        ("FEDREG__REGISTRIES__NEW__KIND", "memory", lambda s: s.registries["new"].kind, "memory"),
        ("FEDREG__REGISTRIES__NEW", "{kind: memory}", lambda s: s.registries["new"].kind, "memory"),
        ("FEDREG__STAGE_ORDER", "[staging, qa]", lambda s: s.stage_order, ("staging", "qa")),
        ("FEDREG__AUTH__TOKENS__0__ROLES", "[admin]", lambda s: s.auth.tokens[0].roles, ("admin",)),
        ("FEDREG__REGISTRIES__SM_EU__PROFILE", "007", lambda s: s.registries["sm-eu"].options.profile, "007"),
        ("FEDREG__REGISTRIES__SM_EU__PROFILE", "${X}", lambda s: s.registries["sm-eu"].options.profile, "${X}"),
    ],
)
def test_overrides(load: Load, name: str, value: str, read: Callable[[Settings], object], expected: object) -> None:
    text = (
        "registries: {sm-eu: {kind: sagemaker, region: eu-west-1}}\n"
        f"auth: {{tokens: [{{subject: ci, sha256: '{'0' * 64}', roles: [reader]}}]}}\n"
    )
    assert read(load(text, {name: value, "FEDREG_URL": "http://elsewhere"})) == expected


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("FEDREG__SERVER__PORT", "nine", "FEDREG__SERVER__PORT: server.port: 'nine' is not a whole number"),
        ("FEDREG__SEVER__PORT", "9", "FEDREG__SEVER__PORT: sever: unknown key"),
        ("FEDREG__REGISTRIES__X__URL", "u", "FEDREG__REGISTRIES__X__URL: registries.x: 'kind' is missing"),
        ("FEDREG__SERVER____PORT", "9", "a part of the key is empty"),
        ("FEDREG__REGISTRIES__A_B__SPACE", "x", "'A_B' could mean a-b or a.b"),
        ("FEDREG__STAGE_ORDER__7", "x", "'7' is no item of a list of 1"),
        ("FEDREG__SERVER__HOST__X", "x", "'X' lies below a plain value"),
    ],
)
def test_overrides_that_fit_nothing_name_the_variable(load: Load, name: str, value: str, words: str) -> None:
    text = "registries: {a-b: {kind: memory}, a.b: {kind: memory}}\nstage_order: [qa]\nserver: {host: localhost}\n"
    with pytest.raises(ConfigError) as caught:
        load(text, {name: value})
    assert name in caught.value.message
    assert words in caught.value.message
    assert caught.value.cure


@dataclass(frozen=True)
class Certificates:
    ca: str = field(default="", metadata={"path": True})
    folder: Path = Path("/")
    name: str = "x"


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    document = parse_document("{ca: ca.pem, folder: certs, name: plain}", tmp_path / "fedreg.yaml")
    bound = bind_dataclass(document, Certificates, document.data, ())
    assert bound == Certificates(str(tmp_path / "ca.pem"), tmp_path / "certs", "plain")


def test_absolute_paths_stay(tmp_path: Path) -> None:
    document = parse_document("{ca: /etc/ca.pem}", tmp_path / "fedreg.yaml")
    assert bind_dataclass(document, Certificates, document.data, ()).ca == "/etc/ca.pem"
