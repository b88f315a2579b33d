"""The local fleet's service over HTTPS: one POST for every call, a token, one authority trusted.

Part of the hub image.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from hubfleet.errors import CommandError

PORT = 8443
"""Where the service listens, under the name `fleet` of the deployment's zone."""

TIMEOUT_S = 30
"""Seconds for a call; an order has more, for machines are made one after the other."""

LAUNCH_TIMEOUT_S = 300


class ServiceRefusal(CommandError):
    """The service answered, and refused; `kind` is its error's name, `status` that of HTTP."""

    def __init__(self, message: str, kind: str, status: int) -> None:
        super().__init__(message, "read its log: docker logs hubfleet-<deployment>-fleet")
        self.kind = kind
        self.status = status


def service_url(zone: str) -> str:
    """Return where the machines of a zone reach the service."""
    return f"https://fleet.{zone}:{PORT}"


class FleetService:
    """The service at `url`. Raises CommandError where it does not answer, ServiceRefusal else."""

    def __init__(self, url: str, token: str, ca_file: Path) -> None:
        self._url = url.rstrip("/")
        self._ca = str(ca_file)
        self._session = requests.Session()
        # Proxies of the environment have no part in a connection within the deployment.
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"

    def call(self, name: str, timeout: float = TIMEOUT_S, /, **body: Any) -> Any:
        """Make a call and return its answer."""
        try:
            answer = self._session.post(
                f"{self._url}/v1/{name}", json=body, timeout=timeout, verify=self._ca
            )
            document = answer.json()
        except (requests.RequestException, OSError) as error:
            raise CommandError(
                f"the fleet service at {self._url} does not answer: {error}",
                "./invoke deploy starts it",
            ) from error
        if not answer.ok:
            refused: Mapping[str, Any] = document if isinstance(document, dict) else {}
            raise ServiceRefusal(
                f"the fleet refuses {name}: {refused.get('message', answer.reason)}",
                str(refused.get("error", "")),
                answer.status_code,
            )
        return document

    def spot(self, instance_id: str) -> None:
        """Have the spot market take a worker back, two minutes from now."""
        self.call("fault/spot", instance_id=instance_id)

    def rebalance(self, instance_id: str) -> None:
        """Have the fleet advise to leave a worker."""
        self.call("fault/rebalance", instance_id=instance_id)

    def kill(self, instance_id: str) -> None:
        """Let a worker die without a word."""
        self.call("fault/kill", instance_id=instance_id)

    def fail_boots(self, count: int) -> None:
        """Have the next `count` workers come up and never answer; 0 ends that."""
        self.call("fault/boot-failure", count=count)

    def run_dry(self, pool: str, seconds: int) -> None:
        """Leave a pool without capacity for so many seconds; 0 ends that."""
        self.call("fault/no-capacity", pool=pool, seconds=seconds)

    def put(self, body: str) -> str:
        """Put any text into the queue, as a forger could; return its message's id."""
        return str(self.call("fault/message", body=body))

    def dead_letters(self) -> list[dict[str, Any]]:
        """Return the messages that nobody could handle."""
        return [dict(each) for each in self.call("dead-letters")]
