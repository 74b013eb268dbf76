"""huggingface_hub: repositories with model cards, tagged."""

from __future__ import annotations

import json
import struct

from huggingface_hub import CommitOperationAdd, HfApi, ModelCard, ModelCardData

from fedreg.sandbox.servers import NAMESPACE

BASE = f"{NAMESPACE}/mini-bert"
TEXT = "---\n{metadata}\n---\n# {title}\n\n{about}\n"


def seed() -> str:
    """Push a base model, and one fine-tuned from it, as its card says."""
    _push(BASE, ModelCardData(license="mit", language="en"), "Four layers, trained on mail.", 0.5)
    tuned = ModelCardData(license="mit", base_model=BASE, pipeline_tag="text-classification")
    _push(f"{NAMESPACE}/intents", tuned, "What a customer's mail is about.", 0.25)
    return "huggingface_hub: pushed mini-bert v1 and intents v1, which is fine-tuned from it"


def show(model: str, revision: str) -> str:
    """What HfApi says of a revision: its commit, the refs that are there too, and what its card says."""
    api, repo = HfApi(), f"{NAMESPACE}/{model}"
    commit, refs = api.model_info(repo, revision=revision).sha, api.list_repo_refs(repo)
    here = {
        "branches": sorted(each.name for each in refs.branches if each.target_commit == commit),
        "tags": sorted(each.name for each in refs.tags if each.target_commit == commit),
    }
    return json.dumps({"repository": repo, "revision": revision, "commit": commit, **here}, indent=1)


def _push(repo: str, metadata: ModelCardData, about: str, weight: float) -> None:
    api = HfApi()
    api.create_repo(repo, private=True)
    card = ModelCard(TEXT.format(metadata=metadata.to_yaml(), title=repo, about=about))
    files = {
        "README.md": str(card).encode(),
        "config.json": json.dumps({"model_type": "bert", "num_hidden_layers": 4}).encode(),
        "model.safetensors": _safetensors([weight] * 256),
    }
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    made = api.create_commit(repo, operations=operations, commit_message="Trained")
    api.create_tag(repo, tag="v1", revision=made.oid)


def _safetensors(values: list[float]) -> bytes:
    """One tensor in the format of safetensors: the length of a header, the header, and the numbers."""
    data = struct.pack(f"<{len(values)}f", *values)
    entry = {"dtype": "F32", "shape": [len(values)], "data_offsets": [0, len(data)]}
    header = json.dumps({"classifier.weight": entry}).encode()
    return struct.pack("<Q", len(header)) + header + data
