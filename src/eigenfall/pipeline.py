"""A spectrum and its exponent as a scikit-learn estimator, the last step of a pipeline.

    X (repeats · stimuli, units):   row r · stimuli + s is the response to stimulus s in repeat r, both counted from 0

so the rows are all stimuli of the first repeat, then, in the same order, all of the second, …; a row of NaN is a repeat
that is missing. Steps before this one, such as a `StandardScaler`, see every row of a unit at once.

It has no `transform` and no `score`: a spectrum has as many values as ranks, not one for each stimulus, and no target
to be compared with. A search over settings is given its own `scoring`, and splits that keep a stimulus's rows together:
`GroupKFold` with `groups=numpy.tile(numpy.arange(stimuli), repeats)`, which keeps their order too.

Conventions: Buitinck et al. 2013, arXiv:1309.0238, and scikit-learn.org/stable/developers/develop.html.
Differs from them: the seed of every draw is a whole number, `seed`; there is no `random_state`.
"""

import dataclasses
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from eigenfall import parts
from eigenfall.check import need, one_of
from eigenfall.intervals import half_samples
from eigenfall.repeats import HALVINGS, present, two
from eigenfall.stages import seeded
from eigenfall.types import Moments, Responses

KINDS = {"estimator": "spectra", "fitter": "fits"}
"""Settings that are parts, and of what kind; `estimator__shuffles` is a setting of such a part."""


FLOATS = (np.float64, np.float32)


