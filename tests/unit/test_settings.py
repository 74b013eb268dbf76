"""Loading a configuration: what is read, what is refused, and what each refusal says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from fedreg.domain.errors import ConfigError
from fedreg.domain.stages import Holder
from fedreg.settings import Settings, find_config, load_settings
from fedreg.settings.sections import Role, check_exposure

SHA = hashlib.sha256(b"token").hexdigest()
MEMORY = "registries: {mem: {kind: memory}}\n"
Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Writes text as fedreg.yaml and loads it with the given environment only."""

    def load_text(text: str, env: Mapping[str, str] | None = None) -> Settings:
        file = tmp_path / "fedreg.yaml"
        file.write_text(text)
        return load_settings(file, env or {})

    return load_text


def refusal(load: Load, text: str, env: Mapping[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(text, env)
    return caught.value


def test_the_least_that_works(load: Load, tmp_path: Path) -> None:
    settings = load("registries:\n  prod: {kind: mlflow, url: 'http://mlflow:5000'}\n")
    assert settings.file == tmp_path / "fedreg.yaml"
    assert settings.store.url == f"sqlite:///{tmp_path}/fedreg.db"
    assert settings.registries["prod"].kind == "mlflow"
    assert asdict(settings.registries["prod"].options)["url"] == "http://mlflow:5000"
    assert settings.stage_order == ("production", "staging", "archived")
    assert (settings.server.host, settings.auth.tokens, settings.links) == ("127.0.0.1", (), {})


def test_nested_options_and_calls(load: Load) -> None:
    entry = load(
        "registries:\n  prod:\n    kind: mlflow\n    url: http://x\n"
        "    stages: {held_by: alias, map: {production: champion}}\n    calls: {rate: 5, max_attempts: 2}\n"
    ).registries["prod"]
    assert entry.options.stages.held_by is Holder.ALIAS
    assert entry.options.stages.map == {"production": "champion"}
    assert (entry.calls.rate, entry.calls.max_attempts, entry.calls.deadline) == (5.0, 2, 30.0)


def test_callers_and_their_roles(load: Load) -> None:
    text = f"auth: {{tokens: [{{subject: ci, sha256: '{SHA}', roles: [operator, reader], registries: [mem]}}]}}\n"
    (token,) = load(MEMORY + text).auth.tokens
    assert (token.subject, token.roles, token.registries) == ("ci", (Role.OPERATOR, Role.READER), ("mem",))


def test_a_section_with_nothing_in_it_is_an_empty_one(load: Load) -> None:
    settings = load(MEMORY + "auth:\nserver:\nlinks:\n")
    assert (settings.auth.tokens, settings.server.port, settings.links) == ((), 8080, {})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///data/x.db", "sqlite:///{dir}/data/x.db"),
        ("sqlite:////var/x.db", "sqlite:////var/x.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite://", "sqlite://"),
        ("postgresql://u:p@h/db", "postgresql://u:p@h/db"),
    ],
)
def test_a_relative_store_lies_beside_the_file(load: Load, tmp_path: Path, url: str, expected: str) -> None:
    assert load(MEMORY + f"store: {{url: '{url}'}}\n").store.url == expected.format(dir=tmp_path)


def test_merge_keys_and_anchors(load: Load) -> None:
    settings = load(
        "registries:\n  a: &base {kind: memory, space: one, calls: {rate: 1}}\n  b: {<<: *base, space: two}\n"
    )
    assert [entry.options.space for entry in settings.registries.values()] == ["one", "two"]
    assert settings.registries["b"].calls.rate == 1


