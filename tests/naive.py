"""Slow, obvious twins of what the package does fast: loops over the definition. `bench/` compares with them too."""

import math
from fractions import Fraction

import numpy as np
import torch

# ------------------------------------------------------- spectra, fits, smoothness, statistics


def covariance(rows):
    """Sample covariance by its definition, one pair of units at a time, float64."""
    rows = rows.double()
    stimuli, units = rows.shape
    centred = torch.stack([rows[:, unit] - sum(rows[:, unit].tolist()) / stimuli for unit in range(units)], 1)
    found = torch.zeros(units, units, dtype=torch.float64)
    for i in range(units):
        for j in range(units):
            found[i, j] = math.fsum((centred[:, i] * centred[:, j]).tolist()) / (stimuli - 1)
    return found


def eigenvalues(responses):
    """All eigenvalues of the covariance of the repeat means, NaN left out, from `(repeats, stimuli, units)`."""
    return torch.linalg.eigvalsh(covariance(responses.double().nanmean(0))).flip(0)


def eigenvalues_at_once(rows):
    """The same from one covariance matrix in NumPy, as most people would write it."""
    return np.linalg.eigvalsh(np.cov(np.asarray(rows, dtype=np.float64), rowvar=False))[::-1].copy()


def exponent(values, first_rank, last_rank, weighted):
    """Weighted least squares of ln λ on −ln n, term by term, over the positive eigenvalues."""
    ranks = [n for n in range(first_rank, last_rank + 1) if values[n - 1] > 0]
    w = {n: 1 / n if weighted else 1.0 for n in ranks}
    total = math.fsum(w.values())
    x = math.fsum(w[n] * -math.log(n) for n in ranks) / total
    y = math.fsum(w[n] * math.log(values[n - 1]) for n in ranks) / total
    top = math.fsum(w[n] * (-math.log(n) - x) * (math.log(values[n - 1]) - y) for n in ranks)
    return top / math.fsum(w[n] * (-math.log(n) - x) ** 2 for n in ranks)


def bootstrap_exponents(rows, first_rank, last_rank, draws, generator):
    """What must never be an interval: exponents of bootstraps of the stimuli with replacement."""
    found = []
    for _ in range(draws):
        drawn = rows[torch.randint(0, len(rows), (len(rows),), generator=generator)]
        found.append(exponent(eigenvalues_at_once(drawn), first_rank, last_rank, weighted=True))
    return found


def least_squares(columns, values, weights):
    """Coefficients of the columns, and the weighted sum of squares that is left, by NumPy."""
    matrix, root = np.stack([np.asarray(column, dtype=float) for column in columns], 1), np.sqrt(weights)
    found = np.linalg.lstsq(matrix * root[:, None], np.asarray(values) * root, rcond=None)[0]
    return found, float((weights * (values - matrix @ found) ** 2).sum())


def broken_law(values, first_rank, last_rank, weighted):
    """Break, slopes before and beyond it, scale: one fit for each break of the grid, in a loop."""
    n = np.arange(first_rank, last_rank + 1)
    y, w = np.log(values[first_rank - 1 : last_rank]), 1 / n if weighted else np.ones(len(n))
    grid = sorted({*range(2, 50, 2), *(round(b) for b in np.geomspace(50, last_rank, 26))})
    best = None
    for b in grid:
        if not n[1] <= b <= n[-2]:
            continue
        before = [-math.log(min(rank, b)) for rank in n]
        beyond = [-math.log(max(rank, b) / b) for rank in n]
        (c, alpha_1, alpha), cost = least_squares([np.ones(len(n)), before, beyond], y, w)
        if best is None or cost < best[0]:
            best = cost, b, alpha_1, alpha, math.exp(c)
    return best[1:]


def stretched(values, first_rank, last_rank, weighted):
    """β, rate, scale: β by a fine grid, then by narrowing it."""
    n = np.arange(first_rank, last_rank + 1)
    y, w = np.log(values[first_rank - 1 : last_rank]), 1 / n if weighted else np.ones(len(n))
    low, high = 0.02, 4.0
    for _ in range(9):
        grid = np.linspace(low, high, 60)
        costs = [least_squares([np.ones(len(n)), -(n**beta)], y, w)[1] for beta in grid]
        place = int(np.argmin(costs))
        low, high = grid[max(0, place - 1)], grid[min(59, place + 1)]
    beta = (low + high) / 2
    (c, rate), _ = least_squares([np.ones(len(n)), -(n**beta)], y, w)
    return beta, rate, math.exp(c)


def bins(values, first_rank, last_rank, per_decade):
    """Geometric mean rank and mean eigenvalue of each bin of ranks, rank by rank."""
    count = round(per_decade * math.log10((last_rank + 1) / first_rank))
    held = {}
    for n in range(first_rank, last_rank + 1):
        place = math.floor(count * math.log(n / first_rank) / math.log((last_rank + 1) / first_rank))
        held.setdefault(place, []).append(n)
    ranks = [math.exp(math.fsum(math.log(n) for n in members) / len(members)) for members in held.values()]
    return ranks, [math.fsum(values[n - 1] for n in members) / len(members) for members in held.values()]


def companion(population, freedom, x, height=1e-3, turns=200_000):
    """v(x + i height) of the sample spectrum, by repeating v = −1/(z − (1/F) Σ τ/(1 + τv)) until it stands."""
    z, v = complex(x, height), 1j
    for _ in range(turns):
        ahead = -1 / (z - (population / (1 + population * v)).sum() / freedom)
        if abs(ahead - v) < 1e-13 * abs(v):
            return ahead
        v = (v + ahead) / 2
    raise AssertionError("no fixed point")


