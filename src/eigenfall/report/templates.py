"""Templates filled and files written: what all pages share."""

import os
from importlib import resources
from pathlib import Path
from typing import Any


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
        OSError: if the file cannot be written; nothing is left behind then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
