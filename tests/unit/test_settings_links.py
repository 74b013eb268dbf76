"""Links of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedreg.domain.errors import ConfigError
from fedreg.domain.links import LinkMember, OnMissing
from fedreg.settings import Settings, load_settings

REGISTRIES = "registries: {dev: {kind: memory}, prod: {kind: memory}}\n"


def load(tmp_path: Path, link: str) -> Settings:
    file = tmp_path / "fedreg.yaml"
    file.write_text(f"{REGISTRIES}links:\n  churn: {link}\n")
    return load_settings(file, {})


def test_members_in_both_forms(tmp_path: Path) -> None:
    text = (
        "{members: ['dev:churn', {ref: 'prod:churn', stages: [production]}], authority: dev,"
        " stages: [staging, production], on_missing: copy}"
    )
    link = load(tmp_path, text).links["churn"]
    assert link.expanded == (LinkMember(ref="dev:churn"), LinkMember(ref="prod:churn", stages=("production",)))
    assert (link.authority, link.stages, link.on_missing) == ("dev", ("staging", "production"), OnMissing.COPY)


def test_a_template(tmp_path: Path) -> None:
    link = load(tmp_path, "{match: 'team-*', members: ['dev:{model}', 'prod:{model}'], authority: dev}").links["churn"]
    assert (link.match, [member.registry for member in link.expanded]) == ("team-*", ["dev", "prod"])


def test_two_members_of_one_registry_name_the_authority_in_full(tmp_path: Path) -> None:
    assert load(tmp_path, "{members: ['dev:a', 'dev:b'], authority: 'dev:a'}").links["churn"].authority == "dev:a"


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("{members: ['dev:a'], authority: dev}", "two or more"),
        ("{members: ['dev:a', 'dev:a'], authority: dev}", "two or more"),
        ("{members: ['dev:a', 'qa:a'], authority: dev}", "registry 'qa' of 'qa:a' is not configured"),
        ("{members: ['dev:a', 'prod'], authority: dev}", "'prod' has no model"),
        ("{members: ['dev:a', 'prod:a@3'], authority: dev}", "names a version"),
        ("{members: ['dev:a', 'prod:a'], authority: qa}", "authority 'qa' is not exactly one member"),
        ("{members: ['dev:a', 'dev:b'], authority: dev}", "authority 'dev' is not exactly one member"),
        ("{members: ['dev:a', 'prod:a'], authority: dev, stages: [Production]}", "'Production' is no stage"),
        ("{members: ['dev:a', {ref: 'prod:a', stages: [qa]}], authority: dev}", "has stage 'qa', the link has not"),
        ("{members: ['dev:a', 'prod:a'], authority: dev, match: 'team-*'}", "'dev:a' and `match` do not fit"),
        ("{members: ['dev:{model}', 'prod:{model}'], authority: dev}", "do not fit"),
        ("{members: ['dev:a', 'prod:a'], authority: dev, on_missing: cpy}", "'cpy' is none of copy, skip, fail"),
        ("{members: ['dev:a', {rf: 'prod:a'}], authority: dev}", "links.churn.members[1].rf: unknown key"),
        ("{members: ['dev:a', 'prod:a']}", "'authority' is missing"),
    ],
)
def test_links_that_can_not_be_meant(tmp_path: Path, link: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, link)
    assert f"{tmp_path / 'fedreg.yaml'}:3: links.churn" in caught.value.message
    assert words in caught.value.message
