"""docs/translation.md: what becomes of every field between any two registries. `make docs` writes it anew."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from .copies import PAIRS, Copied, Pair
from .facts import Vendor
from .world import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "translation.md"
GROUPS = (
    "description",
    "tags",
    "metrics",
    "params",
    "provenance",
    "stage",
    "aliases",
    "approval",
    "approval_comment",
    "model.description",
    "model.tags",
)
HEADER = """\
<!-- Made by tests/translation: `make docs` writes it, `make test` compares. -->
# Translation between registries

What arrives when a version is copied from one registry into another, for every ordered pair of kinds, the same kind
included. In each of these runs a version was made at the source through the vendor's own SDK, holding all of fedreg's
model that the registry has a place for; it was moved with `fedreg migrate --with stages,aliases,approval`; then both
ends were read through the vendors' SDKs, and what differs was held against what fedreg had announced. The report of the
dry run, the report of the run and this page name the same fields, no more and no fewer. MLflow was a real server, the
others their stand-ins.

## Where a registry keeps a field

As its vendor's own tools show it. Without an entry the registry has no place for it, and the gateway keeps it.

"""
PAIRS_HEADER = """
## The 36 pairs

- **at the registry**: there for everybody who uses the vendor's own tools, with the same value.
- **held by the gateway**: the registry can't hold it; fedreg shows it, finds it and takes it along on the way home.
- **lost**: named by the dry run, and refused without `--allow-lossy`.
- **spelled otherwise**: there, under a name that the registry allows; fedreg shows the name as it was.

The files arrived byte for byte in every pair, names in other scripts, empty and nested ones included; so did the
sources' own model cards (`README.md`), which are files like others. The names are those of reports: `tags.team` is the
tag `team`, `metrics` stands for all of them. What a registry refuses depends on the text, and
[capabilities](capabilities.md) has each registry's limits; so these were among what was tried:

- `tags.Owner Name` is `Ada & Bob`, `model.tags.Cost Center` is `R&D`; Azure ML's sources have tags `2nd team` and
  `R&D`, too, and a metric `recall@5 (macro)`.
- `model.description` has 1,320 characters, where the source holds so many.
- `metrics.noise` is not a number. A copy carries finite ones only, even to where it could stand.
- `aliases._shadow` begins with an underscore, and there is a file `data/100% #1.txt`.
- The target model is called `copies/churn of KIND`, which `model` is about.

| from | to | at the registry | held by the gateway | lost | spelled otherwise |
| --- | --- | --- | --- | --- | --- |
"""
FOOTER = """
## What is not translated

What has no place in fedreg's model stays behind, and no report speaks of it: how a registry serves a version (image,
content types, environment, instance types), endpoints and deployments, permissions, comments on a version other than
an approval's, schedules. A model's signature, its requirements and its example are in its files (`MLmodel`) and arrive
with them. The source's run, URI, commit, author and creation time arrive as provenance, with `copied_from`; the edges
of the source's own lineage are reached through it (`fedreg lineage`), not copied.

Into a model that is there already, its own description and tags stay as they are.
"""


def is_writing() -> bool:
    """Whether this run writes the page instead of comparing with it."""
    return bool(os.environ.get("FEDREG_WRITE_DOCS"))


def render_row(pair: Pair, copied: Copied) -> str:
    """The line of a pair."""
    outcome, fields = copied.outcome, copied.source.fields
    cells = (
        ", ".join(("files", *_grouped(outcome.arrived, fields))),
        _listed(_grouped(outcome.held, fields)),
        _listed(_grouped(outcome.lost, fields)),
        _listed(f"`{name}`" for name in sorted(outcome.spelled)),
    )
    return f"| {pair[0]} | {pair[1]} | {' | '.join(cells)} |"


def read_rows() -> dict[Pair, str]:
    """The lines of the page by pair."""
    if not PAGE.exists():
        return {}
    found: dict[Pair, str] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:3]]
        if len(cells) == 2 and cells[0] in KINDS and cells[1] in KINDS:
            found[cells[0], cells[1]] = line
    return found


def render_page(vendors: Mapping[str, Vendor], rows: Mapping[Pair, str]) -> str:
    """The whole page."""
    lines = "".join(f"{rows[pair]}\n" for pair in PAIRS if pair in rows)
    return HEADER + _places(vendors) + PAIRS_HEADER + lines + FOOTER


def write_page(vendors: Mapping[str, Vendor], rows: Mapping[Pair, str]) -> None:
    PAGE.write_text(render_page(vendors, rows), encoding="utf-8")


def _places(vendors: Mapping[str, Vendor]) -> str:
    names = [name for name in (*GROUPS, "files") if any(name in vendor.places for vendor in vendors.values())]
    head = f"| | {' | '.join(f'{vendor.title} (`{kind}`)' for kind, vendor in vendors.items())} |\n"
    rows = (f"| {name} | {' | '.join(vendor.places.get(name, '') for vendor in vendors.values())} |" for name in names)
    return head + "| --- " * (len(vendors) + 1) + "|\n" + "".join(f"{row}\n" for row in rows)


def _grouped(names: Iterable[str], fields: Iterable[str]) -> list[str]:
    """Names of fields in the page's order; a group's where all of its fields are among them."""
    wanted, every = set(names), set(fields)
    found: list[str] = []
    for group in GROUPS:
        members = {name for name in every if name == group or name.startswith(f"{group}.")}
        mine = members & wanted
        if mine and mine == members:
            found.append(group)
        else:
            found += [f"`{name}`" for name in sorted(mine)]
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "-"
