"""The section `chef_server`: the embedded API, an installed Infra Server, or somebody else's."""

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from hubfleet.settings_types import AbsolutePath, Port, Seconds, Section

ROOT_URL = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]+)?")
"""What a node's bootstrap takes before `/organizations/NAME`."""

ORGANIZATION = re.compile(r"[a-z0-9][a-z0-9_-]*")
"""Organization names of the Chef API."""

SHA256 = re.compile(r"[0-9a-f]{64}")


class ChefInstall(Section):
    """The Chef or Cinc Infra Server package of mode install."""

    package: str = Field(description="Package of the distribution; empty: the file `source`.")
    version: str = Field(description="Its version; empty: the newest one at the first converge.")
    source: str = Field(description="https URL or path of a .deb; empty: `package`.")
    sha256: str = Field(description="SHA-256 of `source`, in hexadecimal.")
    program: Literal["chef-server-ctl", "cinc-server-ctl"] = Field(
        description="What configures the server."
    )
    config_file: AbsolutePath = Field(description="What `program` reads.")
    data_dir: AbsolutePath = Field(description="Where the server keeps its data.")
    port: Port = Field(description="TLS port of the server; 443 is the image registry's.")

    def problem(self) -> str:
        """Return why nothing could be installed; empty where it could."""
        if bool(self.package) == bool(self.source):
            return "mode install needs either install.package or install.source"
        if self.source and not self.source.startswith(("/", "https://")):
            return "install.source is neither an https URL nor an absolute path"
        if self.source and not SHA256.fullmatch(self.sha256):
            return "install.source needs install.sha256, 64 hexadecimal digits"
        return ""


class ChefExternal(Section):
    """The Chef server of mode external; its CA and keys are files, not attributes."""

    url: str = Field(description="https://NAME or https://NAME:PORT, without the organization.")
    operator: str = Field(description="User or client that administers the organization there.")
    bootstrap: str = Field(description="Validator client there, which may create clients.")

    def problem(self) -> str:
        """Return why no server could be reached so; empty where one could."""
        if not ROOT_URL.fullmatch(self.url):
            return "mode external needs external.url such as https://chef.example.org"
        missing = [name for name in ("operator", "bootstrap") if not getattr(self, name)]
        if missing:
            return f"mode external needs {', '.join(f'external.{name}' for name in missing)}"
        return ""


class ChefServer(Section):
    """The Chef API."""

    mode: Literal["embedded", "install", "external"] = Field(
        description="embedded: the API that this project serves; install: a Chef or Cinc Infra "
        "Server on the same machine; external: one that exists."
    )
    organization: str = Field(description="Organization in the API's URL.")
    port: Port = Field(description="Port of the embedded API on the loopback, behind nginx.")
    data_dir: AbsolutePath = Field(description="Where the embedded API keeps its data.")
    clock_skew_s: Seconds = Field(description="A signature may be so many seconds old or early.")
    install: ChefInstall
    external: ChefExternal

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not ORGANIZATION.fullmatch(self.organization):
            raise ValueError(f"{self.organization!r} cannot be the name of an organization")
        if self.mode == "install" and (problem := self.install.problem()):
            raise ValueError(problem)
        if self.mode == "external" and (problem := self.external.problem()):
            raise ValueError(problem)
        return self
