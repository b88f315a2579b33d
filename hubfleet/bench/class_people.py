"""Students of the class drill: each has a real server, a file, and a kernel that knows a word.

Times are POSIX seconds, durations seconds.
"""

import asyncio
import secrets
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

import aiohttp

from hubfleet.bench.class_journal import Stay
from hubfleet.clients.hub import HubError, Student

FILE = "class.txt"
CHECK_S = 20.0
"""A kernel that does not answer within that has not answered."""

BROKEN = (HubError, OSError, TimeoutError, TypeError, aiohttp.ClientError)
"""What a connection raises whose other end is gone; a websocket that closes is a TypeError."""


@dataclass
class Pupil:
    """One student, from the click to the end of the class."""

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
    """Why the kernel of the first start is lost, empty while it answers."""
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _kernel: str = ""

    @property
    def node(self) -> str:
        """The worker that the kernel was started on; empty before that."""
        return self.stays[0].node if self.stays else ""

    async def arrive(self) -> None:
        """Log in, click, wait, save a file, and tell a kernel a word."""
        try:
            await self._stack.enter_async_context(self.student)
            await self.student.login()
            self.clicked_at = time.time()
            start = await self.student.start()
            self.wait_s, self.told = start.seconds, [message for _, message in start.messages]
            await self.student.write(FILE, self.word)
            await self._open_kernel()
        except BROKEN as error:
            self.problem = f"{type(error).__name__}: {error}"

    async def _open_kernel(self) -> None:
        self._kernel = await self.student.start_kernel()
        code = f"import os; word = {self.word!r}; print(os.environ['HUBFLEET_NODE'])"
        self.stays = [Stay(await self._ask(code), self.clicked_at)]

    async def _ask(self, code: str) -> str:
        # A connection each time: one that nobody reads from is cut, though its kernel lives on.
        async with self.student.attach(self._kernel) as kernel:
            return await kernel.run(code, CHECK_S)

    async def check(self) -> None:
        """Ask the kernel for its word; one that does not know it any more is lost."""
        if not self._kernel or self.stopped or self.lost:
            return
        try:
            answer = await self._ask("print(word)")
            self.lost = "" if answer == self.word else f"it says {answer[:80]!r}"
        except BROKEN as error:
            self.lost = f"{type(error).__name__}: {error}"

    async def back(self) -> bool:
        """Say whether the server answers, and has the student's file."""
        try:
            return await self.student.read(FILE) == self.word
        except BROKEN:
            return False

    def moved(self, at: float) -> None:
        """Note that the server left its first worker; where it went is not followed."""
        if self.stays and self.stays[-1].until is None:
            last = self.stays[-1]
            self.stays[-1] = Stay(last.node, last.since, at)

    def leave(self, at: float) -> None:
        """Note that the server is stopped."""
        self.stopped = True
        self.moved(at)

    async def close(self) -> None:
        """End the connections; what is gone is gone."""
        with suppress(*BROKEN):
            await self._stack.aclose()


async def check_all(pupils: list[Pupil]) -> None:
    """Ask all kernels at once."""
    await asyncio.gather(*(pupil.check() for pupil in pupils))
