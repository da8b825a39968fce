"""`meshproof init`: the smallest project of one's own."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as NoIni
from contextlib import suppress
from pathlib import Path

import click

from meshproof.cli.options import FILE
from meshproof.cli.output import program, report, write
from meshproof.errors import BadOutput, BadProject, MachineError

_TEMPLATE = Path(__file__).parents[1] / "template"
_PYPROJECT = "pyproject.toml"
_GITIGNORE = ".gitignore"


@click.command("init")
@click.argument("directory", type=FILE, default=Path())
def command(*, directory: Path) -> None:
    """Write the smallest project: one manifest, one test, what pyproject.toml has to say of them, and a .gitignore.

    A file that is there already is left alone: then nothing is written. A pyproject.toml that says nothing of meshproof
    gets its table at the end, and is otherwise as it was. A .gitignore that is there stays as it is.
    """
    texts = dict(_files(directory))
    project, ignored = directory / _PYPROJECT, directory / _GITIGNORE
    tested = program("pytest")
    try:
        if os.path.lexists(ignored):
            del texts[ignored]
        if (extended := os.path.lexists(project)) or _configures_pytest(directory):
            texts[project], _, _ = texts[project].partition("\n[tool.pytest")  # it would count instead of what is there
            tested = f"{tested} tests"  # pytest may be told to look elsewhere
        if extended:
            texts[project] = _extended(project, texts[project])
        _check(file for file in texts if not (extended and file == project))
    except OSError as error:
        raise BadOutput(f"{directory} can't be looked at: {error.strerror}. Nothing was written.") from error
    _write_all(texts, last=project)
    for file in texts:
        report.print(f"✓ {file}", markup=False, soft_wrap=True)
    if ignored not in texts:
        report.print(
            f"  {ignored} stays as it is: it should have /artifacts/, what runs leave.", markup=False, soft_wrap=True
        )
    where = "" if directory.resolve() == Path.cwd() else f"cd {directory} && "
    report.print(
        f"Prove it: `{where}{tested}`. To keep the cluster between runs: `{program('meshproof')} up` first.",
        markup=False,
        soft_wrap=True,
    )


def _files(directory: Path) -> Iterator[tuple[Path, str]]:
    """Give the files of the project, with their content."""
    for file in sorted(_TEMPLATE.rglob("*")):
        if file.is_file() and file.suffix != ".pyc":
            yield directory / file.relative_to(_TEMPLATE), file.read_text(encoding="utf-8")


def _configures_pytest(directory: Path) -> bool:
    """Return whether a file beside pyproject.toml is pytest's configuration.

    Source: https://docs.pytest.org/en/stable/reference/customize.html
    """
    if any(os.path.lexists(directory / f"{dot}pytest.{kind}") for dot in ("", ".") for kind in ("ini", "toml")):
        return True
    for name, section in (("tox.ini", "pytest"), ("setup.cfg", "tool:pytest")):
        parser = ConfigParser(interpolation=None, strict=False)
        with suppress(OSError, NoIni, UnicodeDecodeError):
            parser.read_string((directory / name).read_text(encoding="utf-8"))
        if parser.has_section(section):
            return True
    return False


def _extended(file: Path, addition: str) -> str:
    """Return a pyproject.toml with a table at its end; what is there stays as it is, to the last byte.

    Raises:
        BadOutput: It has a table of meshproof already, or none can be added at its end.
        BadProject: It can't be read or understood.
    """
    if not file.is_file():
        raise BadOutput(f"{file} is there already and is no file, and nothing was written. Choose another directory.")
    try:
        text = file.read_bytes().decode()
        before = tomllib.loads(text)
    except OSError as error:
        raise BadProject(f"{file} can't be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # TOML or UTF-8; tables within tables without end
        raise BadProject(f"{file} can't be understood: {error}.") from error
    tool = before.get("tool", {})
    if isinstance(tool, dict) and "meshproof" in tool:
        raise BadOutput(f"{file} has a [tool.meshproof] already, and nothing was written.")
    newline = "\r\n" if "\r\n" in text else "\n"
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    extended = text + f"{gap}{addition}".replace("\n", newline)
    if not _only_adds(extended, before, tomllib.loads(addition)["tool"]["meshproof"]):
        raise BadOutput(
            f"{file} has a `tool` to which no table can be added below, and nothing was written: write what is in it "
            "as tables ([tool.NAME]), and run this again or add the line [tool.meshproof] by hand."
        )
    return extended


def _only_adds(text: str, before: Mapping[str, object], table: Mapping[str, object]) -> bool:
    """Return whether a pyproject.toml says what it said before, the table of meshproof, and nothing else."""
    try:
        after = tomllib.loads(text)
    except ValueError:
        return False
    tool = after["tool"]
    if not isinstance(tool, dict) or tool.pop("meshproof", None) != table:
        return False
    if "tool" not in before:
        del after["tool"]
    return repr(after) == repr(before)  # nan is not equal to itself, and True is equal to 1


def _check(files: Iterable[Path]) -> None:
    """Look whether files can be made, before the first is.

    Raises:
        BadOutput: One is there already, or what should be its directory is none.
    """
    for file in files:
        for above in reversed(file.parents):
            if os.path.lexists(above) and not above.is_dir():
                raise BadOutput(f"{file} can't be written: {above} is no directory. Nothing was written.")
        if os.path.lexists(file):
            raise BadOutput(f"{file} is there already, and nothing was written. Choose another directory.")


def _write_all(texts: Mapping[Path, str], *, last: Path) -> None:
    """Write files, and make their directories; if one can't be written, none is there afterwards.

    Args:
        texts: What to write.
        last: The file that may be there already: if it can't be written it is as it was.

    Raises:
        MachineError: One can't be written.
    """
    made: list[Path] = []
    try:
        for file in sorted(texts, key=lambda file: file == last):
            try:
                for parent in reversed(file.parents):
                    if not parent.is_dir():
                        parent.mkdir()
                        made.append(parent)
            except OSError as error:
                raise MachineError(f"Tried to write {file}: {error.strerror}. Nothing was written.") from error
            if not os.path.lexists(file):
                made.append(file)
            write(file.resolve() if file.is_symlink() else file, texts[file])  # as a whole where a link leads, too
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise
