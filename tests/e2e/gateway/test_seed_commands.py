"""Seed commands: the certificates and Secrets that the seeds' commands make work, and their clean-up leaves nothing."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from meshproof.certificates.tree import read
from meshproof.errors import FaultyManifests
from meshproof.machine import process
from meshproof.machine.undoing import afterwards
from meshproof.mesh import faults, manifests
from meshproof.project import current_project
from meshproof.testing import (
    TIMEOUTS,
    Eventually,
    Leaf,
    Level,
    Outcome,
    Scenario,
    Snapshot,
    Testbed,
    analyze,
    http,
    tls,
)

pytestmark = pytest.mark.slow

FILES = Path(__file__).with_name("seed_commands")
ON_THE_NODE = "/seed-commands"
DEFAULTS = "\n" * 20  # who is asked for a name takes the default
YES = "y\ny\n"  # and who is asked whether to sign says so
SLIP, MEANT = "mysdsgateway-tlsversion-sample", "mysdsgateway"

# The commands are those of the seeds, as they are; what they ask is answered on their standard input. `touch index.txt`
# and `echo '01' > serial.txt` are done in Python.
COMMANDS_0 = """
openssl req -x509 -sha256 -nodes -days 365 -newkey rsa:2048 -subj '/O=myexample Inc./CN=aliyun.com' -keyout aliyun.root.key -out aliyun.root.crt
openssl req -out aliyun.com.csr -newkey rsa:2048 -nodes -keyout aliyun.com.key -subj "/CN=aliyun.com/O=myexample organization"
openssl x509 -req -days 365 -CA aliyun.root.crt -CAkey aliyun.root.key -set_serial 0 -in aliyun.com.csr -out aliyun.com.crt
kubectl create -n istio-system secret tls myexample-credential --key=aliyun.com.key --cert=aliyun.com.crt
"""  # noqa: E501
COMMANDS_1 = """
openssl req -x509 -config ca.cnf -newkey rsa:4096 -sha256 -nodes -out cacert.pem -outform PEM
openssl req -config server.cnf -newkey rsa:2048 -sha256 -nodes -out server.csr -outform PEM
openssl ca -config ca.cnf -policy signing_policy -extensions signing_req -out servercert.pem -infiles server.csr
openssl req -config client.cnf -newkey rsa:2048 -sha256 -nodes -out clientcert.csr -outform PEM
openssl ca -config ca.cnf -policy signing_policy -extensions signing_req -out clientcert.pem -infiles clientcert.csr
kubectl create -n istio-system secret generic test.com --from-file=tls.key=serverkey.pem --from-file=tls.crt=servercert.pem --from-file=ca.crt=cacert.pem
"""  # noqa: E501
COMMANDS_2 = """
openssl req -x509 -sha256 -nodes -days 365 -newkey rsa:2048 -subj '/O=mynginx Inc./CN=aliyun.com' -keyout aliyun.root.key -out aliyun.root.crt
openssl req -out sample.aliyun.com.csr -newkey rsa:2048 -nodes -keyout sample.aliyun.com.key -subj "/CN=sample.aliyun.com/O=mynginx sample organization"
openssl x509 -req -days 365 -CA aliyun.root.crt -CAkey aliyun.root.key -set_serial 0 -in sample.aliyun.com.csr -out sample.aliyun.com.crt
kubectl create configmap mynginx-configmap --from-file=nginx.conf=./mynginx.conf
kubectl create secret tls nginx-server-certs --key sample.aliyun.com.key --cert sample.aliyun.com.crt
"""  # noqa: E501
# Only the third seed says how to clean up; of the others it is what they have made, by kind and name.
CLEAN_UP_0 = """
kubectl delete gateway mysdsgateway
kubectl delete virtualservice bookinfo-tlsversion-sample
kubectl delete -n istio-system secret myexample-credential
"""
CLEAN_UP_1 = """
kubectl delete -n istio-system authorizationpolicy test
kubectl delete gateway httpbin
kubectl delete virtualservice httpbin
kubectl delete -n istio-system secret test.com
"""
CLEAN_UP_2 = """
kubectl delete gateway istio-mynginx-customingressgateway
kubectl delete virtualservice istio-mynginx-customvirtualservice
kubectl delete service mynginxapp
kubectl delete deployment mynginxapp
kubectl delete secret nginx-server-certs
kubectl delete configmap mynginx-configmap
"""


class SeedCommands:
    """The commands of a seed, in a directory of their own.

    Attributes:
        testbed: Where they are run.
        directory: The files that they read and write.
        namespace: Where kubectl makes what has no namespace of its own.
        clean_up_commands: What deletes again what the others have made.
    """

    def __init__(self, testbed: Testbed, directory: Path) -> None:
        self.testbed = testbed
        self.directory = directory
        self.namespace = "default"
        self.clean_up_commands = ""
        self._node = f"{testbed.cluster.name}-control-plane"

    def run(self, commands: str, *options: str) -> None:
        """Run commands one after the other: openssl on this machine, kubectl on the node with the same files."""
        for line in filter(None, commands.splitlines()):
            program, *words = shlex.split(line)
            if program == "openssl":
                answers = YES if words[0] == "ca" else DEFAULTS
                process.run([program, *words], cwd=self.directory, stdin=answers, timeout=TIMEOUTS.program)
            else:
                self._on_the_node(program, f"--namespace={self.namespace}", *words, *options)

    def apply(self, file: Path) -> None:
        """Apply a manifest; the image that it names by its role is put in."""
        documents = manifests.load([file], images=self.testbed.images, certificates=self.testbed.certificates)
        (self.directory / "applied.yaml").write_text(yaml.safe_dump_all(documents))
        self._on_the_node("kubectl", "apply", "-f", "applied.yaml")

    def leaf(self, certificate: str, key: str) -> Leaf:
        """Return what was made, to be shown."""
        return Leaf.from_pem((self.directory / certificate).read_bytes(), (self.directory / key).read_bytes())

    def pem(self, certificate: str) -> bytes:
        """Return a certificate, to be trusted."""
        return (self.directory / certificate).read_bytes()

    def clean_up(self) -> None:
        """Delete what is left, also of a test that has failed, and the keys on the node."""
        self.run(self.clean_up_commands, "--ignore-not-found")
        self.testbed.cluster.docker.run("exec", self._node, "rm", "-rf", ON_THE_NODE)

    def _on_the_node(self, program: str, *words: str) -> None:
        docker = self.testbed.cluster.docker
        docker.run("cp", f"{self.directory}/.", f"{self._node}:{ON_THE_NODE}")
        admin = "--kubeconfig=/etc/kubernetes/admin.conf"
        docker.run("exec", f"--workdir={ON_THE_NODE}", self._node, program, admin, *words)


@pytest.fixture
def seed_commands(scenario: Scenario, testbed: Testbed, tmp_path: Path) -> Iterator[SeedCommands]:
    """The commands of a seed, in a directory that has the files of the seeds."""
    directory = tmp_path / "seed"
    shutil.copytree(FILES, directory)
    (directory / "index.txt").touch()
    (directory / "serial.txt").write_text("01\n")
    commands = SeedCommands(testbed, directory)
    if not testbed.cluster.created:  # a killed run may have left what has no label of a scenario
        commands.run(CLEAN_UP_0 + CLEAN_UP_1, "--ignore-not-found")
    with afterwards(commands.clean_up):
        yield commands


def clean_up_leaves_nothing(commands: SeedCommands, before: Snapshot, eventually: Eventually) -> None:
    """Run the commands of the clean-up, each of which has something to delete, and look until all is as before."""
    commands.run(commands.clean_up_commands)
    commands.clean_up_commands = ""
    eventually(lambda: before.differences(commands.testbed.kube.snapshot()), list, [])


@pytest.mark.seed(number=0)
def test_seed_0(seed_commands: SeedCommands, testbed: Testbed, eventually: Eventually) -> None:
    """The gateway shows the certificate; the route leads there once the VirtualService names the Gateway that there is.

    The name that it has in the seed is no Gateway's: the gateway answers 404, and both our own look at the manifest and
    istioctl's at the cluster say so.
    """
    before, host = testbed.kube.snapshot(), "aliyun.com"
    seed_commands.clean_up_commands = CLEAN_UP_0
    seed_commands.run(COMMANDS_0)
    seed_commands.apply(FILES / "seed_0.yaml")
    trust, address = seed_commands.pem("aliyun.root.crt"), testbed.gateway[443]
    handshake = eventually(
        lambda: tls.handshake(address, sni=host, trust=trust), lambda handshake: handshake.outcome, Outcome.ESTABLISHED
    )
    assert handshake.peer
    assert (handshake.peer.serial, handshake.peer.common_name) == (0, host)

    def ask() -> http.Answer:
        return http.get(address, "/productpage", host=host, trust=trust)

    eventually(ask, lambda answer: answer.status, 404)
    with pytest.raises(FaultyManifests) as ours:
        faults.check(manifests.application_files(), {FILES / "seed_0.yaml": None}, read(current_project().certificates))
    assert (
        f"VirtualService default/bookinfo-tlsversion-sample binds to the Gateway {SLIP}, which no manifest has"
    ) in str(ours.value)
    istioctl, kubeconfig = testbed.images.mesh.istioctl, testbed.cluster.kubeconfig_path

    def errors() -> list[str]:
        messages = analyze(istioctl, kubeconfig=kubeconfig)
        return [str(message) for message in messages if message.level is Level.ERROR]

    slip = f'Error IST0101 (VirtualService default/bookinfo-tlsversion-sample): Referenced gateway not found: "{SLIP}"'
    assert errors() == [slip]
    assert slip in map(str, analyze(istioctl, FILES / "seed_0.yaml"))
    mended = seed_commands.directory / "mended.yaml"
    mended.write_text((FILES / "seed_0.yaml").read_text().replace(SLIP, MEANT))
    seed_commands.apply(mended)
    eventually(ask, lambda answer: answer.status, 200)
    assert errors() == []
    clean_up_leaves_nothing(seed_commands, before, eventually)


@pytest.mark.seed(number=1)
def test_seed_1(seed_commands: SeedCommands, testbed: Testbed, eventually: Eventually) -> None:
    """With mutual TLS the client's certificate gets in but for one path, the server's everywhere, and none nowhere."""
    before, host = testbed.kube.snapshot(), "test.com"
    seed_commands.clean_up_commands = CLEAN_UP_1
    seed_commands.run(COMMANDS_1)
    seed_commands.apply(FILES / "seed_1.yaml")
    client, server = (
        seed_commands.leaf("clientcert.pem", "client.key.pem"),
        seed_commands.leaf("servercert.pem", "serverkey.pem"),
    )
    assert (client.names, server.names) == (("spiffe://test.client",), (host,))

    def ask(path: str, shown: Leaf) -> http.Answer:
        return http.get(testbed.gateway[443], path, host=host, trust=seed_commands.pem("cacert.pem"), client=shown)

    for path, shown, status, body in (
        ("/status/418", client, 403, "RBAC: access denied"),
        ("/status/200", client, 200, ""),
        ("/status/418", server, 418, "-=[ teapot ]=-"),
    ):
        answer = eventually(partial(ask, path, shown), lambda answer: answer.status, status)
        assert body in answer.body
        assert (answer.version, answer.headers["server"]) == ("HTTP/2", "istio-envoy")
        assert answer.certificate == server.serial
    eventually(
        lambda: tls.handshake(testbed.gateway[443], sni=host, trust=seed_commands.pem("cacert.pem")),
        lambda handshake: handshake.outcome,
        Outcome.CLIENT_CERT_REQUIRED,
    )
    clean_up_leaves_nothing(seed_commands, before, eventually)


@pytest.mark.seed(number=2)
def test_seed_2(seed_commands: SeedCommands, testbed: Testbed, eventually: Eventually) -> None:
    """The certificate that arrives at the client is the one that was given to NGINX, and its authority's."""
    before, host = testbed.kube.snapshot(), "sample.aliyun.com"
    seed_commands.namespace, seed_commands.clean_up_commands = "seed-commands", CLEAN_UP_2
    seed_commands.run(COMMANDS_2)
    seed_commands.apply(FILES / "seed_2.yaml")
    testbed.kube.deployments.rolled_out("seed-commands", "mynginxapp")
    trust = seed_commands.pem("aliyun.root.crt")
    answer = eventually(
        lambda: http.get(testbed.gateway[443], "/", host=host, trust=trust), lambda answer: answer.status, 200
    )
    assert answer.body == "Welcome to aliyun.com without TLS Termination!"
    assert answer.headers["server"].startswith("nginx")
    handshake = tls.handshake(testbed.gateway[443], sni=host, trust=trust)
    assert handshake.peer
    assert (handshake.peer.serial, handshake.peer.common_name) == (0, host)
    clean_up_leaves_nothing(seed_commands, before, eventually)


def test_what_is_left_is_seen(scenario: Scenario, testbed: Testbed) -> None:
    """Two looks at the same cluster differ in nothing; what is new, changed or gone is told by its name."""
    kube = testbed.kube
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "left", "namespace": "seed-commands"}}
    before = kube.snapshot()
    assert before.differences(kube.snapshot()) == []
    try:
        kube.apply([{**secret, "stringData": {"a": "one"}}])
        left = kube.snapshot()
        assert before.differences(left) == ["Secret seed-commands/left is there, and was not."]
        kube.apply([{**secret, "stringData": {"a": "another"}}])
        assert left.differences(kube.snapshot()) == ["Secret seed-commands/left has changed: data."]
    finally:
        kube.delete([secret])
    assert left.differences(kube.snapshot()) == ["Secret seed-commands/left is gone."]
    assert before.differences(kube.snapshot()) == []
