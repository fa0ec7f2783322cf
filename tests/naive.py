"""Slow, obvious twins of what the package does fast: loops over the definition. `bench/` compares with them too."""

import itertools
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
    ranks = torch.arange(1, units + 1, dtype=hidden.dtype, device=hidden.device)
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
    """Sign ascent of raw cross-entropy from the clean inputs in the Linf ball and in [0, 1]; the last iterate.

    The step is one for all, or one for each.
    """
    at = inputs.clone()
    for length in step if isinstance(step, list) else [step] * steps:
        at.requires_grad_()
        loss = torch.nn.functional.cross_entropy(model(at), targets, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, at)
        at = at.detach() + length * gradient.sign()
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


def apgd(model, one, target, loss, norm, epsilon, steps):
    """AutoPGD in [0, 1] on one input, as the paper's algorithm 1 says it; the best iterate, and how often η halved."""

    def measured(x):
        at = x.clone().requires_grad_()
        z = model(at[None])[0]
        others = torch.stack([z[j] for j in range(len(z)) if j != target])
        value = others.max() - z[target] if loss == "margin" else z.exp().sum().log() - z[target]
        (gradient,) = torch.autograd.grad(value, at)
        return (bool(others.detach().max() >= z.detach()[target]), float(value.detach())), gradient

    def projected(x):
        change = x - one
        if norm == "Linf":
            change = change.clamp(-epsilon, epsilon)
        elif float(change.norm()) > epsilon:
            change = change * (epsilon / float(change.norm()))
        return (one + change).clamp(0, 1)

    p, w = [Fraction(0), Fraction(22, 100)], []
    while p[-1] < 1:
        w.append(math.ceil(p[-1] * steps))
        p.append(p[-1] + max(p[-1] - p[-2] - Fraction(3, 100), Fraction(6, 100)))
    eta, x, before, fs, halvings = 2 * epsilon, one, None, [], 0
    best, eta_then, best_then, start = None, eta, None, 0
    for k in range(steps + 1):
        f, gradient = measured(x)
        if best is None or f > best[0]:
            best = f, x, gradient
        fs.append(f[1])
        if k == steps:
            return best[1], halvings
        if k in w:
            rises = sum(fs[i + 1] > fs[i] for i in range(start, k))
            stuck = eta == eta_then and best[0] == best_then
            eta_then, best_then, start = eta, best[0], k
            if rises < 0.75 * (k - w[w.index(k) - 1] if w.index(k) else k) or stuck:
                eta, halvings = eta / 2, halvings + 1
                f, x, gradient = best
                fs[k] = f[1]
        d = gradient.sign() if norm == "Linf" else gradient / gradient.norm()
        z = projected(x + eta * d)
        x, before = (z if before is None else projected(x + 0.75 * (z - x) + 0.25 * (x - before))), x


