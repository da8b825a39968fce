"""Templates of pages and pictures: every value in them is escaped, and text of strangers is plain."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from meshproof.report.wording import plain


@cache
def template(file: Path) -> Template:
    """Return the template in a file; it may include those beside it, and ``page.css``."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FileSystemLoader([file.parent, Path(__file__).parent]),
    )
    return environment.get_template(file.name)


def _shown(value: object) -> object:
    return "" if value is None else plain(value) if type(value) is str else value
