"""What postures are compared with, and how a scan ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from meshproof.cli.output import exit_code
from meshproof.errors import BadTarget
from meshproof.posture import comparison
from meshproof.posture.comparison import Row
from meshproof.posture.verdict import Severity
from meshproof.tls import Posture
from meshproof.tls.protocol.profile import Profile

if TYPE_CHECKING:
    from meshproof.posture.expectations import Expectations
    from meshproof.posture.verdict import Finding
    from meshproof.report import document


class Asked(NamedTuple):
    """What the postures are to be compared with.

    Attributes:
        expect: The file of expectations.
        expectations: What is in it.
        fail_on: Findings that are so bad, or worse, are deviations.
        certificate: Whether a client certificate was given.
    """

    expect: str | None = None
    expectations: Expectations | None = None
    fail_on: Severity | None = None
    certificate: bool = False

    @property
    def nothing(self) -> bool:
        """Whether anything will do."""
        return not (self.expectations or self.fail_on or self.certificate)

    @property
    def of_our_certificate(self) -> bool:
        """Whether a client certificate was given of which no expectation says what becomes of it."""
        return self.certificate and not (self.expectations and self.expectations.of_our_certificate)

    @property
    def clients(self) -> Iterable[str]:
        """The clients that are to be simulated for it."""
        return self.expectations.clients if self.expectations else ()

    def rows(self, posture: Posture) -> list[Row]:
        """Return a row for each thing that was asked of a posture."""
        rows: list[Row] = []
        if self.expectations:
            from meshproof.posture.expectations_met import compare  # noqa: PLC0415 - as in what_is_asked

            rows += compare(self.expectations, posture)
        if self.of_our_certificate and posture.unreachable is None:
            rows.append(comparison.not_refused(posture))
        if self.fail_on:
            rows += comparison.gate(posture, self.fail_on)
        return list(dict.fromkeys(rows))  # a target that did not answer is one row, whoever asks


class Manifest(NamedTuple):
    """A file of Gateways.

    Attributes:
        file: The file.
        findings: What would not do as it says.
        rows: What ``--fail-on`` makes of them; none without it.
    """

    file: str
    findings: Sequence[Finding]
    rows: Sequence[Row]


class Found(NamedTuple):
    """What came out of it all.

    Attributes:
        asked: What the postures were compared with.
        postures: What was found.
        rows: Of each posture what was asked of it.
        manifest: The file of Gateways, if there is one.
    """

    asked: Asked
    postures: Sequence[Posture]
    rows: Sequence[Sequence[Row]]
    manifest: Manifest | None

    @property
    def names(self) -> list[str]:
        """What the targets are called."""
        return comparison.labels(self.postures)

    @property
    def compared(self) -> list[tuple[str, Sequence[Row]]]:
        """The rows by what they are about: a target, or the file of Gateways where ``--fail-on`` asks for it."""
        about_manifest = [(self.manifest.file, self.manifest.rows)] if self.manifest and self.asked.fail_on else []
        return [*zip(self.names, self.rows, strict=True), *about_manifest]

    @property
    def code(self) -> int:
        """How the command ends. Where no file says what counts, all that is unknown does."""
        rows = [row for _, rows in self.compared for row in rows]
        unasked = not self.asked.expectations and any(posture.unknown for posture in self.postures)
        return exit_code(
            deviates=any(row.deviates for row in rows), unknown=unasked or any(row.unknown for row in rows)
        )

    def document(self, clients: str) -> document.Json:
        """Return all of it as JSON, which says of which date the clients are."""
        from meshproof.report import document  # noqa: PLC0415 - most scans write none

        asked = self.asked
        compared = {
            "expectations": asked.expect,
            "fail_on": str(asked.fail_on) if asked.fail_on else None,
            "rows": [row for name, rows in self.compared for row in document.rows_to_json(name, rows)],
        }
        return document.to_json(
            self.postures,
            clients=clients,
            aes=document.machine_has_aes(),
            comparison=None if asked.nothing else compared,
            gateway=self.manifest.findings if self.manifest else None,
        )


def what_is_asked(
    expect: str | None, clients: Iterable[Profile], fail_on: Severity | None, *, certificate: bool
) -> Asked:
    """Return what postures are compared with.

    Args:
        expect: The file of --expect.
        clients: The clients that expectations can name.
        fail_on: Findings that are so bad, or worse, are deviations.
        certificate: Whether a client certificate was given.

    Raises:
        BadTarget: The expectations need a client certificate.
        Unreadable: They can't be understood.
    """
    if expect is None:
        return Asked(fail_on=fail_on, certificate=certificate)
    from meshproof.posture.expectations_file import read  # noqa: PLC0415 - YAML takes time that most scans can save

    wanted = read(Path(expect), {profile.name: profile.group for profile in clients})
    if wanted.of_our_certificate and not certificate:
        raise BadTarget(f"{expect} says what becomes of a client certificate: give one with --cert and --key.")
    return Asked(expect, wanted, fail_on, certificate)


def manifest_of(file: str | None, fail_on: Severity | None) -> Manifest | None:
    """Return what would not do as it says in a file of Gateways; None without a file.

    Raises:
        Unreadable: The file can't be understood.
    """
    if file is None:
        return None
    from meshproof.posture.gateway import gateway_warnings  # noqa: PLC0415 - as above

    findings = gateway_warnings(Path(file))
    return Manifest(file, findings, comparison.gate_of_gateway(findings, fail_on) if fail_on else ())


def severity_of(word: str | None) -> Severity | None:
    """Return the severity that --fail-on names; None without a word.

    Raises:
        BadTarget: There is no such severity.
    """
    if word is None or word in list(map(str, Severity)):
        return Severity(word) if word else None
    raise BadTarget(f"--fail-on {word} is no severity: write {' or '.join(map(str, Severity))}.")
