"""A page of claims for the tests of pages: every verdict, long sentences, names that look like markup."""

from eigenfall.report import reproduction
from eigenfall.report.reproduction import Doubt, Shown
from eigenfall.report.tables import Cell, Row, Table
from eigenfall.types import Answer, Claim, Estimate, Judged

MARKUP = '<script>document.title = "run"</script> & "KH" > L2'
LONG = (
    "KH 3.15 [3.02, 3.28], L2 2.60 [2.41, 2.79], JReg 1.77 [1.65, 1.89], BP 1.14 [1.09, 1.19] L3 units; closest pair "
    "KH / L2: 1.21 [1.08, 1.36], widened for 3 pairs"
)
SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="900" height="300" viewBox="0 0 900 300" onload="alert(1)">
<script>parent.document.title = "run"; console.error("run")</script>
<style>text { font: 24px sans-serif }</style><rect width="900" height="300" fill="none" stroke="black"/>
<text x="40" y="150">λₙ against n, "as published"</text></svg>"""

NUMBER = Estimate(1.21, 1.08, 1.36, over="seeds")


def judged():
    """Two sections, all five verdicts, under both semantics."""
    first, second = "What the paper concludes (§7.8)", "Critical distances (§7.3)"

    def claim(key, where, says, section=first, **more):
        return Claim(key, where, says, section=section, **more)

    return (
        Judged(
            claim("Q1 random", "§7.8 Q1, Fig. 1", "median distance under random: KH > L2 > JReg > BP"),
            Answer("HOLDS", NUMBER, LONG, 5),
            Answer("FAILS", NUMBER, LONG.replace("widened", "narrowed"), 5),
        ),
        Judged(
            claim("Q4", "§7.8 Q4", "the spectral penalty gives no robustness; Nassar et al. cannot be reproduced"),
            Answer("VOID", told="the penalty's target is not that of its source, so that nothing follows (§5.2)"),
            Answer("OPEN", NUMBER, "spectral / BP: 1.21 [0.98, 1.36]", 5),
        ),
        Judged(
            claim(MARKUP, "§7.8 <b>Q5</b>", "L2 and JReg behave alike"),
            Answer("NOT TESTED", told="3 seeds of 5", seeds=3),
            Answer("HOLDS", NUMBER, "built in, no finding (§5.1): " + LONG, 5),
        ),
        *(
            Judged(
                claim(
                    f"7.3 {perturbation} {arm}",
                    "§7.3, Fig. 1",
                    f"median critical L2 of {arm} under {perturbation} is 0.123",
                    second,
                ),
                Answer("NOT TESTED", told="at scale paper only: the band is of 2 000 units at the full schedule"),
                Answer("NOT TESTED", told="the band is of the published semantics"),
            )
            for arm in ("KH", "JReg")
            for perturbation in ("random", "fgsm")
        ),
    )


def html(**changed):
    """The page as text."""
    arms = ("KH", "L2 0.001", "Jacobian 0.01", MARKUP)
    columns = (
        ("test accuracy", "%"),
        ("α of the currents", ""),
        ("smallest perturbation", "L∞, L3 units"),
        ("lead over the L2 sweep", "× at equal accuracy"),
    )
    lines = tuple(
        Row(
            arm,
            (
                Cell("38.1", "[37.5, 38.7]"),
                Cell("2.41", "[2.35, 2.47]"),
                Cell("0.00114", "[0.00102, 0.00126]"),
                Cell("1.21", "[1.08, 1.36]", box=verdict),
            ),
            note=note,
        )
        for arm, verdict, note in zip(
            arms, ("HOLDS", "OPEN", "FAILS", "NOT TESTED"),
            ("", "", "", "UNCONVERGED: 12 of 100 units of seed 3 are off norm, and the layer has collapsed"),
        )
    )  # fmt: skip
    settings = Table(
        "Sizes and schedules.",
        (("the five nets and what stands beside them", ""), ("the spectral test of §7.7", "")),
        (
            Row("data", (Cell("cifar10:train=10000,validation=1000,order_seed=0,scaling=l3"),) * 2),
            Row("rule", (Cell("krotov:p=3.0,k=2,delta=0.3,radius=1.0,learning_rate=0.01,gate=rank_k"),) * 2),
        ),
        corner="setting",
    )
    arguments = {
        "title": "Holzhausen et al. 2024, redrawn, scale small",
        "question": "Does the power law that Krotov-Hopfield learning finds make a net robust?",
        "answer": "KH > L2 > JReg > BP, published: random HOLDS, fgsm OPEN, pgd OPEN. " + LONG,
        "judged": judged(),
        "tables": [Table("Sweeps: fronts, not points.", columns, lines)],
        "pictures": [
            Shown("Fig. 3, spectra", SVG.encode(), "eigenvalue against rank", "Dots: m units."),
            Shown(MARKUP, SVG.encode(), MARKUP),
        ],
        "doubts": [
            Doubt("12 of 100 units of seed 3 are off norm.", "UNCONVERGED"),
            Doubt("KH: check e (black box): its accuracy under attack is no number to quote.", "FAIL"),
            Doubt("Nets have 100 units, not 2 000.", whom="Scale"),
        ],
        "settings": settings,
        "command": "eigenfall reproduce holzhausen2024 --scale small",
        "beside": "runs.html",
    }
    return reproduction.html(**arguments | changed)
