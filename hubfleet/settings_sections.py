"""The sections of the attribute tree: one model per concern, with units in the descriptions.

Values live in roles/*.json and environments/*.json; the models hold no value, so nothing is written
twice.
"""

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hubfleet.settings_aws import AwsFleet
from hubfleet.settings_types import (
    AbsolutePath,
    Cidr,
    DnsName,
    Port,
    Seconds,
    Section,
    dns_name,
    require_distinct,
    require_mask_fits,
)


class ChefClient(Section):
    """The chef-client timer."""

    interval_s: Annotated[int, Field(ge=60)] = Field(description="Seconds between two runs.")
    splay_s: Annotated[int, Field(ge=0)] = Field(
        description="Random delay of a run, up to so many seconds."
    )


class Secrets(Section):
    """Where a node reads its secrets; values are never attributes."""

    store: Literal["files", "ssm"] = Field(description="files: one per secret; ssm: SecureString.")
    path: AbsolutePath = Field(
        description="Directory, or parameter path; a level per role follows."
    )


class Workers(Section):
    """How many worker machines, and what one takes."""

    min: Annotated[int, Field(ge=0)] = Field(description="Never fewer workers.")
    max: Annotated[int, Field(ge=1)] = Field(description="Never more workers.")
    seats: Annotated[int, Field(ge=1)] = Field(
        description="Students' servers that one worker takes."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.min <= self.max:
            raise ValueError(f"min ({self.min}) <= max ({self.max}) does not hold")
        return self


class LocalFleet(Section):
    """Ports on the operator's machine when node containers stand in for machines."""

    bind_address: str = Field(description="Address of the operator's machine to publish on.")
    https_port: Port = Field(description="To port 443 of the hub.")
    chef_port: Port = Field(description="To port 443 of the Chef server.")
    registry_port: Port = Field(description="To the push port of the image registry.")

    @model_validator(mode="after")
    def _valid(self) -> Self:
        ipaddress.ip_address(self.bind_address)
        require_distinct(
            https_port=self.https_port, chef_port=self.chef_port, registry_port=self.registry_port
        )
        return self


class FleetSettings(Section):
    """What starts and ends machines."""

    backend: Literal["local", "aws"] = Field(description="Containers on this machine, or AWS.")
    zone: DnsName = Field(description="DNS zone of the machines' names (chef, registry, hub).")
    workers: Workers
    local: LocalFleet
    aws: AwsFleet


class Registry(Section):
    """The image registry on the Chef server's machine."""

    port: Port = Field(description="Port of the registry on the loopback, behind nginx.")
    push_port: Port = Field(description="TLS port for writing; every request needs the password.")
    data_dir: AbsolutePath = Field(description="Where the registry keeps its layers.")
    user: str = Field(description="User name for writing.")

    @model_validator(mode="after")
    def _ports(self) -> Self:
        require_distinct(port=self.port, push_port=self.push_port)
        return self


class AddressPool(Section):
    """Where the engine takes the subnets of its bridges from."""

    base: Cidr = Field(description="Pool, as CIDR.")
    size: Annotated[int, Field(ge=8, le=30)] = Field(description="Prefix length of one subnet.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        require_mask_fits(self.base, "size", self.size)
        return self


class Docker(Section):
    """The engine's daemon.json."""

    log_driver: Literal["json-file", "awslogs"] = Field(
        description="json-file: on the machine; awslogs: in CloudWatch, where backend is aws."
    )
    log_max_size: str = Field(description="Size of one container log file, such as 5m.")
    log_max_files: Annotated[int, Field(ge=1)] = Field(description="Log files kept per container.")
    address_pool: AddressPool
    no_new_privileges: bool = Field(
        description="Containers cannot gain privileges by setuid files."
    )


class Network(Section):
    """One overlay network."""

    subnet: Cidr = Field(description="Addresses of the overlay, as CIDR.")
    internal: bool = Field(description="True: no way out of the overlay.")


class Networks(Section):
    """The overlay networks."""

    notebooks: Network
    control: Network


class Swarm(Section):
    """The Swarm and its networks."""

    interface: str = Field(description="Network interface whose address a node advertises.")
    manager_port: Port = Field(description="Port on which managers take members.")
    join_deadline_s: Seconds = Field(description="A join that takes longer fails, in seconds.")
    default_addr_pool: Cidr = Field(description="Pool of overlays without a subnet, as CIDR.")
    default_addr_pool_mask: Annotated[int, Field(ge=8, le=29)] = Field(
        description="Prefix length of one."
    )
    networks: Networks

    @model_validator(mode="after")
    def _fits(self) -> Self:
        require_mask_fits(
            self.default_addr_pool, "default_addr_pool_mask", self.default_addr_pool_mask
        )
        return self


class Nfs(Section):
    """The file server of the homes."""

    server: str = Field(description="Name of the server; empty when storage.type is bind.")
    export: AbsolutePath = Field(description="Exported path.")
    options: str = Field(description="Mount options.")


class Storage(Section):
    """Homes of the students."""

    type: Literal["bind", "nfs4"] = Field(
        description="bind: the directory is already there; nfs4: mount it."
    )
    homes: AbsolutePath = Field(description="Directory of all homes on hub and workers.")
    nfs: Nfs

    @model_validator(mode="after")
    def _server(self) -> Self:
        if self.type == "nfs4":
            if not self.nfs.server:
                raise ValueError("type nfs4 needs nfs.server")
            dns_name(self.nfs.server)
        return self


class Image(Section):
    """A container image in the registry."""

    repository: str = Field(description="Name without registry and tag.")
    tag: str = Field(description="Hash of the image's inputs; only ever from images/lock.json.")


class Images(Section):
    """The images that nodes run."""

    hub: Image
    notebook: Image


class OAuth(Section):
    """Addresses of the OAuth provider; client id and secret are secrets, not attributes."""

    callback_url: str = Field(description="https://HUB/hub/oauth_callback, as registered there.")
    authorize_url: str = Field(description="Only for oidc.")
    token_url: str = Field(description="Only for oidc.")
    userdata_url: str = Field(description="Only for oidc.")
    username_claim: str = Field(description="Field of the provider's answer that names the user.")


class Hub(Section):
    """JupyterHub."""

    authenticator: Literal["dummy", "native", "github", "oidc"] = Field(
        description="dummy: one password for all, only in the environments local and class."
    )
    admin_users: tuple[str, ...] = Field(description="Users with administration rights.")
    allowed_users: tuple[str, ...] = Field(
        description="Who may log in; empty: everybody, with github and oidc the admin_users."
    )
    oauth: OAuth
    concurrent_spawn_limit: Annotated[int, Field(ge=1)] = Field(
        description="Servers starting at once."
    )
    start_timeout_s: Seconds = Field(description="A server that is not placed by then has failed.")
    http_timeout_s: Seconds = Field(description="A placed server that does not answer has failed.")
    idle_s: Annotated[int, Field(ge=60)] | Literal[0] = Field(
        description="A server that nobody has used for so long is stopped; 0: none is."
    )
    data_dir: AbsolutePath = Field(description="Database and state on the hub node.")
    port: Port = Field(description="Port of the proxy on the hub node, behind nginx.")
    api_port: Port = Field(description="Port of the hub's API on the overlays.")

    @model_validator(mode="after")
    def _valid(self) -> Self:
        require_distinct(port=self.port, api_port=self.api_port)
        needed = {"github": ("callback_url",), "oidc": tuple(OAuth.model_fields)}.get(
            self.authenticator, ()
        )
        missing = [f"oauth.{key}" for key in needed if not getattr(self.oauth, key)]
        if missing:
            raise ValueError(f"authenticator {self.authenticator} needs {', '.join(missing)}")
        return self


class Notebook(Section):
    """One student's server."""

    memory_guarantee_mb: Annotated[int, Field(ge=1)] = Field(
        description="Reserved memory, MiB: one seat."
    )
    memory_limit_mb: Annotated[int, Field(ge=1)] = Field(description="Most memory, MiB.")
    cpu_guarantee: Annotated[float, Field(ge=0)] = Field(description="Reserved cores.")
    cpu_limit: Annotated[float, Field(ge=0.01)] = Field(description="Most cores.")
    pids_limit: Annotated[int, Field(ge=64)] = Field(description="Most processes and threads.")
    stop_grace_s: Seconds = Field(description="Seconds between SIGTERM and SIGKILL.")
    egress: Literal["internet", "none"] = Field(description="What a server may reach outside.")
    uid: Annotated[int, Field(ge=1000)] = Field(description="User and group id in the container.")
    default_url: AbsolutePath = Field(description="Page that opens first.")
    light_servers: bool = Field(
        description="Who asks for a light server gets one without notebooks (bench.class)."
    )

    @model_validator(mode="after")
    def _limits(self) -> Self:
        for guarantee, limit in (
            ("memory_guarantee_mb", "memory_limit_mb"),
            ("cpu_guarantee", "cpu_limit"),
        ):
            low, high = getattr(self, guarantee), getattr(self, limit)
            if low > high:
                raise ValueError(f"{guarantee} ({low}) is more than {limit} ({high})")
        return self


class Firewall(Section):
    """The isolation rules of a node."""

    enabled: bool = Field(description="Guard the node and its bridges.")
    overlay_guard: bool = Field(description="Guard the students' overlay inside its namespace.")
