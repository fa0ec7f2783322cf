"""Every figure of the paper, and those that should have stood beside them, drawn from records and kept as files.

Source: Nassar et al. 2020, arXiv:2012.04729; spec `nassar2020` §8.
"""

from functools import partial

from eigenfall.papers import figuring
from eigenfall.papers.figuring import Figure
from eigenfall.papers.found import SCALES
from eigenfall.papers.nassar2020 import (
    basisfigures,
    loophole,
    loopholefigure,
    pointfigures,
    slipfigure,
    slipratios,
    whyfigure,
)
from eigenfall.papers.nassar2020.attackfigures import sheet
from eigenfall.papers.nassar2020.drawn import concept
from eigenfall.papers.nassar2020.pointfigures import ALPHA, CLEAN, STEEPNESS
from eigenfall.papers.nassar2020.runs import DECAY_SWEEP, JACOBIAN_SWEEP, SPECTRAL_SWEEP, arms
from eigenfall.papers.nassar2020.style import JACOBIAN, SPECTRAL, STOPPED

LAYERED = ("deep", "cnn")


KNOWN = {arm.name for scale in SCALES for arm in arms(scale)}


def _of(net: str, *names: str) -> tuple[str, ...]:
    """Arms of a network, of those that some scale has."""
    return tuple(name for name in (f"{net} {name}" for name in names) if name in KNOWN)


BASES = ("spectral, epoch basis", "spectral, step basis", "spectral, fresh basis")
SHALLOW = _of("shallow", "plain", *BASES)
LAST = ("plain", "whitened", "last layer, step basis", "last layer, fresh basis", "whitened, last layer")
WHOLE = ("plain", *BASES, "Jacobian")
STRENGTHS = tuple(f"spectral {strength:g}" for strength in SPECTRAL_SWEEP)
JACOBIANS = tuple(f"Jacobian {strength:g}" for strength in JACOBIAN_SWEEP)
DECAYS = tuple(f"decay {strength:g}" for strength in DECAY_SWEEP)

