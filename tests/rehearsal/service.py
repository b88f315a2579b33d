"""A service that an account has beside its machines, as a container on their network."""

from collections.abc import Iterator
from contextlib import contextmanager

from hubfleet import images
from hubfleet.clients import engine
from hubfleet.clients.engine import ContainerSpec
from hubfleet.state import Deployment


def service(deployment: Deployment, name: str, host: str, address: str) -> ContainerSpec:
    """Return a container of the node image that is found as `host` and has no power of its own."""
    return ContainerSpec(
        name=name,
        image=images.reference("node"),
        command=[],
        hostname=host.partition(".")[0],
        network=deployment.network,
        address=address,
        aliases=[host],
        labels={},
        cap_add=[],
        security_opt=[],
        system_paths_unconfined=False,
        device_cgroup_rules=[],
        cgroupns="host",
        tmpfs={},
        binds={},
        volumes={},
        stop_signal="SIGTERM",
        restart="no",
    )


@contextmanager
def running(spec: ContainerSpec) -> Iterator[None]:
    """Run it until the block ends, in place of what an earlier run may have left."""
    engine.remove_container(spec.name)
    engine.create_container(spec)
    try:
        yield
    finally:
        engine.remove_container(spec.name)
