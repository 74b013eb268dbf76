"""By what each capability of a kind is proven, as its ledger (quality.yaml) says, and the marks that show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from fedreg.domain.capabilities import Capabilities, Operation
from fedreg.domain.capability_table import NOTHING, describe_capabilities


class Proof(StrEnum):
    """What saw it work, the best first.

    - `live`: the service itself, with an account.
    - `oracle`: the vendor's own SDK reads what the adapter wrote, or the adapter what the SDK wrote.
    - `server`: the vendor's own software, run locally.
    - `standin`: a local server built from the vendor's schema.
    - `fake`: answers that a sound server does not give.
    - `unproven`: nothing here could try it.
    """

    LIVE = "live"
    ORACLE = "oracle"
    SERVER = "server"
    STANDIN = "standin"
    FAKE = "fake"
    UNPROVEN = "unproven"


MARKS: Mapping[Proof, str] = {
    Proof.LIVE: "L",
    Proof.ORACLE: "o",
    Proof.SERVER: "r",
    Proof.STANDIN: "s",
    Proof.FAKE: "f",
    Proof.UNPROVEN: "unproven",
}
LEGEND = (
    "proven by: [L] a live account  [o] oracle, the vendor's SDK  [r] the real server, run locally  "
    "[s] a stand-in  [f] a fake  [unproven] nothing here could try it"
)
Proofs = tuple[Proof, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What a kind's quality.yaml says.

    - `suite`: what the conformance suite runs on. It proves every detail (stages, fields, limits).
    - `capabilities`: proofs of each operation, and of a detail that has more of them.
    - `access`: proofs of each way to get in.
    - `unproven`: a detail, or `access NAME`, that the code has and nothing here could try; and why.
    - `exempt`: what is not done; and why.
    """

    suite: Proofs = ()
    capabilities: Mapping[str, Proofs] = field(default_factory=dict)
    access: Mapping[str, Proofs] = field(default_factory=dict)
    unproven: Mapping[str, str] = field(default_factory=dict)
    exempt: Mapping[str, str] = field(default_factory=dict)


def list_proofs(capabilities: Capabilities, ledger: Ledger) -> dict[str, Proofs]:
    """By what each line of the table is proven that is not `-`, the best first; and each `access NAME`.

    What no ledger names is unproven.
    """
    operations = {operation.value for operation in Operation}
    found: dict[str, Proofs] = {}
    for name, text in describe_capabilities(capabilities).items():
        if text != NOTHING:
            proofs = ledger.capabilities.get(name, () if name in operations else ledger.suite)
            found[name] = () if name in ledger.unproven else proofs
    found |= {f"access {name}": proofs for name, proofs in ledger.access.items()}
    found |= {name: () for name in ledger.unproven if name.startswith("access ")}
    return {name: tuple(sorted_proofs(proofs)) or (Proof.UNPROVEN,) for name, proofs in found.items()}


def sorted_proofs(proofs: Iterable[Proof]) -> list[Proof]:
    """The best first."""
    return sorted(proofs, key=list(Proof).index)


def mark_cell(text: str, proofs: Sequence[Proof]) -> str:
    """A cell of the table with its mark: `yes [os]`; as it is where nothing is there to be proven."""
    return f"{text} [{''.join(MARKS[proof] for proof in proofs)}]" if proofs else text


def spell_proofs(proofs: Sequence[Proof]) -> str:
    """Proofs in full words."""
    return ", ".join("stand-in" if proof is Proof.STANDIN else proof.value for proof in proofs)
