"""Where a version came from, as its record and its model card say: run, code, base models, datasets."""

from __future__ import annotations

from fedreg.domain.lineage import Edge, Node, NodeKind, Relation, version_node
from fedreg.domain.models import Version
from fedreg_adapters.huggingface.cards import split_list


def list_edges(version: Version) -> list[Edge]:
    """Edges into the version. A base model's node says how it was used (finetune, adapter, quantized, merge)."""
    node, known = version_node(version), version.provenance
    edges = []
    if known.run_id:
        run = Node(key=f"run:{version.registry}:{known.run_id}", kind=NodeKind.RUN, label=known.run_id)
        edges.append(Edge(source=run, target=node, relation=Relation.PRODUCED_BY))
    if known.git_commit:
        place = f"{known.git_repository or ''}@{known.git_commit}"
        code = Node(key=f"code:{place}", kind=NodeKind.CODE, label=place)
        edges.append(Edge(source=code, target=node, relation=Relation.USED))
    how = known.extra.get("base_model_relation")
    for name in split_list(known.extra.get("base_model", "")):
        base = Node(
            key=f"huggingface:model:{name}",
            kind=NodeKind.MODEL,
            label=name,
            attributes={"relation": how} if how else {},
        )
        edges.append(Edge(source=base, target=node, relation=Relation.DERIVED_FROM))
    for name in split_list(known.extra.get("datasets", "")):
        data = Node(key=f"huggingface:dataset:{name}", kind=NodeKind.DATASET, label=name)
        edges.append(Edge(source=data, target=node, relation=Relation.USED))
    return edges
