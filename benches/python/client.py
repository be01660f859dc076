"""httpx under one load, told like the other clients: one AsyncClient, shared by callers that each send their next
request when the last is answered."""

import argparse
import asyncio
import json
import os
import ssl
import time

import httpx

BODY = b'{"query":[0.12,0.34,0.56,0.78],"limit":3,"with_payload":false}'

options = argparse.ArgumentParser()
options.add_argument("--core", type=int, required=True)
options.add_argument("--url", required=True)
options.add_argument("--verb", choices=["get", "post"], required=True)
options.add_argument("--in-flight", type=int, required=True)
options.add_argument("--connections", type=int, required=True)
options.add_argument("--certificate", required=True)
options.add_argument("--warm-up", type=float, required=True)
options.add_argument("--seconds", type=float, required=True)
options.add_argument("--http2", action="store_true")


async def main(load):
    times = []
    ending = False
    headers = {"accept": "application/json"}
    if load.verb == "post":
        headers["content-type"] = "application/json"
    client = httpx.AsyncClient(
        http2=load.http2,
        trust_env=False,
        verify=ssl.create_default_context(cafile=load.certificate),
        limits=httpx.Limits(max_connections=load.connections, max_keepalive_connections=load.connections),
        timeout=httpx.Timeout(60),
    )

    async def request():
        if load.verb == "post":
            response = await client.post(load.url, content=BODY, headers=headers)
        else:
            response = await client.get(load.url, headers=headers)
        assert response.status_code == 200 and response.content

    async def call():
        while not ending:
            began = time.perf_counter()
            await request()
            times.append(time.perf_counter() - began)

    await request()
    callers = [asyncio.create_task(call()) for _ in range(load.in_flight)]

    async def alive(seconds):
        failed, _ = await asyncio.wait(callers, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for caller in failed:
            caller.result()

    await alive(load.warm_up)
    print("measuring", flush=True)
    times.clear()
    began, cpu = time.perf_counter(), time.process_time()
    await alive(load.seconds)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    measured = sorted(times)
    print(
        json.dumps(
            {
                "requests": len(measured),
                "seconds": seconds,
                "cpu_seconds": cpu,
                "p50_us": measured[len(measured) // 2] * 1e6,
                "p99_us": measured[len(measured) * 99 // 100] * 1e6,
            }
        ),
        flush=True,
    )
    ending = True
    await asyncio.gather(*callers)
    await client.aclose()


if __name__ == "__main__":
    load = options.parse_args()
    os.sched_setaffinity(0, {load.core})
    asyncio.run(main(load))
