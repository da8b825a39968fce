"""`meshproof upgrade`: whether an upgrade of the mesh is safe, and what it changes."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from meshproof.cli.options import FILE, where_images_come_from
from meshproof.cli.output import report
from meshproof.errors import BadInput, ExitCode
from meshproof.project import current_project
from meshproof.settings import Settings, cache_directory, default_cluster_name
from meshproof.upgrade import (
    SHORTEST_GAP_MS,
    Budget,
    Checked,
    Order,
    Side,
    Strategy,
    checked,
    overlay_of,
    preview_of,
    read_acknowledgements,
    upgraded,
)
from meshproof.versions import Asked, ImageSource, istio_and_envoy

_DIRECTORY = "upgrade"


def _gap(_context: click.Context, _option: click.Parameter, value: float) -> float:
    """Return a gap in ms that can be told; with no number, or one without end, none would ever be too long.

    Raises:
        BadInput: It is no finite one, or shorter than what can be told.
    """
    if not isfinite(value):
        raise BadInput(f"--gap {value} would let every gap pass: give a number of milliseconds, such as 5000.")
    if value < SHORTEST_GAP_MS:
        raise BadInput(
            f"--gap {value:g} is less than can be told: on a slow machine new connections are made every "
            f"{SHORTEST_GAP_MS / 2:.0f} ms. Give {SHORTEST_GAP_MS:.0f} or more."
        )
    return value


def _some_marks(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """Return the marks of rows; pytest would take an empty text for all that there are.

    Raises:
        BadInput: There is none.
    """
    if not value.strip():
        raise BadInput("--marks names no mark, and would have every test tried: give one, such as upgrade.")
    return value


@click.command("upgrade")
@click.argument("tests", nargs=-1, metavar="[TESTS]...")
@click.option("--from", "before", metavar="VERSION", required=True, help="Istio before, such as 1.30.")
@click.option(
    "--to",
    "after",
    metavar="VERSION",
    help="Istio after, such as 1.31.0 or 1.31.0/envoy-1.40.0; with a new cluster by default the same.",
)
@click.option(
    "--strategy",
    type=click.Choice([strategy.value for strategy in Strategy]),
    help="A second control plane beside the first one (canary, the default), or in its place; or the mesh on a new "
    "cluster.",
)
@click.option("--rollback", is_flag=True, help="Turn round half-way, and go back.")
@click.option(
    "--overlay",
    "overlays",
    metavar="FILE",
    multiple=True,
    type=FILE,
    help="Your IstioOperator, for both sides; several may be.",
)
@click.option(
    "--to-overlay",
    "to_overlays",
    metavar="FILE",
    multiple=True,
    type=FILE,
    help="An IstioOperator for the new side only; several may be.",
)
@click.option("--acknowledge", metavar="FILE", type=FILE, help="What may be otherwise afterwards, with the reasons.")
@click.option(
    "--marks",
    metavar="MARKS",
    callback=_some_marks,
    default="upgrade",
    show_default=True,
    help="Which rows to try in each state.",
)
@click.option(
    "--lost",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Requests that a flow may lose.",
)
@click.option(
    "--gap",
    metavar="MS",
    type=float,
    callback=_gap,
    default=5000.0,
    show_default=True,
    help=f"The longest gap of a flow, {SHORTEST_GAP_MS:.0f} or more.",
)
@click.option(
    "--kubernetes-version", "kubernetes", metavar="VERSION", help="Release of Kubernetes; with a new cluster, before."
)
@click.option(
    "--to-kubernetes",
    metavar="VERSION",
    help="Release of Kubernetes after, on a new cluster: --strategy new-cluster.",
)
@where_images_come_from
@click.option("--keep-cluster", is_flag=True, help="Leave the cluster running at the end.")
@click.option("--plan", is_flag=True, help="Print what would be done and observed, and do nothing.")
def command(
    *,
    tests: tuple[str, ...],
    before: str,
    after: str | None,
    strategy: str | None,
    rollback: bool,
    overlays: tuple[Path, ...],
    to_overlays: tuple[Path, ...],
    acknowledge: Path | None,
    marks: str,
    lost: int,
    gap: float,
    kubernetes: str | None,
    to_kubernetes: str | None,
    images: ImageSource,
    keep_cluster: bool,
    plan: bool,
) -> None:
    """Upgrade a mesh on a cluster of its own, look at it in each state, and say whether that is safe.

    With --to-kubernetes it is looked at on a cluster of one release of Kubernetes, and then on a new one of another.

    TESTS are what pytest is to try in each state, as it would be told; of them, the rows with the mark `upgrade`.

    Exit codes: 0 when it is safe, 1 when a row is broken that was kept before, 4 for what can't be understood, 13
    when another upgrade is going on, 14 when it is not known, 21 when something was let through that must be
    refused, 22 when it could not be done, 23 when too much was lost, 24 when the mesh does something otherwise, 130
    when it was interrupted, by Ctrl-C, SIGTERM or a closed terminal.
    """
    way = _way(strategy, kubernetes, to_kubernetes, rollback=rollback)
    directory = current_project().artifacts / _DIRECTORY
    if acknowledge and acknowledge.resolve().is_relative_to(directory.resolve()):
        raise BadInput(
            f"--acknowledge {acknowledge} is where each upgrade removes what it finds: copy it, and name that."
        )
    if not after:
        if way is not Strategy.NEW_CLUSTER:
            raise BadInput("--to is missing: it says which Istio the mesh is to have, such as --to 1.31.0.")
        after = before
    order = Order(
        before=_side(before, overlays, kubernetes),
        after=_side(after, overlays, to_kubernetes or kubernetes, to_overlays),
        strategy=way,
        rollback=rollback,
        rows=["-m", marks, *tests],
        budget=Budget(lost, gap),
        acknowledgements=read_acknowledgements(acknowledge) if acknowledge else (),
        directory=directory,
        overlays=tuple(map(overlay_of, overlays)),
        to_overlays=tuple(map(overlay_of, to_overlays)),
    )
    name = f"{default_cluster_name()}-upgrade"
    asked = Asked(order.before.istio, kubernetes, order.before.envoy or None, (after,))
    settings = Settings(name, keep_cluster, images, asked, cache=cache_directory())
    if plan:
        _print_plan(checked(order, settings))
        return
    result = upgraded(order, settings)
    if result.exit_code is not ExitCode.DONE:
        raise click.exceptions.Exit(result.exit_code)


def _way(strategy: str | None, kubernetes: str | None, to_kubernetes: str | None, *, rollback: bool) -> Strategy:
    """Return how to upgrade.

    Raises:
        BadInput: Two options contradict each other, or one lacks the other.
    """
    way = Strategy(strategy) if strategy else Strategy.NEW_CLUSTER if to_kubernetes else Strategy.CANARY
    if to_kubernetes and way is not Strategy.NEW_CLUSTER:
        raise BadInput(
            f"--to-kubernetes {to_kubernetes} is for a new cluster, and --strategy {way.value} stays on the one that "
            f"is there: leave one of them out, or say --strategy {Strategy.NEW_CLUSTER.value}."
        )
    if to_kubernetes and not kubernetes:
        raise BadInput(
            f"--to-kubernetes {to_kubernetes} is the release of the new cluster: say with --kubernetes-version which "
            "one the old cluster has."
        )
    if rollback and way is Strategy.NEW_CLUSTER:
        raise BadInput(
            "--rollback is for an upgrade on one cluster: when the mesh is on a new one the old one is deleted. Leave "
            "--rollback out, or upgrade the other way round."
        )
    return way


def _side(name: str, common: Sequence[Path], kubernetes: str | None, own: Sequence[Path] = ()) -> Side:
    """Return a side, with the overlays of both sides and those of its own, by which it is told from the other."""
    istio, envoy = istio_and_envoy(name)
    overlays = [str(file) for file in (*common, *own)]
    called = f"{name} with {' and '.join(file.name for file in own)}" if own else name
    return Side(called, istio, envoy or "", kubernetes or "", overlays)


def _print_plan(ready: Checked) -> None:
    """Print the states with what leads to each and how long that takes, and what all of it is about."""
    order = ready.order
    table = Table(title=f"{order.before.name} → {order.after.name}, {order.strategy.value}")
    for column in ("State", "What is done", "About", "To look at it"):
        table.add_column(column)
    for planned in order.stages:
        steps = [*([planned.cluster] if planned.cluster else []), *(step.text for step in planned.steps)]
        table.add_row(str(planned.state), "\n".join(steps), f"{planned.to_reach:.0f} s", f"{planned.to_look:.0f} s")
    report.print(table)
    for name, text in preview_of(ready):
        report.print(Text.assemble((f"{name}: ", "bold"), text), soft_wrap=True)
