"""The Docker engine, through its SDK.

Every function raises PreconditionError where no engine answers and CommandError where the engine
refuses.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from requests.exceptions import RequestException

from hubfleet.clients.process import tail
from hubfleet.errors import CommandError, PreconditionError

TIMEOUT_S = 120
"""Seconds that the engine has to answer one request."""

PULL_TIMEOUT_S = 10
"""Seconds of silence after which a registry counts as unreachable."""


@cache
def client() -> docker.DockerClient:
    """Return the connection to the engine that DOCKER_HOST names, or to the local one."""
    try:
        connection = docker.DockerClient.from_env(timeout=TIMEOUT_S)
        connection.ping()
    except (DockerException, RequestException) as error:
        raise PreconditionError(
            f"no Docker engine answers: {error}", "run ./invoke doctor, which says how to start one"
        ) from error
    return connection


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turn what the SDK raises while it does `what` into our errors."""
    try:
        yield
    except APIError as error:
        raise CommandError(f"Docker could not {what}: {error.explanation or error}") from error
    except RequestException as error:
        raise PreconditionError(
            f"the Docker engine went away while it was to {what}: {error}", "run ./invoke doctor"
        ) from error
    except DockerException as error:
        raise CommandError(f"Docker could not {what}: {error}") from error


def image_size(reference: str) -> int | None:
    """Return the size of an image in bytes, or None where the engine lacks it."""
    with refusals(f"inspect image {reference}"):
        try:
            return int(client().images.get(reference).attrs["Size"])
        except ImageNotFound:
            return None


def image_id(reference: str) -> str | None:
    """Return the digest of an image's configuration, or None where the engine lacks it."""
    with refusals(f"inspect image {reference}"):
        try:
            return str(client().images.get(reference).id).removeprefix("sha256:")
        except ImageNotFound:
            return None


def build_image(
    reference: str, context: IO[bytes], arguments: Mapping[str, str], log: Path
) -> None:
    """Build the Dockerfile in the tar archive `context`, on the host's network, output to `log`."""
    with refusals(f"build image {reference}"), log.open("a") as output:
        steps = client().api.build(
            fileobj=context,
            custom_context=True,
            tag=reference,
            buildargs=dict(arguments),
            network_mode="host",
            rm=True,
            forcerm=True,
            decode=True,
        )
        for step in cast(Iterator[dict[str, Any]], steps):
            output.write(step.get("stream", ""))
            output.flush()
            if "error" in step:
                output.write(step["error"] + "\n")
                output.flush()
                raise CommandError(
                    f"image {reference} could not be built",
                    f"the whole output is in {log}",
                    tail(log.read_text(errors="replace")),
                )


def import_image(reference: str, archive: Path, command: list[str]) -> None:
    """Make an image of one layer from a root file system's tar archive."""
    repository, tag = reference.rsplit(":", 1)
    with refusals(f"import image {reference}"):
        client().api.import_image_from_file(
            str(archive), repository=repository, tag=tag, changes=[f"CMD {json.dumps(command)}"]
        )


def pull_image(source: str, reference: str) -> bool:
    """Pull `source` and call it `reference`; return False where no registry gives it."""
    impatient = docker.DockerClient.from_env(timeout=PULL_TIMEOUT_S)
    try:
        for _ in impatient.api.pull(source, stream=True, decode=True):
            pass
        repository, tag = reference.rsplit(":", 1)
        return bool(client().images.get(source).tag(repository, tag))
    except (DockerException, RequestException):
        return False
    finally:
        impatient.close()


def save_image(reference: str, archive: Path) -> None:
    """Write an image as a tar archive that `docker load` and skopeo read."""
    with refusals(f"save image {reference}"), archive.open("wb") as stream:
        for chunk in client().images.get(reference).save(named=True):
            stream.write(chunk)
