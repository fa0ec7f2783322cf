"""Three arms on the embedded digits, in under two minutes: what `eigenfall demo` runs."""

from eigenfall.architectures.mlp import MLP
from eigenfall.datasets.digits import Digits
from eigenfall.papers.nassar2020.runs import STRENGTH
from eigenfall.penalties.jacobian import JacobianNorm
from eigenfall.penalties.spectral import Spectral
from eigenfall.plans import Plan
from eigenfall.settings import Run
from eigenfall.training import Training


def demo_runs(seeds: int = 3) -> list[Run]:
    """Three arms on the embedded digits in under two minutes: plain, spectral penalty, Jacobian penalty."""
    arms = {
        "plain": (),
        "spectral": (Spectral(strength=STRENGTH),),
        "jacobian": (JacobianNorm(strength=0.01),),
    }
    return [
        Run(
            verb="train",
            arm=arm,
            seed=seed,
            data=Digits(),
            architecture=MLP(widths=(64, 64, 64)),
            penalties=penalties,
            training=Training(
                optimiser="adam",
                amsgrad=True,
                learning_rate=1e-3,
                batch_size=128,
                epochs=None,
                steps=1500,
                last_batch="drop",
            ),
            plan=Plan(
                epsilons=(0.02, 0.05, 0.1, 0.15, 0.2), noise=(0.1, 0.2, 0.3, 0.5), attacked_inputs=None, seed=seed
            ),
        )
        for seed in range(seeds)
        for arm, penalties in sorted(arms.items(), key=lambda entry: entry[0] != "spectral")
    ]
