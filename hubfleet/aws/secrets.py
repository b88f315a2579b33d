"""Secrets of an environment on AWS: files of the operator's machine, and parameters in SSM.

Both sides may change: the operator puts a provider's secret in place, another machine deploys, a
server writes what it was issued. What both knew last time (a hash of each value) tells which side
has changed; where both have, nobody but the operator can say which is right. Values are shown
nowhere and pass through no program's arguments.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hubfleet.chef_server import trust
from hubfleet.clients.aws import Aws
from hubfleet.errors import PreconditionError
from hubfleet.fleet.aws_names import DEPLOYMENT_TAG
from hubfleet.fleet.base import Role
from hubfleet.identity import OPERATOR
from hubfleet.settings import Settings
from hubfleet.state import Deployment, write_private

KNOWN = "ssm.json"
"""File of the deployment's directory: what both sides had last, as SHA-256 by name."""

BOOTSTRAP = "bootstrap"
"""Part of the tree that every machine reads (terraform/parameters.tf)."""


class Act(StrEnum):
    """What becomes of one secret."""

    NOTHING = "nothing"
    FETCH = "fetch"
    KEEP = "keep"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Done:
    """Names of what was fetched from SSM and what was kept there."""

    fetched: list[str]
    kept: list[str]


def decide(here: str | None, there: str | None, known: str | None) -> Act:
    """Return what to do with a secret; all three are hashes of values, None where there is none.

    One that is missing on a side was never removed on purpose: it is brought back.
    """
    if here == there:
        return Act.NOTHING
    if there is None or (here is not None and known == there):
        return Act.KEEP
    if here is None or known == here:
        return Act.FETCH
    return Act.CONFLICT


def synchronize(deployment: Deployment, settings: Settings, aws: Aws) -> Done:
    """Bring files and parameters in line.

    Raises PreconditionError where a secret was changed on both sides, before anything is changed,
    and what `Aws.refusals` raises.
    """
    path = settings.secrets.path.rstrip("/")
    there = _read_all(aws, path)
    known = _read_known(deployment)
    names = sorted(there.keys() | _here(deployment).keys())
    files = {name: file for name in names if (file := _file(deployment, name)) is not None}
    here = {name: file.read_text() for name, file in files.items() if file.is_file()}
    here = {name: value for name, value in here.items() if value}
    acts = {
        name: decide(_hash(here.get(name)), _hash(there.get(name)), known.get(name))
        for name in files
    }
    _refuse_conflicts(acts, files, path)
    done = Done([], [])
    for name, act in acts.items():
        if act is Act.FETCH:
            write_private(files[name], there[name])
            done.fetched.append(name)
        elif act is Act.KEEP:
            _keep(aws, f"{path}/{name}", here[name], deployment.environment, name in there)
            done.kept.append(name)
        # After each: whoever is interrupted here goes on where it was.
        known[name] = _hash((there if act is Act.FETCH else here)[name]) or ""
        _write_known(deployment, known)
    return done


def publish_trust(deployment: Deployment, settings: Settings, aws: Aws) -> bool:
    """Keep what a machine trusts before it has any secret of its own; return whether it is new."""
    name = f"{settings.secrets.path.rstrip('/')}/{BOOTSTRAP}/ca_crt"
    wanted = trust(deployment, settings).decode()
    there = _read_all(aws, name.rpartition("/")[0]).get("ca_crt")
    if there == wanted:
        return False
    _keep(aws, name, wanted, deployment.environment, there is not None)
    return True


def _fixed(deployment: Deployment) -> Mapping[str, Path]:
    """Return the secrets that do not lie in the directory of their role."""
    return {
        f"{OPERATOR}/ca_crt": deployment.ca_crt,
        f"{OPERATOR}/ca_key": deployment.ca_key,
        f"{OPERATOR}/operator_key": deployment.operator_key,
        f"{OPERATOR}/chef_server_ca": deployment.external_ca,
        f"{BOOTSTRAP}/key": deployment.bootstrap_key,
    }


def _here(deployment: Deployment) -> dict[str, Path]:
    """Return the files of all secrets that this machine has."""
    found = {name: file for name, file in _fixed(deployment).items() if file.is_file()}
    for role in (*(role.value for role in Role), OPERATOR):
        for file in (deployment.secrets_dir / role).glob("[a-z]*"):
            found[f"{role}/{file.name}"] = file
    return found


def _file(deployment: Deployment, name: str) -> Path | None:
    """Return where a parameter's value lies here; None for one that is not kept here."""
    if name in _fixed(deployment):
        return _fixed(deployment)[name]
    role, _, rest = name.partition("/")
    if role not in {*(each.value for each in Role), OPERATOR} or not rest.isidentifier():
        return None
    return deployment.secrets_dir / role / rest


def _refuse_conflicts(acts: Mapping[str, Act], files: Mapping[str, Path], path: str) -> None:
    for name, act in acts.items():
        if act is Act.CONFLICT:
            raise PreconditionError(
                f"the secret {name} is another one here than in SSM ({path}/{name})",
                f"to take SSM's, move {files[name]} away; to take this one, run: aws ssm "
                f"delete-parameter --name {path}/{name}; then deploy again",
            )


def _read_all(aws: Aws, path: str) -> dict[str, str]:
    """Return the values of all parameters below a path, by the rest of their names."""
    with aws.refusals(f"the secrets under {path} cannot be read"):
        found = aws.pages(
            "ssm",
            "get_parameters_by_path",
            "Parameters",
            Path=path,
            Recursive=True,
            WithDecryption=True,
        )
        return {each["Name"].removeprefix(f"{path}/"): each["Value"] for each in found}


def _keep(aws: Aws, name: str, value: str, environment: str, there: bool) -> None:
    """Write a parameter: a new one with its tag, one that is there in place of its value."""
    tags = [{"Key": DEPLOYMENT_TAG, "Value": environment}]
    how = {"Overwrite": True} if there else {"Tags": tags}
    with aws.refusals(f"the secret {name} cannot be kept"):
        aws.call(
            "ssm",
            "put_parameter",
            Name=name,
            Value=value,
            Type="SecureString",
            # Certificates of several authorities may have more than the 4 KB of the free tier.
            Tier="Intelligent-Tiering",
            **how,
        )


def _hash(value: str | None) -> str | None:
    return None if value is None else hashlib.sha256(value.encode()).hexdigest()


def _read_known(deployment: Deployment) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads((deployment.dir / KNOWN).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _write_known(deployment: Deployment, known: Mapping[str, str]) -> None:
    write_private(deployment.dir / KNOWN, json.dumps(known, indent=2, sort_keys=True) + "\n")
