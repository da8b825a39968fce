"""The connection to a cluster's API, and its errors in our words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from websocket import WebSocketException

from meshproof.cluster.objects import Document
from meshproof.errors import ClusterError

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


class Connection:
    """The clients of one cluster's API.

    Attributes:
        core: Pods, events, logs.
        apps: Deployments.
    """

    def __init__(self, kubeconfig: Path) -> None:
        """Connect with a kubeconfig of our own; the environment's is never read."""
        self._api: client.ApiClient = config.new_client_from_config(config_file=str(kubeconfig))  # type: ignore[no-untyped-call]
        # What the API returns is typed as if every field could be absent.
        self.core: Any = client.CoreV1Api(self._api)
        self.apps: Any = client.AppsV1Api(self._api)

    @property
    def commands(self) -> Any:  # noqa: ANN401
        """A client to run one command in a pod with, by one thread: meanwhile it can be used for nothing else.

        ``kubernetes.stream`` puts a function of its own into the client that it is given, for as long as it connects.
        """
        return client.CoreV1Api(client.ApiClient(self._api.configuration))

    @cached_property
    def dynamic(self) -> Any:  # noqa: ANN401 - the kubernetes package has no types
        """The client for objects of any kind; it asks for the list of kinds when it is made."""
        return DynamicClient(self._api)  # type: ignore[no-untyped-call]

    def resource(self, version: str, kind: str) -> Any:  # noqa: ANN401
        """Return the dynamic client's resource for a kind, such as ``Deployment`` of ``apps/v1``.

        Raises:
            ResourceNotFoundError: The cluster knows no such kind.
        """
        return self.dynamic.resources.get(api_version=version, kind=kind)

    def get(self, version: str, kind: str, **where: str) -> Document:
        """Return an object, or the list of all of a kind, as the dynamic client's arguments say where."""
        document: Document = self.dynamic.get(self.resource(version, kind), **where).to_dict()
        return document

    def groups(self) -> set[str]:
        """Return the groups of kinds that the cluster has now, such as ``apps``; not the core, which has no name."""
        return {group.name for group in client.ApisApi(self._api).get_api_versions().groups}

    def version(self) -> str:
        """Return the API server's version."""
        version: str = client.VersionApi(self._api).get_code().git_version
        return version


def in_our_words(method: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """Turn what the API's client raises into one of our errors."""

    @wraps(method)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
        try:
            return method(*args, **kwargs)
        except ApiException as error:
            raise ClusterError(
                f"The cluster's API refused a request: {reason(error)}. Is the cluster whole?"
            ) from error
        except (urllib3.exceptions.HTTPError, WebSocketException) as error:
            raise ClusterError(
                f"The cluster's API did not answer: {error}. Does its Docker daemon still run?"
            ) from error

    return wrapper


def reason(error: ApiException) -> str:
    """Return the reason that the API gives for a refusal."""
    with suppress(ValueError, TypeError, KeyError):
        message = str(json.loads(error.body or "{}")["message"])
        return re.sub(r"^failed to create typed patch object \([^)]*\): ", "", message).rstrip(".")
    return str(error.reason)
