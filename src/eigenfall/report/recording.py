"""Sections of the page about a recording: how it was read, its figures, and what could be wrong."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from eigenfall import figures
from eigenfall.report import evidence
from eigenfall.report.exponents import simulated
from eigenfall.report.numbers import digits
from eigenfall.report.pictures import Picture
from eigenfall.report.recorded import Recorded, fits, ranks, refused
from eigenfall.report.words import Doubt


@dataclass(frozen=True)
class Section:
    """A section: heading, paragraphs, figures."""

    heading: str
    words: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Understood:
    """How a recording was read: its name if there are several, its size, and how that was known."""

    whom: str
    size: str
    how: str


def understood(found: Sequence[Recorded]) -> list[Understood]:
    """How each file was read: the first notice of its measurement."""
    told = [(one.label, one.measurement.notices[0].partition("; ")) for one in found if one.measurement.notices]
    return [Understood(whom, size, f"{mark}{rest}") for whom, (size, mark, rest) in told]


def question(found: Sequence[Recorded]) -> str:
    """What was asked."""
    if len(found) == 1:
        return f"How fast do the eigenvalues of {found[0].measurement.name} fall, and how sure is that?"
    return f"How fast do the eigenvalues of {len(found)} recordings fall, and how sure is that?"


def sections(found: Sequence[Recorded]) -> list[Section]:
    """Every section that these recordings fill, recording by recording."""
    made = []
    for one in found:
        before = f"{one.label}: " if one.label else ""
        together = evidence.together(one)
        if together:
            made.append(Section(f"{before}Spectra", (), tuple(together)))
        for key in one.order:
            pictures = evidence.judged(one, key)
            if pictures:
                made.append(
                    Section(f"{one.named(key)}, and how far to trust it", tuple(simulated(one, key)), tuple(pictures))
                )
        if one.measurement.reliability is not None:
            made.append(Section(f"{before}Signal-to-noise of the units", (), (evidence.units(one),)))
        scales = evidence.scales(one)
        if scales:
            made.append(Section(f"{before}Dimensions by scale", (), tuple(scales)))
    return made


# --------------------------------------------------------------------------------- doubts


def doubts(found: Sequence[Recorded]) -> list[Doubt]:
    """Every notice in full, and what the numbers themselves raise, most severe first."""
    raised: list[Doubt] = []
    for one in found:
        said = [*one.measurement.notices[1:], *_of_numbers(one)]
        for whom, notices in _beside(one):
            heard = " ".join(said)
            said += [f"{whom}: {notice}" for notice in dict.fromkeys(notices) if notice not in heard]
        raised += [_doubt(text, one.label) for text in dict.fromkeys(said)]
    return sorted(raised, key=lambda doubt: doubt.box != "WARN")


def _doubt(text: str, whom: str) -> Doubt:
    parted = re.fullmatch(r"(.*?)\bWARN: (.*)", text, re.DOTALL)
    return Doubt("WARN", whom, parted.group(1) + parted.group(2)) if parted else Doubt("", whom, text)


def _beside(one: Recorded) -> list[tuple[str, tuple[str, ...]]]:
    """Notices of every part of a measurement, and whose they are."""
    measured = one.measurement
    told = [
        (figures.called(key), value.notices) for key, value in (*measured.spectra.items(), *measured.moments.items())
    ]
    told += [
        (figures.called(key) if main else f"{figures.called(key)}, {figures.called(fit.method)}", fit.notices)
        for key, fit, main in fits(one)
    ]
    for key, beside in measured.diagnostics.items():
        further = (*beside.windows[:1], *(score.fit for score in beside.laws))
        told += [(figures.called(key), fit.notices) for fit in further]
    return told + [(figures.called(key), value.notices) for key, value in measured.dimensions.items()]


def _of_numbers(one: Recorded) -> list[str]:
    said = []
    for key, spectrum in one.measurement.spectra.items():
        negative = int((spectrum.eigenvalues < 0).sum())
        if negative:
            said.append(f"{figures.called(key)}: {negative} of {len(spectrum.eigenvalues)} eigenvalues below 0.")
        lost = len(spectrum.eigenvalues) - spectrum.numerical_rank
        if lost:
            said.append(
                f"{figures.called(key)}: {lost} of {len(spectrum.eigenvalues)} ranks lie below the numerical floor "
                "(silent or redundant units, or too few stimuli)."
            )
    for key, fit, _ in fits(one):
        name = f"{figures.called(key)}, {figures.called(fit.method)}"
        if fit.asked != fit.used and not fit.notices:
            said.append(f"{name}: ranks {fit.asked[0]}–{fit.asked[1]} were asked for, {ranks(fit)} used.")
        if refused(fit):
            said.append(
                f"WARN: {name}: χ² = {digits(fit.statistics['chi2'])} with {fit.statistics['freedom']:g} degrees of "
                f"freedom refuses the {fit.law} law (p < 0.001): its α describes no spectrum that fits these moments."
            )
    return said
