"""The process: `python3 -m hubfleet.fleet.service --root CHECKOUT --name DEPLOYMENT`.

The environment tells what the operator's machine knows and this container does not: the workers'
image, NODE_IMAGE, and the capabilities that they are given, CAPABILITIES.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from dataclasses import fields
from pathlib import Path

from tornado.httpserver import HTTPServer

from hubfleet.clients.fleet_local import PORT
from hubfleet.errors import HubfleetError
from hubfleet.fleet.service.files import (
    CAPABILITIES,
    NODE_IMAGE,
    certificate_files,
    state_dir,
    token_files,
)
from hubfleet.fleet.service.group import Group
from hubfleet.fleet.service.machines import Machines
from hubfleet.fleet.service.queue import Queue
from hubfleet.fleet.service.records import Timings
from hubfleet.fleet.service.tls import Certificate, Tokens
from hubfleet.fleet.service.web import BODY_MOST, application
from hubfleet.settings import load
from hubfleet.state import Deployment

TURN_S = 1.0
"""So often the group looks for deaths and for ends that are due."""

REFRESH_S = 2.0
"""So often the certificate's files are looked at."""

log = logging.getLogger("hubfleet.fleet.service")


def options(argv: list[str]) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="hubfleet.fleet.service", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the checkout")
    parser.add_argument("--name", required=True, help="the deployment")
    parser.add_argument("--address", default="0.0.0.0", help="address to listen on")
    parser.add_argument("--port", type=int, default=PORT, help="port to listen on")
    for field in fields(Timings):
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=float, default=field.default, help="seconds; see Timings")
    return parser.parse_args(argv)


def group_of(deployment: Deployment, timings: Timings) -> Group:
    """Put the group together; raise HubfleetError where a part cannot be had."""
    machines = Machines(
        deployment,
        load(deployment.environment, deployment.root),
        os.environ[NODE_IMAGE],
        os.environ[CAPABILITIES].split(),
    )
    directory = state_dir(deployment)
    queue = Queue(directory / "queue.json", timings.visibility_s, time.time)
    return Group(machines, queue, directory / "group.json", timings, time.time)


async def turns(group: Group) -> None:
    """Have the group look around, for ever; an engine that is away is waited for."""
    while True:
        try:
            await asyncio.to_thread(group.turn)
        except HubfleetError as error:
            log.warning("the engine cannot be asked: %s", error.message)
        await asyncio.sleep(TURN_S)


async def serve(deployment: Deployment, chosen: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    timings = Timings(**{field.name: getattr(chosen, field.name) for field in fields(Timings)})
    group = group_of(deployment, timings)
    certificate = Certificate(*certificate_files(deployment))
    tokens = Tokens(*token_files(deployment))
    server = HTTPServer(
        application(group, tokens), ssl_options=certificate.context, max_body_size=BODY_MOST
    )
    server.listen(chosen.port, chosen.address)
    log.info("%s is served on %s:%d", group.name, chosen.address, chosen.port)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    turning = asyncio.create_task(turns(group))
    ending = asyncio.create_task(ended.wait())
    while not ending.done() and not turning.done():
        certificate.refresh()
        await asyncio.wait(
            {ending, turning}, timeout=REFRESH_S, return_when=asyncio.FIRST_COMPLETED
        )
    server.stop()
    if turning.done():
        turning.result()  # whatever has ended it ends the process; the engine starts it again
    turning.cancel()


def main(argv: list[str]) -> int:
    """Run the service; return its exit code."""
    chosen = options(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Refusals and errors; what was done is in the group's own words.
    logging.getLogger("tornado.access").setLevel(logging.WARNING)
    try:
        asyncio.run(serve(Deployment.open(chosen.name, root=chosen.root), chosen))
    except HubfleetError as error:
        log.error("%s; %s", error.message, error.hint)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
