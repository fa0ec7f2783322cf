"""Exponent of a recording: here one that is drawn, with a spectrum whose exponent is known."""

import numpy as np

import eigenfall
from eigenfall.fits.leastsquares import LeastSquares
from eigenfall.plans import Plan

stimuli, units, alpha = 1000, 200, 1.0
generator = np.random.default_rng(0)
scale = np.arange(1, units + 1) ** (-alpha / 2)
directions, _ = np.linalg.qr(generator.standard_normal((units, units)))
responses = (generator.standard_normal((stimuli, units)) * scale) @ directions.T

measurement = eigenfall.measure(responses, plan=Plan(fits=(LeastSquares(first_rank=5, last_rank=50),)))
print(measurement)
print(f"drawn with α = {alpha}, measured {measurement.fits['pca']}")