@pytest.mark.parametrize(
    ("text", "line", "key", "words", "cure"),
    [
        (MEMORY + "sotre: {}\n", 2, "sotre", "unknown key", "did you mean 'store'?"),
        ("registries:\n  a: {kind: mlflow, ulr: x}\n", 2, "registries.a.ulr", "unknown key", "'url'"),
        ("registries:\n  a: {kind: mlflo}\n", 2, "registries.a.kind", "'mlflo' is unknown", "'mlflow'"),
        ("registries:\n  a: {url: x}\n", 2, "registries.a", "'kind' is missing", "kind: mlflow"),
        ("registries:\n  a:\n", 2, "registries.a", "'kind' is missing", "kind: mlflow"),
        ("registries:\n  a: {kind: mlflow}\n", 2, "registries.a", "'url' is missing", "add `url"),
        ("registries:\n  A b: {kind: memory}\n", 2, "registries.A b", "no registry name", "a-z"),
        ("registries:\n  a: {kind: memory, space: 5}\n", 2, "registries.a.space", "'5' is not text", "quotes"),
        ("registries:\n  a: {kind: memory, calls: {rate: x}}\n", 2, "registries.a.calls.rate", "'x' is not", "number"),
        ("registries:\n  a: {kind: memory, calls: {rate: 0}}\n", 2, "registries.a.calls", "rate: 0", "above 0"),
        ("registries:\n  a: {kind: memory, calls: {rte: 1}}\n", 2, "registries.a.calls.rte", "unknown key", "'rate'"),
        (
            "registries:\n  a:\n    kind: memory\n    stages: {held_by: alais}\n",
            4,
            "registries.a.stages.held_by",
            "'alais' is none of",
            "'alias'",
        ),
        (MEMORY + "server:\n  port: true\n", 3, "server.port", "'True' is not a whole number", "whole number"),
        (MEMORY + "server: {port: 70000}\n", 2, "server", "port 70000", "65535"),
        (MEMORY + "server: [1]\n", 2, "server", "a list is not a mapping", "mapping"),
        (MEMORY + "stage_order: production\n", 2, "stage_order", "not a list", "list"),
        (MEMORY + "server:\n  host: 0.0.0.0\n", 3, "server.host", "'0.0.0.0' can be reached", "auth.tokens"),
        (MEMORY + "server:\n  port: 1\n  port: 2\n", 4, "server.port", "given twice, first in line 3", "remove"),
        (MEMORY + "server:\n  1: 2\n", 3, "server.1", "read as 1", "quotes"),
        ("registries: {}\n", 1, "registries", "no registry is configured", "fedreg init"),
    ],
)
def test_a_refusal_names_file_line_key_and_cure(
    load: Load, tmp_path: Path, text: str, line: int, key: str, words: str, cure: str
) -> None:
    error = refusal(load, text)
    assert error.message.startswith(f"{tmp_path / 'fedreg.yaml'}:{line}: {key}: ")
    assert words in error.message
    assert cure in (error.cure or "")
    assert error.details["key"] == key


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("{subject: ci, sha256: hunter2, roles: [admin]}", "64 characters"),
        (f"{{subject: ci, sha256: '{SHA}', roles: []}}", "roles is empty"),
        (f"{{subject: '', sha256: '{SHA}', roles: [admin]}}", "subject is empty"),
        (f"{{subject: ci, sha256: '{SHA}', roles: [boss]}}", "'boss' is none of"),
        (f"{{subject: ci, sha256: '{SHA}', roles: [admin], registries: [meme]}}", "'meme' is not configured"),
        (
            f"{{subject: a, sha256: '{SHA}', roles: [admin]}}, {{subject: b, sha256: '{SHA}', roles: [admin]}}",
            "a and b",
        ),
        ("{subject: ci, sha256: 1234567, roles: [admin]}", "*** is not text"),
    ],
)
def test_callers_that_can_not_be_meant(load: Load, token: str, words: str) -> None:
    error = refusal(load, MEMORY + f"auth: {{tokens: [{token}]}}\n")
    assert words in error.message
    assert "auth" in error.message
    assert not {"hunter2", "1234567"} & set(str(error).split("'"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- a\n", "is not a mapping"),
        ("just text\n", "is not a mapping"),
        ("registries: {a: [}\n", ":1: is not YAML"),
        ("a: b: c\n", ":1: is not YAML: mapping values are not allowed here"),
        ("a: !python/object:os.system x\n", ":1: is not YAML: could not determine a constructor"),
        ("a: \x00\n", "is not YAML"),
        ("---\na: 1\n---\nb: 2\n", "is not YAML"),
        ("a: &a [*a]\n", "nested too deeply"),
    ],
)
def test_what_is_no_configuration(load: Load, tmp_path: Path, text: str, words: str) -> None:
    error = refusal(load, text)
    assert error.message.startswith(str(tmp_path / "fedreg.yaml"))
    assert words in error.message
    assert error.cure


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_settings(tmp_path / "c.yaml", {})


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load_settings(tmp_path, {})


def test_the_flag_beats_the_environment_and_that_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "fedreg.yaml").touch()
    named = {"FEDREG_CONFIG": "named.yaml"}
    assert find_config(Path("flag.yaml"), named, tmp_path) == Path("flag.yaml")
    assert find_config(None, named, tmp_path) == Path("named.yaml")
    assert find_config(None, {}, tmp_path) == tmp_path / "fedreg.yaml"


def test_no_configuration_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_config(None, {}, tmp_path)
    assert "fedreg init" in (caught.value.cure or "")
    assert "--config" in (caught.value.cure or "")


def test_a_named_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_settings(None, {"FEDREG_CONFIG": str(tmp_path / "gone.yaml")})


@pytest.mark.parametrize(("host", "fine"), [("127.0.0.9", True), ("::1", True), ("localhost", True), ("mybox", False)])
def test_without_callers_only_loopback(load: Load, host: str, fine: bool) -> None:
    auth = load(MEMORY).auth
    if fine:
        check_exposure(auth, host)
    else:
        with pytest.raises(ConfigError, match=host):
            check_exposure(auth, host)


def test_secrets_are_shown_nowhere(load: Load) -> None:
    settings = load(
        "store: {url: 'postgresql://fed:hunter2@db/x?password=hunter2'}\n"
        "registries:\n  a: {kind: mlflow, url: 'http://me:hunter2@x', token: hunter2}\n"
        f"auth: {{tokens: [{{subject: ci, sha256: '{SHA}', roles: [admin]}}]}}\n"
    )
    shown = settings.redacted()
    assert settings.registries["a"].options.token == "hunter2"
    assert "hunter2" not in str(shown)
    assert SHA not in str(shown) + repr(settings)
    assert "hunter2" not in repr(settings.store)
    assert shown["registries"]["a"]["token"] == "***"
    assert shown["registries"]["a"]["url"] == "http://me:***@x"
    assert shown["store"]["url"] == "postgresql://fed:***@db/x?password=***"


def test_a_secret_of_the_wrong_type_is_not_shown(load: Load) -> None:
    error = refusal(load, "registries:\n  a: {kind: mlflow, url: http://x, token: 12345678}\n")
    assert error.message.endswith("registries.a.token: *** is not text")
    assert error.cure == "put it in quotes"
