"""The verdict of a server, from what its proxies have counted and what their logs say."""

from __future__ import annotations

from collections.abc import Mapping

from meshproof.mesh.readiness.answer import Server, Verdict


def conclude(
    server: Server,
    requests: Mapping[str, int],
    named: int,
    *,
    accepted: Mapping[str, int] | None = None,
    stays_open: bool = False,
) -> None:
    """Give a server its verdict.

    Args:
        server: The server.
        requests: How many requests without mutual TLS came from whom, of those that are still there.
        named: Of how many connections the log has who made them.
        accepted: How many requests without mutual TLS came from whom, of those that may be refused.
        stays_open: Whether other ports of it take plaintext under STRICT too: its counters are of all ports together.
    """
    counts = server.connections
    excused = [f"from {_counted(accepted)}, which may be refused"] if accepted else []
    if stays_open:
        excused.append("at ports that stay open")
    if requests:
        server.verdict, server.why = Verdict.NOT_READY, f"Requests without mutual TLS came from {_counted(requests)}."
    elif counts is None:
        server.why = "Not every proxy of it answered."
    elif counts.open_plaintext and excused:
        server.why = f"{counts.open_plaintext} connections without mutual TLS are open, perhaps {' or '.join(excused)}."
    elif counts.open_plaintext:
        server.verdict = Verdict.NOT_READY
        server.why = f"{counts.open_plaintext} connections without mutual TLS are open; the log does not say whose."
    elif counts.plaintext > named:
        server.why = (
            f"Who made {counts.plaintext - named} of {counts.plaintext} connections without mutual TLS is in no log."
        )
    elif not counts.mutual_tls:
        server.why = "Nobody has called it with mutual TLS since its proxy began."
    else:
        server.verdict, server.why = Verdict.READY, "All that came was mutual TLS."
        if counts.plaintext:
            origins = excused if excused and not server.gone else [*excused, "from pods that are gone"]
            server.why = f"What came without mutual TLS came {', or '.join(origins)}."


def _counted(requests: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sorted(requests.items()))
