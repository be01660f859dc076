"""TensorZero's gateway, which its package brings along for its own clients. Tells where it listens, and stays."""

import sys
import threading

from tensorzero import _start_http_gateway

gateway = _start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
print(gateway.base_url, flush=True)
threading.Event().wait()
