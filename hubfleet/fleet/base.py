"""What a fleet can do: start, list and end the machines of one deployment."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hubfleet.clients.process import Completed


class Role(StrEnum):
    """What a machine is; each role has a policy of the same name."""

    CHEF_SERVER = "chef_server"
    HUB = "hub"
    SWARM_WORKER = "swarm_worker"


class State(StrEnum):
    """What a fleet knows of a machine, in EC2's words."""

    PENDING = "pending"
    """Created, but nothing runs in it yet."""
    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Instance:
    """One machine of a fleet. `id` is also its host name and its Chef node's name."""

    id: str
    role: Role
    state: State
    address: str
    launched_at: datetime
    name: str
    """How the back end calls it; locally the container's name."""


Instances = list[Instance]


class Fleet(ABC):
    """The machines of one deployment. Methods raise PreconditionError or CommandError."""

    @abstractmethod
    def list(self) -> Instances:
        """Return all machines, by role, then in the order of their launch."""

    @abstractmethod
    def launch(self, role: Role, count: int = 1) -> Instances:
        """Start `count` machines, which then bootstrap themselves."""

    @abstractmethod
    def start(self, instance_id: str) -> None:
        """Start a stopped machine again."""

    @abstractmethod
    def terminate(self, instance_id: str) -> None:
        """End a machine and remove all that belongs to it; none of that name is no error."""

    @abstractmethod
    def console_output(self, instance_id: str) -> str:
        """Return what the machine has written to its console since it was started last."""

    @abstractmethod
    def run(self, instance_id: str, argv: Sequence[str], timeout: float) -> Completed:
        """Run a program on a running machine for at most `timeout` seconds (then code 124)."""
