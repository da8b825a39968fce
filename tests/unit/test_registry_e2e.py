"""`make registry-e2e`: what counts as pulled by the node, in the log of a real `docker-registry`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meshproof.docker import Docker
from tools.registry_e2e import LocalRegistry

DIGESTS = [f"sha256:{letter * 64}" for letter in "abcde"]


def answered(digest: str, *, host: str = "172.18.0.1:5001", method: str = "GET", what: str = "blobs") -> str:
    """Return the line of a request that was answered."""
    uri = f"/v2/istio/pilot/{what}/{digest}?ns=127.0.0.1%3A5000"
    request = {"host": host, "method": method, "uri": uri}
    fields = {f"http.request.{name}": value for name, value in request.items()}
    return json.dumps({**fields, "http.response.written": 7, "msg": "response completed"})


def test_the_node_pulled_what_was_got_at_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of Docker's, questions whether there is something, and what failed, are no pulls of the node's."""
    blob, manifest, by_docker, asked_for, unanswered = DIGESTS
    began = {"http.request.host": "172.18.0.1:5001", "http.request.method": "GET", "msg": "authorized request"}
    lines = [
        "listening on [::]:5000",
        answered(blob),
        answered(manifest, what="manifests"),
        answered(by_docker, host="127.0.0.1:5000"),
        answered(asked_for, method="HEAD"),
        answered("latest", what="manifests"),
        json.dumps({**began, "http.request.uri": f"/v2/istio/pilot/blobs/{unanswered}"}),
    ]
    (tmp_path / "log").write_text("\n".join(lines) + "\n")
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\n[ "$*" = "logs ours" ] && cat {tmp_path}/log >&2\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    registry = LocalRegistry(Docker("0.0.0"), "ours", "127.0.0.1:5000", "http://172.18.0.1:5001")
    assert registry.pulled_by_the_node() == {blob: 7, manifest: 7}
