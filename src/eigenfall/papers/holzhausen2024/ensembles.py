"""How many layers, learnt from as many seeds, have λ_n ≤ λ_1/n at every rank (spec `holzhausen2024` §7.6)."""

from collections.abc import Sequence

from jaxtyping import Float64
from torch import Tensor

from eigenfall.papers import verdicts
from eigenfall.papers.holzhausen2024.drawn import within_bound
from eigenfall.papers.holzhausen2024.found import Found
from eigenfall.statistics import wilson
from eigenfall.types import Answer, Claim, Estimate, Record

ARMS = ("KH", "KH ensemble")
KEYS = {"images": "currents, pca", "white noise": "currents at white noise, pca"}


def below(eigenvalues: Float64[Tensor, " ranks"]) -> bool:
    """Whether λ_n ≤ λ_1/n at every rank."""
    return bool(within_bound(eigenvalues[None]))


def layers(found: Found) -> list[Record]:
    """Every unpruned layer that there is."""
    return [record for name in ARMS for record in found.records.get(name, {}).values()]


def passing(found: Found, what: str) -> list[bool]:
    """Of each layer, whether the criterion holds over images, over white noise, or over both."""
    keys: Sequence[str] = tuple(KEYS.values()) if what == "both" else (KEYS[what],)
    return [all(below(record.measurement.spectra[key].eigenvalues) for key in keys) for record in layers(found)]


def counted(claim: Claim, found: Found, what: str) -> Answer:
    """The share of layers, with Wilson's interval, against the claim's band."""
    held = passing(found, what)
    if not held:
        return verdicts.untested("no layers")
    share = Estimate(*wilson(sum(held), len(held)), over="layers")
    told = f"{sum(held)} of {len(held)} layers, {verdicts.with_interval(share)}"
    if unconverged := found.unconverged(*ARMS):
        return Answer("NOT TESTED", share, f"{told}; UNCONVERGED: {unconverged}", len(held))
    if found.scale not in claim.scales:
        return Answer("NOT TESTED", share, f"{told}; tested at {', '.join(claim.scales)}", len(held))
    low, high = verdicts.ends(claim)
    return Answer("HOLDS" if low <= share.value <= high else "FAILS", share, told, len(held))
