"""What may be set from the command line."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.sizes import GIB, MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Sizes of the runs. Defaults are those of `make bench`.

    - `copy_sizes`: in bytes. `rows`: versions in the index; the lineage graph has a tenth as many nodes.
    - `rounds`: pairs of fedreg and reference. `seconds`: of one side of a round of requests.
    - `promotions`: versions promoted. `kept_promotions`: in one process whose memory is watched.
    - `models`: of three versions each, migrated.
    """

    copy_sizes: tuple[int, ...] = (64 * MIB, GIB)
    rows: int = 200_000
    rounds: int = 3
    seconds: float = 2.0
    promotions: int = 300
    kept_promotions: int = 1000
    models: int = 20
