"""The line of starts."""

import asyncio

from hubfleet.hub.line import Line


def test_at_most_so_many_start_at_once_in_order_and_know_their_place() -> None:
    async def scene() -> None:
        line, started, gate = Line(2), [], asyncio.Event()

        async def start(who: str) -> None:
            async with line.turn(who):
                started.append(who)
                await gate.wait()

        starts = [asyncio.create_task(start(who)) for who in "abcd"]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert started == ["a", "b"]
        assert [line.place(who) for who in "abcd"] == [0, 0, 1, 2]
        gate.set()
        await asyncio.gather(*starts)
        assert started == list("abcd")

    asyncio.run(scene())


def test_who_gives_up_leaves_the_line_and_takes_no_slot() -> None:
    async def scene() -> None:
        line, gate = Line(1), asyncio.Event()

        async def start(who: str) -> None:
            async with line.turn(who):
                await gate.wait()

        first, second = asyncio.create_task(start("a")), asyncio.create_task(start("b"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert line.place("b") == 0
        gate.set()
        await first
        async with asyncio.timeout(1), line.turn("c"):
            pass

    asyncio.run(scene())


def test_who_leaves_early_gives_up_one_slot_only() -> None:
    async def scene() -> None:
        line = Line(1)
        async with line.turn("a") as leave:
            leave()
            leave()
            async with asyncio.timeout(1), line.turn("b"):
                second = asyncio.create_task(line.turn("c").__aenter__())
                await asyncio.sleep(0)
                assert line.place("c") == 1
                second.cancel()
                await asyncio.gather(second, return_exceptions=True)

    asyncio.run(scene())
