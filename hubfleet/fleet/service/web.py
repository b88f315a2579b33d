"""The service's web server: HTTPS, a token for every request, one POST for every call."""

import asyncio
import dataclasses
import json
import time
from collections.abc import Mapping
from typing import Any

from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

from hubfleet.errors import HubfleetError
from hubfleet.fleet.service.api import CALLS, Wait, answer, read, refusal
from hubfleet.fleet.service.group import Group
from hubfleet.fleet.service.tls import Right, Tokens

LOOK_S = 0.2
"""So often a waiting `receive` looks into the queue."""

BODY_MOST = 256 * 1024 + 4096
"""A message of SQS's greatest size, and what is around it."""


class Guarded(RequestHandler):
    """Answers in JSON, and nobody without a token."""

    def initialize(self, group: Group, tokens: Tokens) -> None:
        """Keep what the calls are about."""
        self.group = group
        self.tokens = tokens
        self.right = Right.NONE

    def prepare(self) -> None:
        """Refuse a request without a token, whatever it asks for."""
        self.right = self.tokens.right(self.request.headers.get("Authorization", ""))
        if self.right is Right.NONE:
            self.set_header("WWW-Authenticate", "Bearer")
            self.reply(401, _error("Unauthorized", "a token is needed"))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer what no call answers; tracebacks stay in the log."""
        self.reply(status_code, _error("Error", self._reason))

    def reply(self, status: int, document: Any) -> None:
        """Answer and end the request."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(document))


class Unknown(Guarded):
    """Every other path."""

    def prepare(self) -> None:
        """Answer 404, to those with a token alone."""
        super().prepare()
        if not self._finished:
            self.reply(404, _error("Unknown", "there is no such call"))


class CallHandler(Guarded):
    """All calls that answer at once; they run in threads, for the engine takes its time."""

    async def post(self, name: str) -> None:
        """Do a call."""
        call = CALLS.get(name)
        if call is None:
            self.reply(404, _error("Unknown", f"there is no call {name}"))
        elif self.right < call.needs:
            self.reply(403, _error("Forbidden", "this token does not open that"))
        else:
            body = self.request.body
            done = IOLoop.current().run_in_executor(None, answer, self.group, call, body)
            self.reply(*await done)


class ReceiveHandler(Guarded):
    """The queue's long poll."""

    gone = False

    async def post(self) -> None:
        """Answer with messages as soon as there are some, with none when the wait is over."""
        try:
            until = time.monotonic() + read(Wait, self.request.body).wait_s
        except HubfleetError as error:
            self.reply(*refusal(error))
            return
        while not (found := self.group.queue.receive()) and time.monotonic() < until:
            await asyncio.sleep(LOOK_S)
            if self.gone:
                return
        self.reply(200, [dataclasses.asdict(message) for message in found])

    def on_connection_close(self) -> None:
        """Note that nobody waits any more: what came now would be lost for a while."""
        self.gone = True


def application(group: Group, tokens: Tokens) -> Application:
    """Return the web application."""
    parts = {"group": group, "tokens": tokens}
    return Application(
        [
            (r"/v1/receive", ReceiveHandler, parts),
            (r"/v1/([a-z/-]+)", CallHandler, parts),
        ],
        default_handler_class=Unknown,
        default_handler_args=parts,
    )


def _error(kind: str, message: str) -> Mapping[str, str]:
    return {"error": kind, "message": message}
