"""Cohere's clients through weir and, for comparison, straight at the upstream: arguments WEIR_URL UPSTREAM_URL KEY.

Prints the results of each ranking as pairs of index and score, and those of each embedding as vectors, as JSON.
"""

import json
import sys

import cohere

QUERY = "how is an idle connection closed"
DOCUMENTS = [
    "apple trees bear fruit in autumn",
    "an idle connection is closed when its keep-alive expires",
    "a connection is opened when none is idle",
    "trains share no track",
]


def pairs(response) -> list:
    return [[result.index, result.relevance_score] for result in response.results]


def embedded(client, model: str, **types) -> dict:
    response = client.embed(model=model, texts=DOCUMENTS, input_type="search_document", **types)
    return {"vectors": response.embeddings.float_, "base64": response.embeddings.base64, "texts": response.texts}


weir_url, upstream_url, key = sys.argv[1:]
weir = cohere.ClientV2(api_key="not needed", base_url=weir_url)
first_version = cohere.Client(api_key="not needed", base_url=weir_url)
upstream = cohere.ClientV2(api_key=key, base_url=upstream_url)

whole = weir.rerank(model="cohere/rerank-v3.5", query=QUERY, documents=DOCUMENTS)
try:
    weir.rerank(model="cohere/no-such-model", query=QUERY, documents=DOCUMENTS)
    refusal = None
except cohere.errors.NotFoundError as error:
    refusal = error.status_code
print(
    json.dumps(
        {
            "whole": pairs(whole),
            "search_units": whole.meta.billed_units.search_units,
            "best_two": pairs(weir.rerank(model="cohere/rerank-v3.5", query=QUERY, documents=DOCUMENTS, top_n=2)),
            "version_1": pairs(first_version.rerank(model="cohere/rerank-v3.5", query=QUERY, documents=DOCUMENTS)),
            "by_voyage": pairs(weir.rerank(model="voyage/rerank-2.5", query=QUERY, documents=DOCUMENTS)),
            "direct": pairs(upstream.rerank(model="rerank-v3.5", query=QUERY, documents=DOCUMENTS)),
            "refusal": refusal,
            "embedded": embedded(weir, "cohere/embed-v4.0"),
            "embedded_by_openai": embedded(weir, "openai/text-embedding-3-small"),
            "in_base64": embedded(weir, "cohere/embed-v4.0", embedding_types=["base64"]),
            "embedded_direct": embedded(upstream, "embed-v4.0", embedding_types=["float"]),
        }
    )
)
