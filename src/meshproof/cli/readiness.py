"""`meshproof readiness`: who would lose connectivity if STRICT were switched on now."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.text import Text

from meshproof.cli.options import FILE, cluster_name
from meshproof.cli.output import STANDARD_OUTPUT, check, exit_code, report, write
from meshproof.cluster.kind import kept_cluster
from meshproof.cluster.kube import Kube
from meshproof.docker import daemon
from meshproof.mesh.readiness import Client, ConnectionCounts, Note, Readiness, Verdict, readiness_of
from meshproof.report.columns import TwoColumns
from meshproof.settings import cache_directory

_STYLES = {Verdict.READY: "green", Verdict.NOT_READY: "bold red", Verdict.UNKNOWN: "yellow"}


@click.command("readiness")
@cluster_name
@click.option(
    "--namespace",
    "namespaces",
    metavar="NAMESPACE",
    multiple=True,
    help="Where STRICT would be switched on; several may be. By default the whole mesh.",
)
@click.option(
    "--accept",
    "accepted",
    metavar="NAMESPACE/WORKLOAD",
    multiple=True,
    help="A client that may be refused: it does not count for the verdict; several may be.",
)
@click.option("--json", "json_file", metavar="FILE", type=FILE, help="Save the answer; - prints it.")
def command(*, name: str, namespaces: tuple[str, ...], accepted: tuple[str, ...], json_file: Path | None) -> None:
    """Tell who would lose connectivity if STRICT were switched on now, and why.

    It looks at a kept cluster and changes nothing. What the configuration says and what the proxies have seen are kept
    apart, and what could not be found out is unknown, never ready.

    Exit codes: 0 when nobody would be refused, 1 when somebody would, 4 for what can't be understood, 13 when there is
    no such cluster, 14 when it is not known.
    """
    printed = STANDARD_OUTPUT in check((json_file,))
    directory = cache_directory()
    with daemon(directory) as docker, kept_cluster(name, directory, docker) as cluster:
        answer = readiness_of(Kube(cluster.kubeconfig_path), namespaces, accepted)
    if not printed:
        show(answer, cluster.kubeconfig_path)
    if json_file:
        write(json_file, json.dumps(document(answer, cluster.kubeconfig_path), indent=1) + "\n")
    code = exit_code(deviates=answer.verdict is Verdict.NOT_READY, unknown=answer.verdict is Verdict.UNKNOWN)
    if code:
        raise click.exceptions.Exit(code)


def show(answer: Readiness, kubeconfig: Path) -> None:
    """Print the answer, below the command that has kubectl go to the cluster that it is about: the remedies name none.

    Args:
        answer: The answer.
        kubeconfig: That of the cluster.
    """
    report.print(Text(f"export KUBECONFIG={shlex.quote(str(kubeconfig))}"), soft_wrap=True)
    report.print(picture(answer))


def picture(answer: Readiness) -> RenderableType:
    """Return the answer as tables."""
    where = ", ".join(answer.namespaces) or "the whole mesh"
    accepted = ", ".join(dict.fromkeys(client.name for client in answer.accepted))
    but_for = f" ({accepted} may be refused)" if accepted else ""
    parts: list[RenderableType] = [Text(f"STRICT for {where}: {answer.verdict}{but_for}", _STYLES[answer.verdict])]
    if not answer.servers:
        parts.append(Text("No workload there takes plaintext now that STRICT would refuse."))
    for head, rows in _tables(answer):
        if rows:
            parts += ["", TwoColumns([(Text(first), Text(second)) for first, second in rows], head)]
    return Group(*parts)


def _tables(answer: Readiness) -> Iterator[tuple[tuple[str, str], Sequence[tuple[str, str]]]]:
    """Give each table: the heads of its columns, and its rows."""
    yield (
        ("Client that would be refused", "Why, and what to do"),
        [
            (
                client.name,
                "\n".join(
                    (
                        *_why_refused(client),
                        f"Do: {client.cause.remedy}",
                        *_comes_with_us(answer, client.name, f"; `--accept {client.name}` leaves it out"),
                    )
                ),
            )
            for client in answer.clients
        ],
    )
    yield (
        ("Accepted: client that may be refused", "Why it would be"),
        [
            *((client.name, "\n".join(_why_refused(client))) for client in answer.accepted),
            *((name, "It is not known to be refused: there is nothing to accept.") for name in answer.not_refused),
        ],
    )
    yield (
        ("Server that would refuse plaintext", "What its proxies have seen"),
        [
            (
                server.name,
                "\n".join(
                    (
                        f"{server.verdict}: {server.why}",
                        _counted(server.connections),
                        *_comes_with_us(answer, server.name),
                    )
                ),
            )
            for server in answer.servers
        ],
    )
    yield ("Unknown", "Why"), _notes(answer.unknown)
    yield ("Stays open to plaintext", "Why"), _notes(answer.stays_open)
    yield ("Takes no plaintext now", ""), [(name, "STRICT changes nothing here.") for name in answer.strict_already]


def _notes(notes: Iterable[Note]) -> list[tuple[str, str]]:
    return [(note.subject, note.text) for note in notes]


def _why_refused(client: Client) -> Iterator[str]:
    yield client.cause.reason
    yield f"Refused by {', '.join(client.refused_by)}; {_seen(client.seen)}."


def _comes_with_us(answer: Readiness, name: str, more: str = "") -> Iterator[str]:
    if name in answer.applications:
        yield f"It comes with meshproof's clusters{more}."


def _seen(requests: dict[str, int]) -> str:
    if not requests:
        return "known from the configuration, and not seen in traffic"
    return "requests seen: " + ", ".join(f"{count} to {server}" for server, count in sorted(requests.items()))


def _counted(connections: ConnectionCounts | None) -> str:
    if connections is None:
        return "Connections: unknown."
    return (
        f"Connections since its proxies began: with mutual TLS {connections.mutual_tls}, "
        f"without {connections.plaintext}, of which {connections.open_plaintext} are open."
    )


def document(answer: Readiness, kubeconfig: Path) -> dict[str, Any]:
    """Return the answer, and the kubeconfig of the cluster that it is about, as JSON has them."""
    return {
        "verdict": str(answer.verdict),
        "kubeconfig": str(kubeconfig),
        "namespaces": [*answer.namespaces],
        "clients": [_client(client, answer) for client in answer.clients],
        "accepted": [_client(client, answer) for client in answer.accepted],
        "accepted_but_not_refused": [*answer.not_refused],
        "servers": [
            {
                "server": server.name,
                "pods": [*server.pods],
                "ports": [*server.ports],
                "verdict": str(server.verdict),
                "reason": server.why,
                "connections": server.connections
                and {
                    "mutual_tls": server.connections.mutual_tls,
                    "plaintext": server.connections.plaintext,
                    "open_plaintext": server.connections.open_plaintext,
                },
                "from_pods_that_are_gone": server.gone,
                "comes_with_cluster": server.name in answer.applications,
            }
            for server in answer.servers
        ],
        "unknown": [{"subject": note.subject, "reason": note.text} for note in answer.unknown],
        "stays_open": [{"subject": note.subject, "reason": note.text} for note in answer.stays_open],
        "strict_already": [*answer.strict_already],
    }


def _client(client: Client, answer: Readiness) -> dict[str, Any]:
    return {
        "client": client.name,
        "pods": [*client.pods],
        "refused_by": client.refused_by,
        "reason": client.cause.reason,
        "remedy": client.cause.remedy,
        "evidence": sorted(map(str, client.evidence)),
        "seen": client.seen,
        "comes_with_cluster": client.name in answer.applications,
    }
