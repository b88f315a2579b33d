"""A queue that behaves as SQS does: invisible after a delivery, again unless deleted, dead at last.

Times are POSIX seconds.
"""

import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel

from hubfleet.fleet.scaling import Message
from hubfleet.fleet.service.store import Kept

MOST = 10
"""Messages in one answer, as with SQS."""

DELIVERIES = 5
"""A message that was delivered so often, and never deleted, goes to the dead letters."""

DEAD_KEPT = 1000


class Item(BaseModel):
    """A message that waits, or was delivered and not deleted."""

    id: str
    body: str
    visible_at: float
    receives: int = 0
    receipt: str = ""
    """What the last delivery is deleted by."""


class Content(BaseModel):
    """The queue as it is kept."""

    waiting: list[Item] = []
    dead: list[Item] = []


class Queue:
    """The messages of one fleet; safe to use from several threads."""

    def __init__(self, file: Path, visibility_s: float, clock: Callable[[], float]) -> None:
        self._kept = Kept(file, Content())
        self._visibility_s = visibility_s
        self._clock = clock
        self._guard = threading.Lock()

    def send(self, body: str) -> str:
        """Put a message into the queue and return its id."""
        item = Item(id=str(uuid.uuid4()), body=body, visible_at=self._clock())
        with self._guard:
            self._kept.value.waiting.append(item)
            self._kept.save()
        return item.id

    def receive(self) -> Sequence[Message]:
        """Deliver what is visible, at most MOST; it is invisible then for a while."""
        now, content = self._clock(), self._kept.value
        with self._guard:
            visible = [item for item in content.waiting if item.visible_at <= now]
            worn = [item for item in visible if item.receives >= DELIVERIES]
            chosen = [item for item in visible if item.receives < DELIVERIES][:MOST]
            for item in worn:
                content.waiting.remove(item)
            content.dead = [*content.dead, *worn][-DEAD_KEPT:]
            for item in chosen:
                item.receives += 1
                item.receipt = str(uuid.uuid4())
                item.visible_at = now + self._visibility_s
            if worn or chosen:
                self._kept.save()
            return [Message(i.id, i.receipt, i.body, i.receives) for i in chosen]

    def acknowledge(self, receipt: str) -> None:
        """Delete what was delivered under a receipt; one that is not the last does nothing."""
        content = self._kept.value
        with self._guard:
            left = [item for item in content.waiting if item.receipt != receipt]
            if len(left) < len(content.waiting):
                content.waiting = left
                self._kept.save()

    def hide(self, receipt: str, seconds: float) -> None:
        """Have a delivered message come again after so many seconds, no sooner and no later."""
        with self._guard:
            for item in self._kept.value.waiting:
                if item.receipt == receipt:
                    item.visible_at = self._clock() + seconds
                    self._kept.save()

    def dead(self) -> Sequence[Message]:
        """Return the messages that nobody could handle, the oldest first."""
        with self._guard:
            return [Message(i.id, "", i.body, i.receives) for i in self._kept.value.dead]
