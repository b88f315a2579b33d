"""Waits until a student's server answers, looking more often than the hub's jittered back-off."""

import asyncio

import aiohttp

INTERVAL_S = 0.2
"""Between two looks: short beside the 1.2 s that Jupyter takes, long beside one request."""


async def until_answers(url: str) -> None:
    """Return when `url` answers with less than 500.

    Each look resolves the name again: it appears late, and moves when the task does.
    """
    connector = aiohttp.TCPConnector(use_dns_cache=False, force_close=True)
    timeout = aiohttp.ClientTimeout(total=3)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        while True:
            try:
                async with session.get(url, allow_redirects=False) as answer:
                    if answer.status < 500:
                        return
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(INTERVAL_S)