def jacobian(values_of, one):
    """Jacobian of one input by central differences in float64, `(values, input values)`."""
    columns, step = [], 1e-6
    for place in range(one.numel()):
        change = torch.zeros(one.numel(), dtype=torch.float64)
        change[place] = step
        change = change.reshape(one.shape)
        with torch.no_grad():
            columns.append((values_of((one + change)[None]) - values_of((one - change)[None])).flatten() / (2 * step))
    return torch.stack(columns, 1)


def mcnemar(only_first, only_second):
    """Mid-p by adding up binomial terms as fractions."""
    total, smaller = only_first + only_second, min(only_first, only_second)
    terms = [Fraction(math.comb(total, k), 2**total) for k in range(smaller + 1)]
    return float(min(Fraction(1), 2 * sum(terms) - terms[-1]))


# ------------------------------------------------------------------------------- penalties


def released_excess(hidden, basis, alpha, tau):
    """R of Nassar et al. 2020 as their formula is usually run: VᵀCV in full, then a loop over eigenvalues."""
    samples, units = hidden.shape
    centred = hidden - hidden.mean(0)
    found = centred.T @ centred / (samples - 1)
    found = (found + found.T) / 2
    along = torch.sort(torch.diag(basis.T @ found @ basis), descending=True).values
    kappa = along[tau].detach() * (tau + 1) ** alpha
    total = torch.zeros((), dtype=hidden.dtype)
    for n in range(tau + 2, units + 1):
        if along[n - 1] > 0:
            ratio = along[n - 1] / (kappa * n**-alpha) - 1
            total = total + ratio**2 + torch.relu(ratio)
    return total / units


def vectorised_excess(hidden, basis, alpha, tau):
    """The same without the loop, and with (CV)∘V summed instead of VᵀCV."""
    samples, units = hidden.shape
    centred = hidden - hidden.mean(0)
    found = centred.T @ centred / (samples - 1)
    along = torch.sort(((found @ basis) * basis).sum(0), descending=True).values
    ranks = torch.arange(1, units + 1, dtype=hidden.dtype)
    ratio = (along / (along[tau].detach() * ((tau + 1) / ranks) ** alpha) - 1)[tau + 1 :]
    return ((ratio**2 + torch.relu(ratio)) * (along[tau + 1 :] > 0)).sum() / units


def released_basis(rows):
    """V of Nassar et al. 2020: eigenvectors, ascending, of the covariance with divisor N."""
    centred = rows - rows.mean(0)
    found = (centred.T @ centred / len(rows)).double()
    return torch.linalg.eigh((found + found.T) / 2).eigenvectors.to(rows.dtype)


def squared_jacobian(function, inputs):
    """Mean over inputs of ‖J‖²_F, from one row of one input's Jacobian at a time."""
    total = 0.0
    for index in range(len(inputs)):
        point = inputs[index : index + 1].detach().clone().requires_grad_()
        for value in function(point).flatten():
            (row,) = torch.autograd.grad(value, point, retain_graph=True)
            total += float(row.double().square().sum())
    return total / len(inputs)


# ------------------------------------------------------------------------- attacks, robustness


def pgd(model, inputs, targets, epsilon, step, steps):
    """Sign ascent of raw cross-entropy from the clean inputs in the Linf ball and in [0, 1]; the last iterate."""
    at = inputs.clone()
    for _ in range(steps):
        at.requires_grad_()
        loss = torch.nn.functional.cross_entropy(model(at), targets, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, at)
        at = at.detach() + step * gradient.sign()
        at = inputs + (at - inputs).clamp(-epsilon, epsilon)
        at = at.clamp(0, 1)
    return at


def attacked_by_pgd(model, inputs, targets, epsilon, step, steps):
    """Which inputs a bare attack breaks: clean pass, attack, fresh predictions; parameters frozen."""
    required = [parameter.requires_grad for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with torch.no_grad():
        wrong = model(inputs).argmax(1) != targets
    at = pgd(model, inputs, targets, epsilon, step, steps)
    with torch.no_grad():
        wrong = wrong | (model(at).argmax(1) != targets)
    for parameter, flag in zip(model.parameters(), required):
        parameter.requires_grad_(flag)
    return wrong


def linear_distance(weights, bias, one, target, norm, bounds=None):
    """How far a linear classifier's nearest error lies from one input; in a box, by bisection over the radius."""
    best = math.inf
    logits = [sum(float(w) * float(x) for w, x in zip(row, one)) + float(b) for row, b in zip(weights, bias)]
    for other in range(len(bias)):
        if other == target:
            continue
        change = [float(a) - float(b) for a, b in zip(weights[target], weights[other])]
        gap = logits[target] - logits[other]
        if bounds is None:
            length = sum(abs(c) for c in change) if norm == "Linf" else math.sqrt(sum(c * c for c in change))
            best = min(best, gap / length)
            continue
        low, high = 0.0, bounds[1] - bounds[0]
        for _ in range(60):
            radius = (low + high) / 2
            room = [float(x) - bounds[0] if c > 0 else bounds[1] - float(x) for c, x in zip(change, one)]
            reached = sum(min(radius, r) * abs(c) for r, c in zip(room, change))
            low, high = (low, radius) if reached >= gap else (radius, high)
        if high < bounds[1] - bounds[0]:
            best = min(best, high)
    return best
