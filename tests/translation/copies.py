"""Copying every seeded version everywhere, as a user does it, each pair once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fedreg.client.blocking import Client
from fedreg.domain.migrations import Carried, MigratedVersion, MigrationOptions
from fedreg.domain.refs import Ref
from fedreg.domain.reports import Loss, ModelView

from .facts import NAME, Found
from .outcomes import Outcome, flagged, judge, show
from .world import KINDS, TWIN, World

Pair = tuple[str, str]
PAIRS: Sequence[Pair] = [(source, target) for source in KINDS for target in KINDS]


@dataclass(frozen=True, kw_only=True)
class Copied:
    """One pair: both ends as their vendors' SDKs show them, what fedreg announced and what it said it did."""

    source: Found
    target: Found
    planned: tuple[Loss, ...]
    row: MigratedVersion
    outcome: Outcome
    flagged: frozenset[str]
    shown: frozenset[str]


@dataclass
class Copies:
    """The copies of a session. A copy is a migration of one version that carries stage, aliases and approval."""

    world: World
    fed: Client
    made: dict[Pair, Copied] = field(default_factory=dict)
    read: dict[str, Found] = field(default_factory=dict)

    def of(self, pair: Pair) -> Copied:
        if pair not in self.made:
            self.made[pair] = self._make(*pair)
        return self.made[pair]

    def source(self, kind: str) -> Found:
        if kind not in self.read:
            self.read[kind] = self.world.vendors[kind].read(*self.world.sources[kind])
        return self.read[kind]

    def _make(self, kind: str, to: str) -> Copied:
        source, vendor = self.source(kind), self.world.vendors[to]
        registry = to + TWIN if kind == to else to
        name = f"copies/{NAME} of {kind}"
        options = MigrationOptions(models=(NAME,), names={NAME: name}, carry=tuple(Carried), allow_lossy=("*",))
        [planned] = self.fed.plan_migration(kind, registry, options).rows
        assert planned.problem is None, planned.problem
        before = vendor.names()
        report = self.fed.migrate(kind, registry, options)
        [row] = self.fed.migration_rows(report.operation)
        assert report.complete, row.error
        [native] = vendor.names() - before
        ref = Ref.parse(row.target)
        assert ref.selector is not None
        target = vendor.read(native, ref.selector.value)
        version, view = self.fed.version(ref), self.fed.show(Ref(registry, name))
        assert isinstance(view, ModelView)
        shown = show(version, view.model)
        return Copied(
            source=source,
            target=target,
            planned=planned.losses,
            row=row,
            outcome=judge(source, target, shown, name),
            flagged=frozenset(flagged(version, view.model)),
            shown=frozenset(shown),
        )
