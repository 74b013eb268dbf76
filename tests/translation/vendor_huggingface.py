"""The Hub through huggingface_hub."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from huggingface_hub import CommitOperationAdd, HfApi, ModelCard, snapshot_download

from .facts import ALIASES, AWKWARD, CARD, FILES, NAME, STAGE, Found, Vendor, flat

STAGES = ("production", "staging")
FACTS = ("license", "base_model", "datasets", "tags")


class Hub(Vendor):
    title: ClassVar[str] = "Hugging Face Hub"
    places: ClassVar[Mapping[str, str]] = {
        "description": "record in the commit's message; the model card shows it",
        "metrics": "record in the commit's message; the model card shows them",
        "params": "record in the commit's message; the model card shows them",
        "provenance": "record in the commit's message; the model card shows it",
        "stage": "a branch of the stage's name",
        "aliases": "branches",
        "files": "files of the tagged commit",
    }

    def __init__(self, url: str, token: str, namespace: str) -> None:
        self.url, self.token, self.namespace = url, token, namespace
        self.api = HfApi(endpoint=url, token=token)

    def seed(self) -> tuple[str, str]:
        repo = f"{self.namespace}/{NAME}"
        self.api.create_repo(repo, private=True)
        given = {**FILES, **AWKWARD, "README.md": CARD.encode()}
        operations = [CommitOperationAdd(path, data) for path, data in given.items()]
        made = self.api.create_commit(repo, operations=operations, commit_message="by hand")
        self.api.create_tag(repo, tag="v1", revision=made.oid)
        for branch in (STAGE, ALIASES[0]):
            self.api.create_branch(repo, branch=branch, revision=made.oid)
        return NAME, "v1"

    def names(self) -> set[str]:
        return {model.id.partition("/")[2] for model in self.api.list_models(author=self.namespace)}

    def read(self, model: str, version: str) -> Found:
        repo = f"{self.namespace}/{model}"
        refs = self.api.list_repo_refs(repo)
        [commit] = [tag.target_commit for tag in refs.tags if tag.name == version]
        heads = {branch.name for branch in refs.branches if branch.target_commit == commit and branch.name != "main"}
        top = self.api.list_repo_commits(repo, revision=version)[0]
        record = _record(top.message)
        files = self.files(model, version)
        shown = _card_facts(files.get("README.md"))
        if record.get("card"):
            del files["README.md"]
        known = record.get("provenance", {})
        extra = {**shown["extra"], **known.pop("extra", {})}
        moment = known.pop("created_at", None)
        own = {
            "source_uri": f"hf://{repo}@{commit}",
            "created_by": None if "copied_from" in extra else top.authors[0],
            **known,
            "created_at": datetime.fromisoformat(moment) if moment else top.created_at,
            **{f"extra.{name}": value for name, value in extra.items()},
        }
        fields = flat(
            description=record.get("description"),
            metrics=record.get("metrics", {}) if record else shown["metrics"],
            params=record.get("params", {}),
            provenance={name: value for name, value in own.items() if value},
            stage=next((name for name in STAGES if name in heads), None),
            aliases={name: True for name in heads if name not in STAGES},
        )
        return Found(fields=fields, files=files, spelled={"model": model})

    def files(self, model: str, version: str) -> dict[str, bytes]:
        """Every file but the Hub's own `.gitattributes`."""
        with TemporaryDirectory() as directory:
            root = Path(directory) / "files"
            snapshot_download(
                f"{self.namespace}/{model}",
                revision=version,
                endpoint=self.url,
                token=self.token,
                cache_dir=Path(directory) / "cache",
                local_dir=root,
            )
            found = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        return {p: data for p, data in found.items() if p != ".gitattributes" and not p.startswith(".cache/")}


def _record(message: str) -> dict[str, Any]:
    found = re.search(r"^Fedreg-Record: (.+)$", message, re.MULTILINE)
    content: dict[str, Any] = json.loads(found.group(1)) if found else {}
    return content


def _card_facts(data: bytes | None) -> dict[str, dict[str, Any]]:
    if data is None:
        return {"extra": {}, "metrics": {}}
    card: Any = ModelCard(data.decode(), ignore_metadata_errors=True).data
    held = {name: card.get(name) for name in FACTS}
    extra = {name: ", ".join(v) if isinstance(v, list) else v for name, v in held.items() if v}
    return {"extra": extra, "metrics": {r.metric_type: r.metric_value for r in card.eval_results or ()}}