class Eigenspectrum(BaseEstimator):
    """Spectrum of the rows that it is fitted to, and the exponent of that spectrum.

    Attributes:
        estimator: a part of kind spectra in the grammar, such as "cvpca:shuffles=20", or the part itself.
        fitter: a part of kind fits, such as "leastsquares:first_rank=2"; "momentlaw" for the moments of "meme"; `None`:
            no exponent.
        repeats: how many repeats are stacked in the rows.
        split: how more than two repeats are made into two: "halves", "alternate" or "first"; `None`: they are not.
        draws: half-samples of the stimuli behind the exponent's interval; 0: none, or that of "momentlaw".
        seed: of every draw.
        spectrum_: the `Spectrum`, or the `Moments`.
        eigenvalues_: of a spectrum, `(ranks,)` float64, in squared units of X.
        fit_: the `SpectrumFit`, with the window that was used.
        alpha_: its exponent.
        n_features_in_: how many units.
        feature_names_in_: their names, if X has names.

    Example:
        >>> rows = torch.randn(50, 20, generator=seeded(0)).numpy()
        >>> found = Eigenspectrum("pca", "leastsquares:first_rank=1").fit(rows)
        >>> len(found.eigenvalues_), found.fit_.used, found.n_features_in_
        (20, (1, 18), 20)
    """

    def __init__(
        self,
        estimator: Any = "pca",
        fitter: Any = "leastsquares",
        repeats: Any = 1,
        split: Any = None,
        draws: Any = 0,
        seed: Any = 0,
    ) -> None:
        # as scikit-learn has it, any value is kept as it is, and `fit` refuses
        self.estimator = estimator
        self.fitter = fitter
        self.repeats = repeats
        self.split = split
        self.draws = draws
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> "Eigenspectrum":
        """Estimate the spectrum, and fit its exponent.

        Args:
            X: `(repeats · stimuli, units)`, in any response unit.
            y: not used.

        Returns:
            Itself.

        Raises:
            ValueError: for rows that are not the same stimuli in each repeat, an unknown part, a fit that does not read
                what the estimator gives, and what either of them refuses.
        """
        estimator, fitter = self._part("estimator"), self._part("fitter")
        for name, least in (("repeats", 1), ("draws", 0), ("seed", 0)):
            value = getattr(self, name)
            need(
                isinstance(value, int | np.integer) and int(value) >= least,
                expected=f"a whole number of at least {least} as {name}",
                got=repr(value),
                remedy="Say how many: 1 repeat, 0 draws and seed 0 are the defaults.",
            )
        rows = np.asarray(validate_data(self, X, dtype=FLOATS, ensure_all_finite="allow-nan", ensure_min_samples=2))
        responses, generator = self._responses(rows), seeded(int(self.seed))
        spectrum, fit = estimator(responses, generator), None
        moments = isinstance(spectrum, Moments)
        if fitter is not None:
            self._need_fitting("moments" if moments else "spectrum", fitter)
            if self.draws and not moments:
                fit = half_samples(responses, spectrum, estimator, fitter, generator, draws=int(self.draws))
            else:
                fit = fitter(spectrum)
        found = {
            "spectrum_": spectrum,
            "eigenvalues_": None if moments else spectrum.eigenvalues.numpy(),
            "fit_": fit,
            "alpha_": None if fit is None else fit.alpha,
        }
        for name, value in found.items():
            self.__dict__.pop(name, None)  # of an earlier fit
            if value is not None:
                setattr(self, name, value)
        return self

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Settings by name; with `deep` also those of the parts, such as `fitter__first_rank`."""
        found = super().get_params(deep=False)
        for name in KINDS if deep else ():
            part = self._part(name)
            fields = () if part is None else dataclasses.fields(part)
            found |= {f"{name}__{field.name}": getattr(part, field.name) for field in fields if field.init}
        return found

    def set_params(self, **params: Any) -> "Eigenspectrum":
        """Change settings; those of a part after the part itself.

        Raises:
            ValueError: for an unknown setting, or a part that refuses its own.
        """
        known = super().get_params(deep=False)
        inner: dict[str, dict[str, Any]] = {}
        for name, value in params.items():
            own, _, setting = name.partition("__")
            one_of(own, known if not setting else KINDS, "setting of Eigenspectrum")
            if setting:
                inner.setdefault(own, {})[setting] = value.item() if isinstance(value, np.generic) else value
            else:
                setattr(self, own, value)
        for own, settings in inner.items():
            part, value = self._part(own), getattr(self, own)
            fields: list[str] = [] if part is None else [field.name for field in dataclasses.fields(part) if field.init]
            for setting in settings:
                one_of(setting, fields, f"setting of {own}={value!r}")
            changed = dataclasses.replace(part, **settings)  # pyright: ignore[reportArgumentType] -- None has no settings
            setattr(self, own, parts.spell(changed) if isinstance(value, str) else changed)
        return self

    def _part(self, name: str) -> Any:
        """The part of a setting; `None` for no fitter."""
        value = getattr(self, name)
        if name == "fitter" and (value is None or (isinstance(value, str) and value == "none")):
            return None
        part = parts.read(KINDS[name], value) if isinstance(value, str) else value
        need(
            dataclasses.is_dataclass(part) and callable(part) and not isinstance(part, type),
            expected=f"a part of kind {KINDS[name]} as {name}",
            got=repr(part),
            remedy=f"There are: {', '.join(parts.names(KINDS[name]))}.",
        )
        return part

    def _responses(self, rows: np.ndarray) -> Responses:
        """Rows as (repeats, stimuli, units)."""
        need(
            len(rows) % self.repeats == 0,
            expected=f"rows of {self.repeats} repeats, all stimuli of one after all of another",
            got=f"{len(rows)} rows",
            remedy="Stack as many rows for each repeat; fill those that are missing with NaN.",
        )
        values = torch.from_numpy(rows if rows.flags.writeable else rows.copy()).unflatten(0, (int(self.repeats), -1))
        present(values, "X")
        responses = Responses(values=values, name="X")
        if self.split is None:
            return responses
        one_of(self.split, HALVINGS, "way to make two repeats")
        return two(responses, self.split)

    def _need_fitting(self, gives: str, fitter: Any) -> None:
        """Refuse moments for a fit of spectra, and the other way round."""
        need(
            getattr(fitter, "reads", "spectrum") == gives,
            expected=f"a fitter that reads the {gives} of estimator={self.estimator!r}",
            got=f"fitter={self.fitter!r}",
            remedy="Use fitter='momentlaw'." if gives == "moments" else "Use fitter='leastsquares'.",
        )
