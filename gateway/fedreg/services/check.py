"""Comparing two ends: by bytes read, or by what the registries themselves vouch for.

Symbols: `=` same, `*` differs, `+` only in source, `-` only in target, `?` not comparable, `!` error.
A claimed digest (a tag) never makes an `=`.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedreg.domain.errors import FedregError
from fedreg.domain.manifest import Basis, Digest, Manifest, ManifestEntry
from fedreg.domain.models import FileEntry, Version
from fedreg.domain.port import RegistryAdapter
from fedreg.domain.refs import Ref
from fedreg.domain.reports import (
    DIFFERS,
    ERROR,
    NOT_COMPARABLE,
    ONLY_SOURCE,
    ONLY_TARGET,
    SAME,
    CheckReport,
    CheckRow,
)
from fedreg.services.copy_plan import find_counterpart, list_payload
from fedreg.services.gateway import Gateway
from fedreg.services.pages import walk_versions
from fedreg.services.selectors import resolve
from fedreg.services.transfer import hash_stream


async def check(gateway: Gateway, source: Ref, target: Ref, *, download: bool) -> CheckReport:
    """Compare two versions file by file, or two models version by version.

    With `download` every byte is read at both ends; without it only checksums that the registries vouch for
    count, and files without any are `?`.
    """
    if source.selector is None and target.selector is None:
        return await _check_models(gateway, source, target, download=download)
    left = await resolve(gateway, source)
    right = await _other_end(gateway, left, target)
    if right is None:
        row = CheckRow(symbol=ONLY_SOURCE, item=str(_ref(left)), detail="no copy of it is known at the target")
        return CheckReport(source=str(_ref(left)), target=str(target), rows=(row,))
    return await check_versions(gateway, left, right, download=download)


async def check_versions(gateway: Gateway, left: Version, right: Version, *, download: bool) -> CheckReport:
    """Compare the payloads of two versions."""
    ends = [
        _Payload(await gateway.registries.get(version.registry), version, download=download)
        for version in (left, right)
    ]
    entries = [{entry.path: entry for entry in await end.list()} for end in ends]
    paths = sorted(entries[0].keys() | entries[1].keys(), key=lambda path: path.encode("utf-8", "surrogatepass"))
    rows = [await _check_file(path, ends, [listed.get(path) for listed in entries]) for path in paths]
    digests = [end.digest() for end in ends]
    return CheckReport(
        source=str(_ref(left)),
        target=str(_ref(right)),
        rows=tuple(rows),
        source_digest=digests[0],
        target_digest=digests[1],
    )


class _Payload:
    """One end: its files, their sums as they become known, and what those rest on."""

    def __init__(self, adapter: RegistryAdapter, version: Version, *, download: bool) -> None:
        self.adapter, self.version, self.download = adapter, version, download
        self._sums: dict[str, ManifestEntry] = {}
        self._listed = 0
        self._basis = Basis.READ if download else Basis.REGISTRY

    async def list(self) -> Sequence[FileEntry]:
        entries = await list_payload(self.adapter, self.version)
        self._listed = len(entries)
        return entries

    async def sum(self, entry: FileEntry) -> str | None:
        """sha256 of a file, read or vouched for; None where there is none."""
        sha256, size = entry.sha256, entry.size
        if self.download:
            chunks = self.adapter.open_file(self.version.model, self.version.version, entry)
            sha256, size = await hash_stream(chunks)
        if sha256 is not None:
            self._sums[entry.path] = ManifestEntry(path=entry.path, size=size, sha256=sha256)
        return sha256

    def digest(self) -> Digest | None:
        if not self._listed or len(self._sums) < self._listed:
            return None
        return Manifest.of(self._sums.values()).digest(self._basis)


async def _check_file(path: str, ends: Sequence[_Payload], entries: Sequence[FileEntry | None]) -> CheckRow:
    try:
        sums = [None if entry is None else await end.sum(entry) for end, entry in zip(ends, entries, strict=True)]
    except FedregError as error:
        return CheckRow(symbol=ERROR, item=path, detail=str(error))
    left, right = entries
    if left is None or right is None:
        return CheckRow(symbol=ONLY_TARGET if left is None else ONLY_SOURCE, item=path)
    basis = "read" if ends[0].download else "registry"
    if None in sums:
        if left.size != right.size:
            return CheckRow(symbol=DIFFERS, item=path, basis="size", detail=f"{left.size} and {right.size} bytes")
        return CheckRow(symbol=NOT_COMPARABLE, item=path, basis="size", detail="same size; --download reads the bytes")
    return CheckRow(symbol=SAME if sums[0] == sums[1] else DIFFERS, item=path, basis=basis)


async def _check_models(gateway: Gateway, source: Ref, target: Ref, *, download: bool) -> CheckReport:
    adapters = [await gateway.registries.get(ref.registry) for ref in (source, target)]
    lefts = [version async for version in walk_versions(adapters[0], source.model)]
    rights = {version.version: version async for version in walk_versions(adapters[1], target.model)}
    rows = []
    for left in lefts:
        found = await find_counterpart(gateway, left, target, adapters[1])
        right = rights.pop(found, None) if found else None
        rows.append(await _check_pair(gateway, left, right, download=download))
    rows += [CheckRow(symbol=ONLY_TARGET, item=str(_ref(version))) for version in rights.values()]
    return CheckReport(source=str(source), target=str(target), rows=tuple(rows))


async def _check_pair(gateway: Gateway, left: Version, right: Version | None, *, download: bool) -> CheckRow:
    item = str(_ref(left))
    if right is None:
        return CheckRow(symbol=ONLY_SOURCE, item=item)
    try:
        report = await check_versions(gateway, left, right, download=download)
    except FedregError as error:
        return CheckRow(symbol=ERROR, item=item, detail=str(error))
    symbols = {row.symbol for row in report.rows} - {SAME}
    worst = next((s for s in (ERROR, DIFFERS, ONLY_SOURCE, ONLY_TARGET, NOT_COMPARABLE) if s in symbols), SAME)
    symbol = DIFFERS if worst in (ONLY_SOURCE, ONLY_TARGET) else worst
    return CheckRow(symbol=symbol, item=item, basis="read" if download else "registry", detail=str(_ref(right)))


async def _other_end(gateway: Gateway, left: Version, target: Ref) -> Version | None:
    """The version to compare with: the one named, or the known copy at a target that names a model."""
    if target.selector is not None:
        return await resolve(gateway, target)
    adapter = await gateway.registries.get(target.registry)
    found = await find_counterpart(gateway, left, target, adapter)
    return None if found is None else await adapter.get_version(target.model, found)


def _ref(version: Version) -> Ref:
    return Ref(version.registry, version.model).at_version(version.version)
