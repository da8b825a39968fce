"""`meshproof init`: the smallest project of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from meshproof.cli.options import FILE
from meshproof.cli.output import program, report
from meshproof.errors import BadOutput
from meshproof.project import Project, as_typed_here

_TEMPLATE = Path(__file__).parents[1] / "template"


@click.command("init")
@click.argument("directory", type=FILE, default=Path())
def command(*, directory: Path) -> None:
    """Write the smallest project: one manifest, one test, and what pyproject.toml has to say of them.

    A file that is there already is left alone: then nothing is written. A pyproject.toml that says nothing of meshproof
    gets its table at the end.
    """
    texts = dict(_files(directory))
    project = directory / "pyproject.toml"
    if project.exists():
        texts[project] = _extended(project, texts[project])
    if taken := [file for file in texts if file != project and file.exists()]:
        raise BadOutput(f"{taken[0]} is there already, and nothing was written. Choose another directory.")
    for file, text in texts.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise BadOutput(f"{file} could not be written: {error.strerror}.") from error
        report.print(f"✓ {file}", markup=False, soft_wrap=True)
    where = "" if directory.resolve() == Path.cwd() else f"cd {directory} && "
    report.print(
        f"Prove it: `{where}{program('pytest')}`. To keep the cluster between runs: `{program('meshproof')} up` first.",
        markup=False,
        soft_wrap=True,
    )


def _files(directory: Path) -> Iterator[tuple[Path, str]]:
    """Give the files of the project, with their content."""
    for file in sorted(_TEMPLATE.rglob("*")):
        if file.is_file() and file.suffix != ".pyc":
            yield directory / file.relative_to(_TEMPLATE), file.read_text(encoding="utf-8")


def _extended(file: Path, addition: str) -> str:
    """Return a pyproject.toml with what it lacks: the table of meshproof, and that of pytest if it has none.

    Raises:
        BadOutput: It has a table of meshproof already.
        BadProject: It can't be understood.
    """
    project = Project.of(file.parent.resolve())
    if project.declared and project.root == file.parent.resolve():
        raise BadOutput(f"{as_typed_here(file.resolve())} has a [tool.meshproof] already, and nothing was written.")
    text = file.read_text(encoding="utf-8")
    if "[tool.pytest.ini_options]" in text:
        addition = addition.partition("\n[tool.pytest")[0]
    return f"{text.rstrip()}\n\n{addition}"
