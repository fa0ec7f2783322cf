"""Templates filled and files written: what all pages share."""

from importlib import resources
from pathlib import Path
from typing import Any

from eigenfall.atomic import write_file


def filled(template: str, **values: Any) -> str:
    """A template of this folder with these values and the style sheet; every value is text unless it says otherwise."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup, escape

    here = resources.files("eigenfall.report")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(lambda name: here.joinpath(name).read_text(encoding="utf-8")),
    )
    environment.filters["picture"] = lambda picture: Markup(picture.svg)
    environment.filters["verbatim"] = Markup
    environment.filters["breakable"] = lambda text: Markup(str(escape(text)).replace(",", ",<wbr>"))
    style = Markup(here.joinpath("style.css").read_text(encoding="utf-8"))
    return environment.get_template(template).render(style=style, **values)


def write(path: Path, text: str) -> Path:
    """Write a page; it appears whole or not at all.

    Raises:
        ValueError: if the file cannot be written; nothing is left behind then.
    """
    write_file(path, text.encode())
    return path
