"""Deployments: whether they are rolled out, and the replacement of pods that are outdated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import NotFoundError

from meshproof.cluster.kube.connection import Connection, in_our_words
from meshproof.cluster.kube.pods import Pods, is_ready
from meshproof.cluster.kube.same_pod import is_same_pod
from meshproof.cluster.objects import Document, containers_of, strings
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS

_RESTARTED = "kubectl.kubernetes.io/restartedAt"
_AT_ONCE = 2
"""How many Deployments are restarted side by side: where all pods begin at once, what is there answers late."""


class Deployments:
    """The Deployments of one cluster."""

    def __init__(self, connection: Connection, pods: Pods) -> None:
        self._connection = connection
        self._pods = pods

    @in_our_words
    def rolled_out(self, namespace: str, *names: str) -> None:
        """Wait until each Deployment has all its replicas up to date and available.

        Raises:
            NotSettled: Which pod is not ready, its last event and its last line of log.
        """

        def waiting() -> str:
            behind = [name for name in names if not self.is_rolled_out(namespace, name)]
            return f"waiting for {', '.join(behind)}" if behind else "complete"

        until(
            waiting,
            "complete",
            what=f"The rollout of {', '.join(names)} in {namespace}",
            timeout=TIMEOUTS.rollout,
            hint=lambda: self._pods.explain(namespace),
        )

    @in_our_words
    def is_rolled_out(self, namespace: str, name: str) -> bool:
        """Return whether a Deployment has all its replicas up to date and available."""
        try:
            deployment = self._connection.get("apps/v1", "Deployment", namespace=namespace, name=name)
        except NotFoundError:
            return False
        status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
        is_current = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        replicas = {status.get(kind, 0) for kind in ("updatedReplicas", "replicas", "availableReplicas")}
        return is_current and replicas == {wanted}

    @in_our_words
    def names(self, namespace: str) -> list[str]:
        """Return the names of a namespace's Deployments."""
        return [
            item["metadata"]["name"] for item in self._connection.listed("apps/v1", "Deployment", namespace=namespace)
        ]

    @in_our_words
    def restart(self, namespace: str, *names: str) -> None:
        """Replace the pods of Deployments as ``kubectl rollout restart`` does, and wait until the old ones are gone.

        Raises:
            NotSettled: A pod did not become ready, see ``rolled_out``; or an old one stayed.
        """
        for name in names:
            self._begin_again(namespace, name)
        self.settled(namespace, *names)

    @in_our_words
    def restart_in_turn(self, names: Mapping[str, Sequence[str]]) -> None:
        """Replace the pods of Deployments as ``restart`` does, two Deployments of a namespace at a time.

        Args:
            names: Those of each namespace.

        Raises:
            NotSettled: As ``restart``; those that come after these two are left as they are.
        """
        for namespace, of_one in names.items():
            for first in range(0, len(of_one), _AT_ONCE):
                several = of_one[first : first + _AT_ONCE]
                for name in several:
                    self._begin_again(namespace, name)
                self.rolled_out(namespace, *several)
        for namespace, of_one in names.items():
            self.settled(namespace, *of_one)

    @in_our_words
    def settled(self, namespace: str, *names: str) -> None:
        """Wait until Deployments are rolled out, and no pod of theirs is on its way out.

        Raises:
            NotSettled: A pod did not become ready, see ``rolled_out``; or an old one stayed.
        """
        self.rolled_out(namespace, *names)

        def going() -> list[str]:
            pods = [pod["metadata"] for name in names for pod in self._pods_of(namespace, name)]
            return [metadata["name"] for metadata in pods if "deletionTimestamp" in metadata]

        until(going, [], what=f"The old pods of {', '.join(names)} in {namespace}", timeout=TIMEOUTS.rollout)

    @in_our_words
    def gone(self, namespace: str, name: str) -> None:
        """Wait until a Deployment that was deleted is gone, and its pods with it.

        Raises:
            NotSettled: It stayed, or one of them.
        """

        def left() -> list[str]:
            try:
                return [name, *(pod["metadata"]["name"] for pod in self._pods_of(namespace, name))]
            except NotFoundError:
                pods = self._connection.listed("v1", "Pod", namespace=namespace)
                return [pod for pod in (pod["metadata"]["name"] for pod in pods) if _is_of(pod, name)]

        until(left, [], what=f"What is left of the Deployment {name} in {namespace}", timeout=TIMEOUTS.rollout)

    @in_our_words
    def with_container(self, name: str) -> list[Document]:
        """Return the Deployments of all namespaces that have a pod with a container, also one that was injected."""
        return [
            deployment
            for deployment in self._connection.listed("apps/v1", "Deployment")
            if any(
                container["name"] == name for pod in self._selected_by(deployment) for container in containers_of(pod)
            )
        ]

    @in_our_words
    def renew_pods(self, namespace: str, name: str) -> None:
        """Replace each pod of a Deployment that is not the one that would be made now, and wait for its successor.

        The API server answers what would be made (dry run): with the sidecar that Istio injects now, if it does. A pod
        that has read a ConfigMap, a Secret or a token that has changed since is outdated too. One look may be at a
        moment in which the API server does not know all webhooks; so two are needed to replace one.

        Raises:
            ClusterError: No pod could be made now, because its ServiceAccount is gone, for example.
            NotSettled: A pod stayed, or its successor did not become ready.
        """
        before: set[str] = set()  # only these are replaced: a successor that is outdated as well would be so for ever
        suspected: set[str] = set()  # at the last look: what is asked for may have changed just now

        def observe() -> str:
            deployment = self._connection.get("apps/v1", "Deployment", namespace=namespace, name=name)
            listed = self._selected_by(deployment)
            before.update([] if before else [pod["metadata"]["name"] for pod in listed])
            outdated, current = [], 0
            for pod in listed:
                name_of_pod = pod["metadata"]["name"]
                if "deletionTimestamp" in pod["metadata"]:
                    continue
                if self._is_as_new(pod, deployment):
                    current += is_ready(pod)
                else:
                    outdated.append(name_of_pod)
                    if name_of_pod in before & suspected:
                        with suppress(ApiException):  # it is gone meanwhile
                            self._connection.resource("v1", "Pod").delete(name=name_of_pod, namespace=namespace)
            suspected.clear()
            suspected.update(outdated)
            wanted = deployment["spec"]["replicas"]
            done = not outdated and current == wanted
            return "done" if done else f"{current} of {wanted} pods as they should be, {len(outdated)} outdated"

        until(
            observe,
            "done",
            what=f"The replacement of outdated pods of {name} in {namespace}",
            timeout=TIMEOUTS.rollout,
            hint=lambda: self._pods.explain(namespace),
        )

    def _begin_again(self, namespace: str, name: str) -> None:
        """Have a Deployment replace its pods, and do not wait for that."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._connection.resource("apps/v1", "Deployment").patch(
            body={"spec": {"template": {"metadata": {"annotations": {_RESTARTED: now}}}}},
            name=name,
            namespace=namespace,
            content_type="application/merge-patch+json",
        )

    def _pods_of(self, namespace: str, name: str) -> list[Document]:
        """Return the pods of a Deployment, also those that are going."""
        return self._selected_by(self._connection.get("apps/v1", "Deployment", namespace=namespace, name=name))

    def _selected_by(self, deployment: Document) -> list[Document]:
        """Return the pods of a Deployment that was just asked for; see ``_pods_of``."""
        labels = deployment["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{label}={value}" for label, value in labels.items())
        namespace = deployment["metadata"]["namespace"]
        return self._connection.listed("v1", "Pod", namespace=namespace, label_selector=selector)

    def _is_as_new(self, pod: Document, deployment: Document) -> bool:
        """Return whether a pod is as its Deployment's template would make it now, and has read all as it is now."""
        old, template, namespace = pod["metadata"], deployment["spec"]["template"], deployment["metadata"]["namespace"]
        if "ownerReferences" not in old:
            return False  # somebody took it from its Deployment, or made it beside it
        revision = {"pod-template-hash": old["labels"].get("pod-template-hash", "")}
        metadata = {
            **template["metadata"],
            "labels": template["metadata"]["labels"] | revision,
            **{key: old[key] for key in ("generateName", "ownerReferences")},
        }
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        resource = self._connection.resource("v1", "Pod")
        made = self._connection.dynamic.create(resource, body=body, namespace=namespace, dry_run="All").to_dict()
        named = {*strings(template["spec"]), made["spec"]["serviceAccountName"]}
        read = [
            item
            for kind in ("ConfigMap", "Secret", "ServiceAccount")
            for item in self._connection.listed("v1", kind, namespace=namespace)
            if item["metadata"]["name"] in named
        ]
        return is_same_pod(pod, made, read)


def _is_of(pod: str, deployment: str) -> bool:
    """Return whether a pod has the name that a Deployment gives its pods: two words are added."""
    return pod.rsplit("-", 2)[0] == deployment
