"""Students of the class drill: a file and a kernel that knows a word, or one of the crowd.

Times are POSIX seconds, durations seconds.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import ClassVar

import aiohttp

from hubfleet.bench.class_journal import Stay
from hubfleet.clients.hub import HubError, Student

FILE = "class.txt"
CHECK_S = 20.0
"""A server that does not answer within that has not answered."""

BROKEN = (HubError, OSError, TimeoutError, TypeError, LookupError, aiohttp.ClientError)
"""What a connection raises whose other end is gone, or another; a websocket that closes is a
TypeError."""


@dataclass
class Pupil:
    """One student with a server and a kernel, from the click to the end of the class."""

    student: Student
    word: str = field(default_factory=lambda: secrets.token_hex(8))
    clicked_at: float = 0.0
    wait_s: float | None = None
    """From the click until the server answered; None while it has not."""
    problem: str = ""
    told: list[str] = field(default_factory=list)
    """What the progress page said."""
    stays: list[Stay] = field(default_factory=list)
    stopped: bool = False
    lost: str = ""
    """Why what the server held in memory is lost, empty while it is there."""
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _kernel: str = ""

    options: ClassVar[dict[str, str]] = {}
    """What is asked of the server."""

    @property
    def node(self) -> str:
        """The worker that the server was last seen on; empty before that."""
        return self.stays[-1].node if self.stays else ""

    async def arrive(self, after: float = 0.0) -> None:
        """Log in `after` so many seconds, click, wait, and leave something to find again."""
        await asyncio.sleep(after)
        try:
            await self._stack.enter_async_context(self.student)
            await self.student.login()
            self.clicked_at = time.time()
            start = await self.student.start(**self.options)
            self.wait_s, self.told = start.seconds, [message for _, message in start.messages]
            self.stays = [Stay(await self.settle(), self.clicked_at)]
        except BROKEN as error:
            self.problem = f"{type(error).__name__}: {error}"

    async def settle(self) -> str:
        """Save a file, tell a kernel a word, and return the worker that it runs on."""
        await self.student.write(FILE, self.word)
        self._kernel = await self.student.start_kernel()
        code = f"import os; word = {self.word!r}; print(os.environ['HUBFLEET_NODE'])"
        return await self._ask(code)

    async def recall(self) -> str:
        """Return what the server's memory holds."""
        return await self._ask("print(word)")

    async def find(self) -> bool:
        """Say whether what was saved is there."""
        return await self.student.read(FILE) == self.word

    async def _ask(self, code: str) -> str:
        # A connection each time: one that nobody reads from is cut, though its kernel lives on.
        async with self.student.attach(self._kernel) as kernel:
            return await kernel.run(code, CHECK_S)

    async def check(self) -> None:
        """Ask for the word; a server that does not know it any more is lost."""
        if not self.node or self.stopped or self.lost:
            return
        try:
            async with asyncio.timeout(CHECK_S):
                answer = await self.recall()
            self.lost = "" if answer == self.word else f"it says {answer[:80]!r}"
        except BROKEN as error:
            self.lost = f"{type(error).__name__}: {error}"

    async def back(self) -> bool:
        """Say whether the server answers, and has what was saved."""
        try:
            return await self.find()
        except BROKEN:
            return False

    def moved(self, at: float) -> None:
        """Note that the server has left its worker."""
        if self.stays and self.stays[-1].until is None:
            last = self.stays[-1]
            self.stays[-1] = Stay(last.node, last.since, at)

    async def settle_again(self) -> None:
        """Go on where the server is now: its new kernel, too, is not to be lost.

        Raises HubError where it does not answer any more.
        """
        since = time.time()
        try:
            self.stays.append(Stay(await self.settle(), since))
        except BROKEN as error:
            raise HubError(f"{self.student.name} is not back: {error!r}") from error
        self.lost = ""

    def leave(self, at: float) -> None:
        """Note that the server is stopped."""
        self.stopped = True
        self.moved(at)

    async def close(self) -> None:
        """End the connections; what is gone is gone."""
        with suppress(*BROKEN):
            await self._stack.aclose()


class LightPupil(Pupil):
    """One of the crowd: the server has no notebooks, but an id that it makes at its start."""

    options: ClassVar[dict[str, str]] = {"kind": "light"}

    async def settle(self) -> str:
        """Note the id, and return the worker that the server runs on."""
        said = await self.student.ask_status()
        self.word = said["light"]
        return str(said["node"])

    async def recall(self) -> str:
        """Return the id of the server that answers now."""
        return str((await self.student.ask_status())["light"])

    async def find(self) -> bool:
        """Say whether a server answers: nothing was saved."""
        return bool(await self.recall())


async def check_all(pupils: Sequence[Pupil]) -> None:
    """Ask all kernels at once."""
    await asyncio.gather(*(pupil.check() for pupil in pupils))
