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
from kubernetes.stream import ws_client
from websocket import WebSocketBadStatusException, WebSocketException

from meshproof.cluster.objects import Document
from meshproof.errors import ClusterError

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


class Connection:
    """The client of one cluster's API.

    It takes documents as they are: the typed clients of the same package load some 300 modules first.
    """

    def __init__(self, kubeconfig: Path) -> None:
        """Connect with a kubeconfig of our own; the environment's is never read."""
        self._api: client.ApiClient = config.new_client_from_config(config_file=str(kubeconfig))  # type: ignore[no-untyped-call]

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

    def get(self, version: str, kind: str, **where: str | None) -> Document:
        """Return an object, or the list of all of a kind, as the dynamic client's arguments say where."""
        document: Document = self.dynamic.get(self.resource(version, kind), **where).to_dict()
        return document

    def listed(self, version: str, kind: str, **where: str) -> list[Document]:
        """Return the objects of a kind; see ``get``."""
        items: list[Document] = self.get(version, kind, **where)["items"]
        return items

    def groups(self) -> set[str]:
        """Return the groups of kinds that the cluster has now, such as ``apps``; not the core, which has no name."""
        return {group["name"] for group in json.loads(self.page("/apis"))["groups"]}

    def version(self) -> str:
        """Return the API server's version."""
        version: str = json.loads(self.page("/version"))["gitVersion"]
        return version

    def page(self, path: str, **query: str | int) -> str:
        """Return what the API server has under a path, as text."""
        parameters = [(name, str(value)) for name, value in query.items()]
        text: str = self.dynamic.request("get", path, query_params=parameters, serialize=False).data.decode()
        return text

    def command(self, path: str, *query: tuple[str, str]) -> Any:  # noqa: ANN401
        """Begin a command in a container; return its channels.

        Raises:
            ApiException: The API server refused.
        """
        configuration = self._api.configuration
        return ws_client.websocket_call(  # type: ignore[no-untyped-call]
            configuration, "GET", configuration.host + path, query_params=query, _preload_content=False
        )

    def websocket(self, path: str, timeout: float) -> Any:  # noqa: ANN401
        """Return a WebSocket to the API server, on which it may be silent for so many seconds.

        Raises:
            ClusterError: The API server refused; with its reason.
        """
        configuration = self._api.configuration
        url = configuration.host.replace("http", "ws", 1) + path
        try:
            websocket = ws_client.create_websocket(configuration, url)  # type: ignore[no-untyped-call]
        except WebSocketBadStatusException as error:
            refusal = ApiException(status=error.status_code, body=(error.resp_body or b"").decode())
            raise ClusterError(reason(refusal)) from error
        websocket.settimeout(timeout)
        return websocket


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
