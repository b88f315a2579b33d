"""The same work for several machines at once."""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from hubfleet.errors import HubfleetError

Item = TypeVar("Item")
Result = TypeVar("Result")

WAKE_S = 0.5
"""How often the waiting thread looks up, so that Ctrl-C is heard at once."""


def run_all(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result | HubfleetError]:
    """Run `work` for all items at once; return, in their order, results and HubfleetErrors.

    Another exception is raised here after all have ended. The threads are daemons: Ctrl-C does not
    wait for them.
    """
    results: list[Result | BaseException | None] = [None] * len(items)

    def guarded(index: int, item: Item) -> None:
        try:
            results[index] = work(item)
        except BaseException as error:  # raised again in the caller's thread
            results[index] = error

    threads = [
        threading.Thread(target=guarded, args=pair, daemon=True) for pair in enumerate(items)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(WAKE_S)
    done: list[Result | HubfleetError] = []
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, HubfleetError):
            raise result
        done.append(result)  # type: ignore[arg-type]
    return done
