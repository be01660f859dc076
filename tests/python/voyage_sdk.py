"""Voyage's client through weir and, for comparison, straight at the upstream: arguments WEIR_URL UPSTREAM_URL KEY.

Prints what both got, as JSON. The client asks for base64 by itself.
"""

import json
import sys

import voyageai

TEXTS = ["how is an idle connection closed", "an apple tree", "naïve café ✓"]
QUERY = "how is an idle connection closed"
DOCUMENTS = [
    "apple trees bear fruit in autumn",
    "an idle connection is closed when its keep-alive expires",
    "a connection is opened when none is idle",
]


def everything(client: voyageai.Client, prefix: str) -> dict:
    model = f"{prefix}voyage-code-3"
    usual = client.embed(TEXTS, model=model, input_type="document")
    narrow = client.embed(TEXTS[:1], model=model, input_type="query", output_dimension=256)
    ranking = client.rerank(QUERY, DOCUMENTS, model=f"{prefix}rerank-2.5")
    best = client.rerank(QUERY, DOCUMENTS, model=f"{prefix}rerank-2.5", top_k=1)
    return {
        "vectors": usual.embeddings,
        "tokens": usual.total_tokens,
        "narrow": narrow.embeddings,
        "ranking": [[result.index, result.relevance_score, result.document] for result in ranking.results],
        "ranking_tokens": ranking.total_tokens,
        "best": [result.index for result in best.results],
    }


weir_url, upstream_url, key = sys.argv[1:]
weir = voyageai.Client(api_key="not-needed", base_url=f"{weir_url}/v1", max_retries=0)
upstream = voyageai.Client(api_key=key, base_url=upstream_url, max_retries=0)
refusals = []
# The second time a fault is on order.
for model in ["voyage/no-such-model", "voyage/voyage-code-3"]:
    try:
        weir.embed(TEXTS, model=model)
    except voyageai.error.VoyageError as error:
        refusals.append([type(error).__name__, error.http_status])
print(json.dumps({"weir": everything(weir, "voyage/"), "upstream": everything(upstream, ""), "refusals": refusals}))
