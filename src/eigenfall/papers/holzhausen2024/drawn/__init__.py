"""The paper's figures, from plain values: nothing is measured here, and every function gives a matplotlib figure."""

from eigenfall.papers.drawn.canvas import Unit
from eigenfall.papers.holzhausen2024.drawn.distances import Attacked, Perturbation, robustness
from eigenfall.papers.holzhausen2024.drawn.eigenvalues import Code, Line, spectra
from eigenfall.papers.holzhausen2024.drawn.ensembles import ensemble, within_bound
from eigenfall.papers.holzhausen2024.drawn.fronts import Front, Standing, accuracy_against_distance, mnist_spectral
from eigenfall.papers.holzhausen2024.drawn.histories import History, Logged, training_curves
from eigenfall.papers.holzhausen2024.drawn.maps import Seen, landscapes
from eigenfall.papers.holzhausen2024.drawn.pruning import Pruned, weights

__all__ = [
    "Attacked",
    "Code",
    "Front",
    "History",
    "Line",
    "Logged",
    "Perturbation",
    "Pruned",
    "Seen",
    "Standing",
    "Unit",
    "accuracy_against_distance",
    "ensemble",
    "landscapes",
    "mnist_spectral",
    "robustness",
    "spectra",
    "training_curves",
    "weights",
    "within_bound",
]
