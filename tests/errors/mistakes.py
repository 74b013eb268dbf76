"""Mistakes in a configuration: what is written, what the message must name, what its cure must say."""

from __future__ import annotations

from dataclasses import dataclass

from .world import SECRET


@dataclass(frozen=True)
class Mistake:
    """`text` is the whole file."""

    text: str
    names: tuple[str, ...]
    cure: str


LEFT = "registries:\n  left: {kind: memory, space: mine}\n"

MISTAKES: dict[str, Mistake] = {
    "misspelt section": Mistake("registrys: {}\n", ("fedreg.yaml:1", "registrys", "unknown key"), "registries"),
    "misspelt key of a registry": Mistake(
        "registries:\n  left: {kind: memory, spcae: mine}\n", ("fedreg.yaml:2", "registries.left.spcae"), "space"
    ),
    "unknown key of a registry": Mistake(
        "registries:\n  left: {kind: memory, colour: red}\n", ("fedreg.yaml:2", "registries.left.colour"), "space"
    ),
    "key of the wrong type": Mistake(
        f"server: {{port: many}}\n{LEFT}", ("fedreg.yaml:1", "server.port", "many"), "whole number"
    ),
    "secret in the wrong place": Mistake(
        f"registries:\n  prod: {{kind: mlflow, url: 'http://127.0.0.1', token: ['{SECRET}']}}\n",
        ("fedreg.yaml:2", "registries.prod.token"),
        "text",
    ),
    "unknown kind of registry": Mistake(
        "registries:\n  prod: {kind: mlfow}\n", ("fedreg.yaml:2", "registries.prod.kind", "mlfow"), "mlflow"
    ),
    "missing key": Mistake("registries:\n  prod: {kind: mlflow}\n", ("fedreg.yaml:2", "url", "missing"), "url"),
    "missing variable": Mistake(
        "registries:\n  prod: {kind: mlflow, url: '${FEDREG_TEST_URL}'}\n",
        ("fedreg.yaml:2", "registries.prod.url", "FEDREG_TEST_URL", "not set"),
        "${FEDREG_TEST_URL:-default}",
    ),
    "missing file of a secret": Mistake(
        "registries:\n  prod: {kind: mlflow, url: 'http://127.0.0.1', token: '${file:token.txt}'}\n",
        ("fedreg.yaml:2", "registries.prod.token", "token.txt"),
        "check the path",
    ),
    "file that is not YAML": Mistake(f"registries: [\n  {SECRET}: : x\n", ("fedreg.yaml:2", "not YAML"), "correct"),
    "file that is empty": Mistake("", ("fedreg.yaml", "empty"), "fedreg init"),
    "file without registries": Mistake("registries: {}\n", ("registries", "no registry"), "fedreg init"),
    "unknown registry in a link": Mistake(
        f"{LEFT}links:\n  churn: {{members: ['left:churn', 'rihgt:churn'], authority: left}}\n",
        ("links.churn", "rihgt"),
        "left",
    ),
    "store of an unknown kind": Mistake(
        f"store: {{url: 'mysql://localhost/fedreg'}}\n{LEFT}", ("store.url", "mysql"), "sqlite:///"
    ),
    "store in a folder that is not there": Mistake(
        f"store: {{url: 'sqlite:///gone/fedreg.db'}}\n{LEFT}", ("store.url", "gone/fedreg.db"), "create the folder"
    ),
    "store on PostgreSQL without a database": Mistake(
        f"store: {{url: 'postgresql://fedreg:{SECRET}@127.0.0.1'}}\n{LEFT}", ("store.url", "no database"), "/database"
    ),
    "store on PostgreSQL with an @ in its password": Mistake(
        f"store: {{url: 'postgresql://fedreg:a@{SECRET}@127.0.0.1/db'}}\n{LEFT}", ("store.url", "@"), "%40"
    ),
    "store on a PostgreSQL server that is not there": Mistake(
        f"store: {{url: 'postgresql://fedreg:{SECRET}@127.0.0.1:9/fedreg'}}\n{LEFT}",
        ("store.url", "127.0.0.1", "refused"),
        "server runs",
    ),
    "link with one member": Mistake(
        f"{LEFT}links:\n  churn: {{members: ['left:churn'], authority: left}}\n", ("links.churn", "members"), "member"
    ),
    "gate in the configuration with a rule that is no expression": Mistake(
        "registries:\n  left: {kind: memory}\n  right: {kind: memory}\nlinks:\n  churn:\n"
        "    members: ['left:churn', 'right:churn']\n    authority: left\n"
        "    gate: {rules: [{name: tested, expression: 'version.tags = 1'}]}\n",
        ("links.churn", "rule 'tested'"),
        "cel.dev",
    ),
}