def bump(height, width):
    """A bump of the Square attack: at distance D of the centre, the sum of 1/j² from D + 1 to half the side + 1."""
    half = max(height, width) // 2
    return [
        [
            sum(1 / j**2 for j in range(max(abs(r - height // 2), abs(s - width // 2)) + 1, half + 2))
            for s in range(width)
        ]
        for r in range(height)
    ]


def square_shift(change, drawn, side, radius):
    """One step of the Square attack in an L2 ball, for one input: nested lists, channel by channel."""
    channels, height, width = len(change), len(change[0]), len(change[0][0])
    top, left, top2, left2 = (int(u * (size - side + 1)) for u, size in zip(drawn, (height, width) * 2))
    first = [(top + r, left + s) for r in range(side) for s in range(side)]
    second = [(top2 + r, left2 + s) for r in range(side) for s in range(side)]
    above, below = bump(side // 2, side), bump(side - side // 2, side)
    eta = above + [[-v for v in row] for row in below]
    if drawn[4] < 0.5:  # side by side
        eta = [list(column) for column in zip(*eta)]
    length = math.sqrt(sum(v * v for row in eta for v in row))
    spent = sum(v * v for channel in change for row in channel for v in row)
    found = [[row[:] for row in channel] for channel in change]
    for i, channel in enumerate(change):
        budget = sum(channel[r][s] ** 2 for r, s in {*first, *second}) + max(radius**2 - spent, 0) / channels
        inside = math.sqrt(sum(channel[r][s] ** 2 for r, s in first))
        sign = -1 if drawn[5 + i] < 0.5 else 1
        laid = {(r, s): sign * eta[r - top][s - left] / length + channel[r][s] / inside for r, s in first}
        norm = math.sqrt(sum(v * v for v in laid.values()))
        for r, s in second:
            found[i][r][s] = 0.0
        for (r, s), v in laid.items():
            found[i][r][s] = v / norm * math.sqrt(budget)
    return found


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


# ------------------------------------------------------------------------------ recordings


def cross_validated(first, second, swaps, own_means=False, stimulus_means=False):
    """cvPCA by singular vectors and explicit projections of both repeats, one shuffle after the other.

    `swaps` are the coins of each shuffle; values and the source's noise, with divisor S − 1, both NumPy float64.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    both = (first.mean(0) + second.mean(0)) / 2
    first, second = (x - (x.mean(0) if own_means else both) for x in (first, second))
    values, noise = [], []
    for coin in swaps:
        one, two = (np.where(np.asarray(coin)[:, None], a, b) for a, b in ((second, first), (first, second)))
        axes = one - one.mean(1, keepdims=True) if stimulus_means else one
        _, _, vectors = np.linalg.svd(axes, full_matrices=False)
        c1, c2 = one @ vectors.T, two @ vectors.T
        values.append((c1 * c2).sum(0))
        noise.append((c1**2 + c2**2).sum(0) - (c1 * c2).sum(0))
    return np.mean(values, 0) / (len(first) - 1), np.mean(noise, 0) / (len(first) - 1)


def cross_decomposed(first, second, parts):
    """Held-out reliable covariance by a singular value decomposition over units in each fold; NumPy float64."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    found = []
    for held_out in parts:
        training = np.setdiff1d(np.arange(len(first)), held_out)
        one, two = first - first[training].mean(0), second - second[training].mean(0)
        left, _, right = np.linalg.svd(one[training].T @ two[training] / len(training))
        found.append(((one[held_out] @ left) * (two[held_out] @ right.T)).mean(0))
    ranks = min(len(values) for values in found)
    return np.mean([values[:ranks] for values in found], 0)


def eigenmoments(first, second, order, count, units):
    """Mean over all increasing cycles of pairs of stimuli of the products of their entries, by a loop over cycles."""
    first, second, order = (np.asarray(array) for array in (first, second, order))
    one = (first[order[0::2]] - first[order[1::2]]) / math.sqrt(2)
    two = (second[order[0::2]] - second[order[1::2]]) / math.sqrt(2)
    products = one @ two.T
    found = []
    for p in range(1, count + 1):
        terms = [
            math.prod(products[cycle[k], cycle[(k + 1) % p]] for k in range(p))
            for cycle in itertools.combinations(range(len(products)), p)
        ]
        found.append(math.fsum(terms) / len(terms) / units)
    return found


def resampled_eigenmoments(first, second, order, count, units):
    """Moments of one resampling of the stimuli, from the responses themselves: differences, product, whole powers."""
    one = (first[order[0::2]] - first[order[1::2]]) / math.sqrt(2)
    two = (second[order[0::2]] - second[order[1::2]]) / math.sqrt(2)
    products, found = one @ two.T, []
    for own in (products, products.T):
        upper, powers = np.triu(own, 1), np.eye(len(own))
        for p in range(1, count + 1):
            found.append((powers * own.T).sum() / math.comb(len(own), p) / units)
            powers = powers @ upper
    return np.mean([found[:count], found[count:]], 0)


# ------------------------------------------------------------------------------ dimensions


def distinct_traces(responses, equal_units=True):
    """(tr C)² and tr C² of `(repeats, stimuli, units)`: means over every four distinct stimuli and every two units.

    Half the product of two stimuli's difference in one unit with that in another is unbiased for their covariance; two
    such pairs share no stimulus, and no stimulus meets its own repeat, unless there is one repeat only.
    """
    repeats, stimuli, units = responses.shape
    there = [[t for t in range(repeats) if not torch.isnan(responses[t, i]).any()] for i in range(stimuli)]
    x = responses.tolist()

    def mean(i, a):
        return sum(x[t][i][a] for t in there[i]) / len(there[i])

    def product(i, a, b):
        pairs = [(t, u) for t in there[i] for u in there[i] if t != u or repeats == 1]
        return sum(x[t][i][a] * x[u][i][b] for t, u in pairs) / len(pairs)

    def covariance(i, j, a, b):
        both = product(i, a, b) + product(j, a, b)
        return (both - mean(i, a) * mean(j, b) - mean(j, a) * mean(i, b)) / 2

    used = [i for i in range(stimuli) if len(there[i]) >= min(2, repeats)]
    fours = list(itertools.permutations(used, 4))
    pairs = [(a, b) for a in range(units) for b in range(units) if equal_units or a != b]
    above = sum(covariance(*four[:2], a, a) * covariance(*four[2:], b, b) for four in fours for a, b in pairs)
    below = sum(covariance(*four[:2], a, b) * covariance(*four[2:], a, b) for four in fours for a, b in pairs)
    return above / len(fours), below / len(fours)


def two_repeat_traces(first, second):
    """The same of two repeats in NumPy, from the covariance of each unit in one with each unit in the other."""
    centre = (first.mean(0) + second.mean(0)) / 2
    x, y = first - centre, second - centre
    m, stimuli = (x + y) / 2, len(x)
    between, mean = (x.T @ y + y.T @ x) / 2, m.T @ m
    a, d = (x * y).sum(1), (m * m).sum(1)
    squares = ((x * x).sum(1) * (y * y).sum(1) + a**2) / 2
    along = (m * x).sum(1) * (m * y).sum(1)
    two, three = stimuli * (stimuli - 1), stimuli * (stimuli - 1) * (stimuli - 2)
    four = (d.sum() ** 2 + 2 * (mean**2).sum() - 6 * (d**2).sum()) / (three * (stimuli - 3))
    above = (a.sum() ** 2 - (a**2).sum()) / two - 2 * (2 * (a * d).sum() - a.sum() * d.sum()) / three + four
    below = ((between**2).sum() - squares.sum()) / two - 2 * (2 * along.sum() - (between * mean).sum()) / three + four
    return above, below


def neighbour_distances(places, count):
    """Distances of each point to its nearest others, ascending, pair by pair."""
    points = places.tolist()
    return [
        sorted(math.dist(one, other) for j, other in enumerate(points) if j != i)[:count]
        for i, one in enumerate(points)
    ]


def two_nn(places, discard=0.1):
    """Slope through the origin of −ln(1 − i/M) on ln μ, term by term."""
    ratios = sorted(second / first for first, second in neighbour_distances(places, 2))
    kept = ratios[: int(len(ratios) * (1 - discard))]
    terms = [(math.log(mu), -math.log(1 - (i + 1) / len(ratios))) for i, mu in enumerate(kept)]
    return math.fsum(x * y for x, y in terms) / math.fsum(x * x for x, _ in terms)


def levina_bickel(places, neighbours):
    """Harmonic mean over points of (k − 1) / Σ ln (R_k / R_j)."""
    found = neighbour_distances(places, neighbours)
    inverses = [math.fsum(math.log(r[-1] / one) for one in r[:-1]) / (neighbours - 1) for r in found]
    return len(inverses) / math.fsum(inverses)


def entropy_rank(values, offset=0.0):
    """exp(−Σ q ln q), term by term."""
    total = math.fsum(values)
    shares = [value / total + offset for value in values]
    return math.exp(-math.fsum(q * math.log(q) for q in shares if q > 0))


def lidar(responses, delta):
    """Effective rank of Σ_w^−½ Σ_b Σ_w^−½ from `(repeats, stimuli, units)`, with the root from an eigenbasis."""
    repeats, stimuli, units = responses.shape
    means = responses.mean(0)
    between = sum(torch.outer(one, one) for one in means - means.mean(0)) / stimuli
    rest = (responses - means).reshape(-1, units)
    within = sum(torch.outer(one, one) for one in rest) / (repeats * stimuli) + delta * torch.eye(units)
    values, axes = torch.linalg.eigh(within)
    root = axes @ torch.diag(values**-0.5) @ axes.T
    return entropy_rank(torch.linalg.eigvalsh(root @ between @ root).clamp_min(0).tolist())


# ------------------------------------------------------------------------ recordings, read


def stringer_repeats(resp, istim, spont, red, components):
    """A session of Stringer et al. 2019, step by step as written: (repeats, stimuli, units), NaN for a missing one."""
    resp, spont = (np.where(np.isnan(one), 0, one).astype(np.float64)[:, ~red] for one in (resp, spont))
    shown = [trial for trial in range(len(istim)) if istim[trial] != max(istim)]
    resp, istim = resp[shown], [istim[trial] for trial in shown]
    mean, deviation = spont.mean(0), np.sqrt(((spont - spont.mean(0)) ** 2).mean(0)) + 1e-6
    resp, spont = (resp - mean) / deviation, (spont - mean) / deviation
    for vector in np.linalg.svd(spont, full_matrices=False)[2][:components]:
        resp = resp - np.outer(resp @ vector, vector)
    trials = {stimulus: [k for k in range(len(istim)) if istim[k] == stimulus] for stimulus in sorted(set(istim))}
    found = np.full((max(map(len, trials.values())), len(trials), resp.shape[1]), np.nan)
    for place, stimulus in enumerate(trials):
        for repeat, trial in enumerate(trials[stimulus]):
            found[repeat, place] = resp[trial]
    return found


def spike_rates(spikes, windows):
    """Spikes per second of each unit in each window, one spike at a time: (windows, units)."""
    return np.array(
        [[sum(start <= t < stop for t in unit) / (stop - start) for unit in spikes] for start, stop in windows]
    )
