"""A command that begins at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.core import TyperArgument, TyperCommand, TyperOption
from typer.models import OptionInfo

if TYPE_CHECKING:
    from typer._click import Context  # a typer that has no click of its own has no such module


def _path(value: str | Path) -> Path:
    path = Path(value)
    if path.exists() and not os.access(path, os.R_OK):
        raise ValueError(path)
    return path


_PLAIN: dict[object, Callable[[Any], object]] = {
    str: str,
    bool: bool,
    int: int,
    float: float,
    Path: _path,
    list[str]: list,
}
_OF_A_PATH = ("exists", "file_okay", "dir_okay", "writable", "readable", "resolve_path", "path_type")
_WISHES = ("callback", "envvar", "prompt", "count", "parser", "min", "max", *_OF_A_PATH)
_NO_WISH = OptionInfo()


class Quick(TyperCommand):
    """A command that reads plain arguments by itself.

    typer has pydantic convert every argument, and importing that takes longer than all else that a quick command does
    before its work. Text, texts, flags, numbers and paths need none of it as long as nothing more is asked of them.
    Anything else, and all that is to be refused or explained, is left to typer: a user sees no difference.
    """

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Read the arguments into the context."""
        values = self._read(ctx, list(args))
        if values is None:
            return super().parse_args(ctx, args)
        ctx.params.update(values)
        return ctx.args

    def _read(self, ctx: Context, args: list[str]) -> dict[str, object] | None:
        given, left, _ = self.make_parser(ctx).parse_args(args)
        if left or given.keys() - {parameter.name for parameter in self.params}:  # too many, or --help
            return None
        values: dict[str, object] = {}
        for parameter in self.params:
            if not isinstance(parameter, TyperArgument | TyperOption) or not _is_plain(parameter):
                return None
            value = given.get(parameter.name)
            if value is None:
                value = parameter.get_default(ctx)
            if value is None and parameter.required:
                return None
            try:
                values[parameter.name] = None if value is None else _PLAIN[parameter.type_descriptor.annotation](value)
            except (OSError, ValueError):
                return None
        return values


def _is_plain(parameter: TyperArgument | TyperOption) -> bool:
    kind, asked = parameter.type_descriptor.annotation, parameter.type_descriptor.parameter_info
    if any(getattr(asked, wish) != getattr(_NO_WISH, wish) for wish in _WISHES if hasattr(asked, wish)):
        return False
    return kind in _PLAIN and (kind is not bool or (isinstance(parameter, TyperOption) and parameter.is_flag))
