"""An adapter in Python: embeddings of an API like many. The same one in Rust is what `weir new` writes.

`just python-adapter` builds it with componentize-py. A component of Python's brings the interpreter along, which imports
more of WASI than it uses: it loads with `wasi = "stub"`.
"""

import json
import struct
from base64 import b64decode
from typing import Any, NoReturn

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import embedding, metadata
from wit_world.imports import pooled_http, store, types

BASE_URL = "https://api.acme.example/v1"
MODEL = "acme-1"


class Metadata(exports.Metadata):
    def describe(self) -> metadata.Manifest:
        return metadata.Manifest(
            name="acme-python",
            version="0.1.0",
            description="Acme, for weir, in Python.",
            origins=[metadata.Origin_OfSetting("base_url")],
            secrets=[metadata.Secret("api_key", "An API key, usually in ACME_API_KEY.", True)],
            settings=[
                metadata.Setting("base_url", "Where the API is served.", BASE_URL),
                metadata.Setting("model", "The model when a call names none.", MODEL),
            ],
            default_models=[metadata.DefaultModel("embed", MODEL)],
            limits=[metadata.OperationLimits("embed", 128, None, None)],
            stateful=False,
        )


class Embedding(exports.Embedding):
    async def embed(self, request: types.EmbeddingRequest) -> embedding.Response:
        model = request.model or store.get("model") or MODEL
        body: dict[str, Any] = {"model": model, "input": request.inputs}
        if request.kind is not None:
            body["input_type"] = request.kind.name.lower()
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        answer = await post("/embeddings", "embed", body)
        vectors, dimensions = in_order(answer, request)
        tokens = answer.get("usage", {}).get("total_tokens", 0)
        return embedding.Response(model, dimensions, vectors, types.Usage(tokens, 0))


async def post(path: str, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of status 2xx, decoded; any other, and whatever went wrong on the way, is raised."""
    base_url = (store.get("base_url") or BASE_URL).rstrip("/")
    request = pooled_http.Request(
        operation=operation,
        method="POST",
        url=base_url + path,
        headers=[types.Header("content-type", "application/json"), types.Header("accept", "application/json")],
        credential=pooled_http.Credential_Bearer("api_key"),
        body=json.dumps(body).encode(),
        replay_safe=True,
        timeouts=None,
    )
    try:
        answer = await pooled_http.send(request)
    except Err as error:
        raise Err(types.Error_Http(error.value)) from None
    if not 200 <= answer.status < 300:
        raise refusal(answer)
    try:
        decoded = json.loads(answer.body)
    except ValueError as error:
        malformed(str(error))
    if not isinstance(decoded, dict):
        malformed("no JSON object")
    return decoded


def refusal(answer: pooled_http.Response) -> Err:
    """What the provider said, by what the caller can do about it."""
    words, code = answer.body.decode(errors="replace"), None
    try:
        error = json.loads(words)["error"]
        words, code = error["message"], error.get("code")
    except (ValueError, KeyError, TypeError):
        pass
    failure = types.Failure(words or f"status {answer.status} without a word", answer.status, code, None, None)
    match answer.status:
        case 400 | 422:
            return Err(types.Error_InvalidInput(failure))
        case 401 | 403:
            return Err(types.Error_Unauthorized(failure))
        case 404:
            return Err(types.Error_NotFound(failure))
        case 413:
            return Err(types.Error_TooLarge(failure))
        case 429:
            return Err(types.Error_RateLimited(failure))
        case _:
            return Err(types.Error_Upstream(failure))


def in_order(answer: dict[str, Any], request: types.EmbeddingRequest) -> tuple[list[float], int]:
    """All vectors, one after the other in the order of the inputs, and the length of each."""
    try:
        by_index = {item["index"]: vector(item["embedding"]) for item in answer["data"]}
    except (KeyError, TypeError, ValueError, struct.error) as error:
        malformed(f"`data`: {error!r}")
    if len(answer["data"]) != len(request.inputs) or set(by_index) != set(range(len(request.inputs))):
        malformed(f"`data`: {len(answer['data'])} vectors for {len(request.inputs)} inputs")
    ordered = [by_index[index] for index in range(len(request.inputs))]
    dimensions = request.dimensions or (len(ordered[0]) if ordered else 0)
    if any(len(values) != dimensions for values in ordered):
        malformed(f"`data`: a vector that has not {dimensions} values")
    return [value for values in ordered for value in values], dimensions


def vector(embedding: list[float] | str) -> list[float]:
    """Numbers, or base64 of 32-bit floats."""
    if isinstance(embedding, list):
        return [float(value) for value in embedding]
    packed = b64decode(embedding, validate=True)
    return list(struct.unpack(f"<{len(packed) // 4}f", packed))


def malformed(message: str) -> NoReturn:
    raise Err(types.Error_MalformedResponse(message))