FIGURES: dict[str, Figure] = {
    "fig1": Figure(
        "Figure 1",
        "the idea: a smooth code and a fractal one, and their spectra",
        (),
        lambda found, semantics: concept.concept(),
        (),
        rows=lambda found, semantics: concept.rows(),
    ),
    "fig2": sheet(
        "Figure 2",
        "one hidden layer: spectrum, accuracy under attack, sensitivity of eigenvalues",
        {"shallow": SHALLOW},
        SHALLOW[:2],
        mapped=True,
    ),
    "fig3": sheet(
        "Figure 3",
        "the last hidden layer under the penalty, the middle one whitened or not",
        {net: _of(net, *LAST) for net in LAYERED},
        _of("deep", "plain", "whitened", "whitened, last layer"),
        mapped=True,
    ),
    "fig4": sheet(
        "Figure 4",
        "all hidden layers under the penalty, beside the Jacobian's",
        {net: _of(net, *WHOLE) for net in LAYERED},
        _of("deep", "plain", BASES[0], "Jacobian"),
        every_layer=True,
        mapped=True,
    ),
    "figS-bn": sheet(
        "Appendix: no batch-norm",
        "one hidden layer with batch-norm and without",
        {"shallow": _of("shallow", *WHOLE[:2], "plain, no batch-norm", "spectral, epoch basis, no batch-norm")},
        _of("shallow", "plain, no batch-norm", "spectral, epoch basis, no batch-norm"),
    ),
    "figS-strengths": sheet(
        "Appendix: strengths",
        "the spectral penalty with a fresh basis, and the Jacobian's, at every strength",
        {
            "shallow, spectral": _of("shallow", "plain", *STRENGTHS, "spectral, fresh basis"),
            "shallow, Jacobian": _of("shallow", "plain", *JACOBIANS, "Jacobian"),
            "deep, spectral": _of("deep", "plain", *STRENGTHS, "spectral, fresh basis"),
            "deep, Jacobian": _of("deep", "plain", *JACOBIANS, "Jacobian, equal updates"),
        },
        _of("deep", "plain", STRENGTHS[0], JACOBIANS[0]),
    ),
    "figS-relu": sheet(
        "Appendix: ReLU",
        "hidden units that are rectified, beside tanh",
        {
            "shallow": _of("shallow", *WHOLE[:2], "plain, ReLU", "spectral, epoch basis, ReLU"),
            "deep": _of("deep", "plain", "spectral, fresh basis", "plain, ReLU", "spectral, fresh basis, ReLU"),
        },
        _of("shallow", "plain, ReLU", "spectral, epoch basis, ReLU"),
    ),
    "figS-noise": sheet(
        "Appendix: noise",
        "accuracy under white noise of every net of the paper",
        {
            "shallow": SHALLOW,
            **{net: _of(net, *LAST, *BASES[1:], "Jacobian") for net in LAYERED},
        },
        SHALLOW[:2],
        spectra=False,
        perturbations={"noise": "white noise"},
    ),
    "figS-decay": sheet(
        "Appendix: weight decay",
        "one hidden layer under weight decay",
        {"shallow": _of("shallow", "plain", *DECAYS, "spectral, epoch basis")},
        _of("shallow", "plain", *DECAYS),
    ),
    "plane": pointfigures.figure(
        "Robust and clean",
        "worst-case against clean accuracy of every arm, beside plain training stopped early",
        _of("deep", "plain"),
        ("stop", "single", "spectral", "Jacobian", "decay"),
        (CLEAN,),
        "The line joins plain training stopped early (number: of updates) to the whole of it; at an arm’s clean "
        "accuracy it is the fit-matched control.",
        (STOPPED,),
    ),
    "alpha": pointfigures.figure(
        "Robustness, α and steepness",
        "worst-case accuracy against α of the last hidden layer, and against the Jacobian norm of the outputs",
        _of("deep", "plain"),
        ("stop", "single", "spectral", "Jacobian", "decay"),
        (ALPHA, STEEPNESS),
        "Arms are not independent of each other, so that a correlation over them has no test. Dotted: α = 1.",
    ),
    "fronts": pointfigures.figure(
        "Fronts",
        "worst-case against clean accuracy along strengths of the spectral and the Jacobian penalty, and along stops",
        _of("deep", "plain", STRENGTHS[0], JACOBIANS[0]),
        ("stop", "spectral", "Jacobian", "plain"),
        (CLEAN,),
        "Numbers: the strongest of a sweep, which begins at plain training; of stops the first number of updates. All "
        "arms of a network have equal updates but those stopped.",
        (STOPPED, SPECTRAL, JACOBIAN),
    ),
    "exact": basisfigures.figure(
        "Exact and seen",
        "α of the exact spectrum beside that along the penalty’s basis, through training",
        tuple(f"{net} {basis}" for net in ("deep", "shallow") for basis in BASES),
        _of("deep", BASES[0]),
    ),
    "loophole": Figure(
        "The loophole",
        "what the penalty sees along its basis and what the spectrum has, through training",
        tuple(name for name in loophole.ARMS if name in KNOWN),
        lambda found, semantics: loopholefigure.draw(found),
        (),
        loophole.ARMS[:1],
        lambda found, semantics: loophole.rows(found),
    ),
    "why": Figure(
        "Why C1 flips",
        "what each change of the basis, of training, of data and of the net does to robustness, and what moves with it",
        ("shallow plain", "shallow spectral, epoch basis", "shallow spectral, step basis"),
        lambda found, semantics: whyfigure.draw(found),
        (),
    ),
    "slips": Figure(
        "The follow-up’s slips",
        "slips of the penalty of Holzhausen et al. 2024, alone, mended one by one, and in their own net",
        tuple(sorted({name for pair in slipratios.BESIDE.values() for name in pair} & KNOWN)),
        lambda found, semantics: slipfigure.draw(found),
        (),
        (slipratios.BASE,),
    ),
}

heading = partial(figuring.heading, FIGURES)
missing = partial(figuring.missing, FIGURES)
draw = partial(figuring.draw, FIGURES)
saved = partial(figuring.saved, FIGURES)
