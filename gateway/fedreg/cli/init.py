"""`fedreg init`: a commented configuration from what it finds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import click

from fedreg.cli.output import note
from fedreg.cli.session import refuse_url
from fedreg.domain.errors import AlreadyExists
from fedreg.settings.redaction import mask_url

HEAD = """\
# fedreg: which registries there are, and where the gateway keeps what it knows.
# Every value may use ${VAR}, ${VAR:-default} and ${file:/run/secrets/name}. `fedreg config check` finds mistakes.

# Links, intents, lineage and the journal are kept here; the index of models can always be rebuilt.
store: {url: "sqlite:///fedreg.db"}

# Without tokens the gateway listens on loopback only. Make a hash with: printf %s TOKEN | sha256sum
# auth:
#   tokens: [{subject: ci, sha256: "<64 hex digits>", roles: [operator]}]   # reader, operator, approver, admin

registries:
"""
MLFLOW = """\
  # {found}
  mlflow:
    kind: mlflow
    url: "{url}"
    token: "${{MLFLOW_TRACKING_TOKEN:-}}"
    stages: {{held_by: alias, map: {{production: champion}}}}   # production is the alias champion
"""
SAGEMAKER = """\
  # {found}
  sagemaker:
    kind: sagemaker
    region: {region}
{profile}    # artifact_root: "s3://BUCKET/fedreg"   # where copies go; without it none can arrive
    # inference: {{image: "ACCOUNT.dkr.ecr.{region}.amazonaws.com/IMAGE:TAG"}}
"""

HUGGINGFACE = """\
  # {found}
  hf:
    kind: huggingface
    namespace: YOUR-NAMESPACE                     # the user or organisation whose models these are
    token: "${{HF_TOKEN}}"
"""


@click.command()
@click.option("--path", type=click.Path(path_type=Path), default=Path("fedreg.yaml"), show_default=True)
@click.pass_context
def init(ctx: click.Context, path: Path) -> None:
    """Write a commented fedreg.yaml from what is found: MLFLOW_TRACKING_URI, an AWS region or profile, HF_TOKEN."""
    refuse_url(ctx)
    if path.exists():
        raise AlreadyExists(f"'{path}' exists", cure="name another file with --path, or edit it")
    path.write_text(render_config(os.environ, Path.home()))
    note(f"wrote {path}; edit it, then run `fedreg config check` and `fedreg registries`")
    click.echo(str(path))


def render_config(env: Mapping[str, str], home: Path) -> str:
    """The configuration's text. What was not found stands there as a comment, to be filled in."""
    return HEAD + _mlflow(env) + _sagemaker(env, home) + _huggingface(env)


def _mlflow(env: Mapping[str, str]) -> str:
    uri = env.get("MLFLOW_TRACKING_URI", "")
    if urlsplit(uri).scheme in ("http", "https"):
        # A password in the address stays in the environment.
        shown = uri if mask_url(uri) == uri else "${MLFLOW_TRACKING_URI}"
        return MLFLOW.format(found="from MLFLOW_TRACKING_URI", url=shown)
    return _as_comment(MLFLOW.format(found="MLFLOW_TRACKING_URI is not set to a server", url="http://127.0.0.1:5000"))


def _sagemaker(env: Mapping[str, str], home: Path) -> str:
    region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
    profile = env.get("AWS_PROFILE")
    has_files = (home / ".aws" / "config").exists() or (home / ".aws" / "credentials").exists()
    line = f"    profile: {profile}\n" if profile else ""
    text = SAGEMAKER.format(
        found="from the AWS settings of this machine" if region or profile or has_files else "no AWS settings found",
        region=region or "eu-west-1",
        profile=line,
    )
    return text if region or profile or has_files else _as_comment(text)


def _huggingface(env: Mapping[str, str]) -> str:
    """A comment in any case: which namespace is meant stands in no variable."""
    return _as_comment(HUGGINGFACE.format(found="HF_TOKEN is set" if env.get("HF_TOKEN") else "HF_TOKEN is not set"))


def _as_comment(text: str) -> str:
    lines = text.splitlines()
    return "".join(f"{line}\n" if line.lstrip().startswith("#") else f"  # {line[2:]}\n" for line in lines)
