"""What measures that are functions of eigenvalues share: the eigenvalues, and the entropy of their shares.

λ = eig XᵀX / (S − 1),   X the responses, averaged over repeats, less each unit's mean over the S stimuli
"""

from dataclasses import replace

from jaxtyping import Float64
from torch import Tensor

from eigenfall import grams, repeats
from eigenfall.check import need
from eigenfall.linalg import symmetric_eigenvalues
from eigenfall.types import Dimension, Estimate, Gram, Responses, Spectrum

NEGATIVE = 0.05
"""Share of negative eigenvalues above which an entropy is refused."""


def averaged(responses: Responses | Gram) -> Gram:
    """Second moments of the repeat means.

    Raises:
        ValueError: if no unit varies over stimuli.
    """
    if isinstance(responses, Gram):
        found = grams.averaged(responses)
    else:
        seen: list[int] = []
        found = grams.gram(repeats.averaged(responses, seen))
        found = replace(found, averaged=max(seen))
    need(
        found.stimuli >= 2 and bool(found.matrix.diagonal().max() > 0),
        expected=f"{found.name} that vary over stimuli",
        got="no variance in any unit",
        remedy="Look for a dead layer, or a constant input.",
    )
    return found


def spectrum_of(responses: Responses | Gram | Spectrum) -> Spectrum:
    """Eigenvalues of the total sample covariance, min(stimuli − 1, units) of them; a spectrum as it is."""
    if isinstance(responses, Spectrum):
        need(
            len(responses.eigenvalues) > 0 and bool(responses.eigenvalues.sum() > 0),
            expected=f"a spectrum of {responses.name} whose eigenvalues add up to more than 0",
            got=f"{len(responses.eigenvalues)} eigenvalues that add up to {float(responses.eigenvalues.sum()):.3g}",
            remedy="Without variance there is no dimension: look at what the spectrum was made of.",
        )
        return responses
    moments = averaged(responses)
    eigenvalues = symmetric_eigenvalues(moments.matrix)[: min(moments.stimuli - 1, moments.units)]
    return Spectrum(
        eigenvalues=eigenvalues.clamp_min(0) / (moments.stimuli - 1),
        stimuli=moments.stimuli,
        units=moments.units,
        repeats=moments.averaged,
        estimator="pca",
        name=moments.name,
    )


def described(spectrum: Spectrum, name: str, value: float, method: str, of: str = "eigenvalues") -> Dimension:
    """A dimension of a spectrum, which says what the spectrum said of itself."""
    by = f" by {spectrum.estimator}" if spectrum.estimator else ""
    matrix = spectrum.of if spectrum.centred else f"un-centred {spectrum.of}"
    return Dimension(
        name=name,
        value=Estimate(value),
        of=f"{of} of the {matrix}{by}",
        target=spectrum.target,
        stimuli=spectrum.stimuli,
        units=spectrum.units,
        repeats=spectrum.repeats,
        method=method,
        name_of=spectrum.name,
        notices=spectrum.notices,
    )


def entropy_rank(values: Float64[Tensor, " ranks"], offset: float = 0.0) -> float:
    """exp(−Σ q ln q) with q = value / Σ values + offset; 0 ln 0 is 0."""
    q = values / values.sum() + offset
    q = q[q > 0]
    return float((-(q * q.log()).sum()).exp())


def without_negative(spectrum: Spectrum) -> tuple[Float64[Tensor, " ranks"], tuple[str, ...]]:
    """Eigenvalues that have an entropy, and what a reader must know of the others.

    Raises:
        ValueError: if more than 5 % of the eigenvalues are negative.
    """
    values = spectrum.eigenvalues
    count = int((values < 0).sum())
    need(
        count <= NEGATIVE * len(values),
        expected="at most 5 % of negative eigenvalues, which have no entropy",
        got=f"{count} of {len(values)}",
        remedy="Use participation, stablerank or variancerank, or end the spectrum where it is noise.",
    )
    if not count:
        return values, ()
    return values.clamp_min(0), (f"{count} of {len(values)} eigenvalues are negative and were left out.",)
