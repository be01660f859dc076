"""Bursts of requests with pauses between them, by httpx: arguments URL CALLERS ROUNDS PAUSE...

In a burst CALLERS make ROUNDS requests each, one after the other; after it comes a pause, in seconds. The client has the
settings that the pool calls `qdrant`. Prints how many requests were made and how many of them failed.
"""

import asyncio
import sys

import httpx

url, callers, rounds, *pauses = sys.argv[1:]


async def calls(client: httpx.AsyncClient) -> int:
    failed = 0
    for _ in range(int(rounds)):
        try:
            await client.post(url, json={"limit": 3})
        except httpx.HTTPError:
            failed += 1
    return failed


async def main() -> None:
    limits = httpx.Limits(max_connections=30, max_keepalive_connections=20, keepalive_expiry=30)
    timeout = httpx.Timeout(connect=10, read=120, write=10, pool=5)
    failed = 0
    async with httpx.AsyncClient(limits=limits, timeout=timeout) as client:
        for pause in pauses:
            failed += sum(await asyncio.gather(*(calls(client) for _ in range(int(callers)))))
            await asyncio.sleep(float(pause))
    print(len(pauses) * int(callers) * int(rounds), failed)


asyncio.run(main())
