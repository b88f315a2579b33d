"""The line of starts: so many at once as the workers' cores bear, the others told their place.

JupyterHub's own concurrent_spawn_limit refuses the next student with an error page instead.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from hubfleet.hub.shared import Shared


class Line(Shared):
    """First come, first served; at most `limit` at once."""

    def __init__(self, limit: int) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._waiting: list[object] = []

    @asynccontextmanager
    async def turn(self, who: object) -> AsyncIterator[Callable[[], None]]:
        """Wait for a slot and hold it for the block, or until what it is given is called.

        A start that waits for a machine costs nothing meanwhile, and those behind it wait for
        machines as well.
        """
        self._waiting.append(who)
        try:
            await self._slots.acquire()
        finally:
            self._waiting.remove(who)
        held = True

        def leave() -> None:
            nonlocal held
            if held:
                held = False
                self._slots.release()

        try:
            yield leave
        finally:
            leave()

    def place(self, who: object) -> int:
        """Return 1 for the head of the line, 0 for who is not in it."""
        return self._waiting.index(who) + 1 if who in self._waiting else 0
