"""Qdrant's engine behind as much of its REST API as weir's adapter asks for, on a free port of this machine.

Prints the port, then serves until standard input ends. What is asked in Qdrant's words under /collections is also
answered in weir's own words under /direct/OPERATION, by collections apart from those: the engine's answer without the
adapter.
"""

import json
import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import qdrant_edge as edge

# Of Qdrant: 1 / (2 + rank).
RRF = edge.Fusion.Rrf(k=2)
# The server whose engine this is.
VERSION = "1.20.0"


class Refusal(Exception):
    def __init__(self, status: int, words: str):
        super().__init__(words)
        self.status = status


class Store:
    """Collections by name: the shard of each, and what it was made with."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.collections = {}
        self.made = 0

    def of(self, name: str):
        if name not in self.collections:
            raise Refusal(404, f"Not found: Collection `{name}` doesn't exist!")
        return self.collections[name][0]

    def create(self, name: str, params: dict) -> None:
        if name in self.collections:
            raise Refusal(409, f"Wrong input: Collection `{name}` already exists!")
        dense = {
            key: edge.EdgeVectorParams(size=found["size"], distance=getattr(edge.Distance, found["distance"]))
            for key, found in params["vectors"].items()
        }
        idf = {"idf": edge.Modifier.Idf}
        sparse = {
            key: edge.EdgeSparseVectorParams(modifier=idf.get(found.get("modifier")))
            for key, found in params.get("sparse_vectors", {}).items()
        }
        self.made += 1
        config = edge.EdgeConfig(vectors=dense, sparse_vectors=sparse or None)
        shard = edge.EdgeShard.create(f"{self.folder.name}/{self.made}", config)
        self.collections[name] = (shard, params)

    def drop(self, name: str) -> bool:
        found = self.collections.pop(name, None)
        if found:
            found[0].close()
        return found is not None


def vector(value):
    return edge.SparseVector(value["indices"], value["values"]) if isinstance(value, dict) else value


def points(asked: list) -> list:
    return [
        edge.Point(
            id=point["id"],
            vector={name: vector(found) for name, found in point["vector"].items()},
            payload=point.get("payload") or {},
        )
        for point in asked
    ]


def found(scored: list) -> list:
    return [
        {"id": point.id if isinstance(point.id, int) else str(point.id), "score": point.score, "payload": point.payload}
        for point in scored
    ]


# Qdrant's words


def rest_filter(asked):
    if asked is None:
        return None
    unknown = set(asked) - {"must", "should", "must_not"}
    if unknown:
        raise Refusal(400, f"Format error in JSON body: unknown field {unknown}")
    return edge.Filter(**{name: [rest_condition(one) for one in some] for name, some in asked.items()})


def rest_condition(asked: dict):
    if "is_empty" in asked:
        return edge.IsEmptyCondition(asked["is_empty"]["key"])
    if "key" not in asked:
        return rest_filter(asked)
    if "range" in asked:
        return edge.FieldCondition(key=asked["key"], range=edge.RangeFloat(**asked["range"]))
    [(kind, value)] = asked["match"].items()
    kinds = {
        "value": edge.MatchValue,
        "any": edge.MatchAny,
        "text": edge.MatchText,
        "substring": edge.MatchSubstring,
    }
    return edge.FieldCondition(key=asked["key"], match=kinds[kind](value))


def rest_query(asked: dict):
    query = asked["query"]
    if "fusion" in query:
        if query["fusion"] != "rrf":
            raise Refusal(400, "Format error in JSON body: unknown fusion")
        return RRF
    return edge.Query.Nearest(vector(query["nearest"]), using=asked.get("using"))


def rest(store: Store, method: str, path: str, query: str, body):
    parts = path.strip("/").split("/")
    name, rest_of = (parts[1] if len(parts) > 1 else None), "/".join(parts[2:])
    if parts[0] != "collections":
        raise Refusal(404, "")
    match (method, name, rest_of):
        case ("GET", None, ""):
            return {"collections": [{"name": name} for name in store.collections]}
        case ("GET", _, ""):
            store.of(name)
            return {"status": "green", "config": {"params": store.collections[name][1]}}
        case ("PUT", _, ""):
            store.create(name, body)
            return True
        case ("DELETE", _, ""):
            return store.drop(name)
        case ("PUT", _, "points"):
            store.of(name).update(edge.UpdateOperation.upsert_points(points(body["points"])))
        case ("POST", _, "points/delete") if "points" in body:
            store.of(name).update(edge.UpdateOperation.delete_points(body["points"]))
        case ("POST", _, "points/delete"):
            store.of(name).update(edge.UpdateOperation.delete_points_by_filter(rest_filter(body["filter"])))
        case ("POST", _, "points/count"):
            return {"count": store.of(name).count(edge.CountRequest(True, rest_filter(body.get("filter"))))}
        case ("POST", _, "points/query"):
            prefetches = [
                edge.Prefetch(limit=one["limit"], query=rest_query(one)) for one in body.get("prefetch", [])
            ]
            request = edge.QueryRequest(
                limit=body["limit"],
                query=rest_query(body),
                prefetches=prefetches,
                filter=rest_filter(body.get("filter")),
                with_payload=body["with_payload"],
            )
            return {"points": found(store.of(name).query(request))}
        case _:
            raise Refusal(404, "")
    if query != "wait=true":
        return {"operation_id": 0, "status": "acknowledged"}
    return {"operation_id": 0, "status": "completed"}


# weir's words


def direct_filter(asked):
    if asked is None:
        return None
    return edge.Filter(**{place: [direct_condition(one) for one in some] for place, some in asked.items()})


def direct_condition(asked: dict):
    key = asked["key"]

    def one_of(values):
        each = [edge.FieldCondition(key=key, match=edge.MatchValue(value)) for value in values]
        # None of none: nothing passes.
        return edge.Filter(should=each) if each else edge.HasIdCondition(set())

    if "equals" in asked:
        return edge.FieldCondition(key=key, match=edge.MatchValue(asked["equals"]))
    if "any" in asked:
        return one_of(asked["any"])
    if "none" in asked:
        return edge.Filter(must_not=[one_of(asked["none"])])
    if "range" in asked:
        return edge.FieldCondition(key=key, range=edge.RangeFloat(**asked["range"]))
    if "contains" in asked:
        return edge.FieldCondition(key=key, match=edge.MatchSubstring(asked["contains"]))
    return edge.FieldCondition(key=key, is_empty=True)


def direct(store: Store, operation: str, asked: dict):
    name = asked["collection"]
    if operation == "ensure-collection":
        params = {"dense": {"size": asked["dimensions"], "distance": asked.get("distance", "cosine").capitalize()}}
        sparse = {"sparse": {"modifier": "idf"}} if asked.get("sparse") else {}
        return store.create(name, {"vectors": params, "sparse_vectors": sparse})
    shard = store.of(name)
    if operation == "upsert":
        named = [
            {**point, "vector": {ours: point[theirs] for ours, theirs in NAMED if theirs in point}}
            for point in asked["points"]
        ]
        return shard.update(edge.UpdateOperation.upsert_points(points(named)))
    if operation == "count":
        return {"count": shard.count(edge.CountRequest(True, direct_filter(asked.get("filter"))))}
    if operation == "delete" and "ids" in asked:
        return shard.update(edge.UpdateOperation.delete_points(asked["ids"]))
    if operation == "delete":
        return shard.update(edge.UpdateOperation.delete_points_by_filter(direct_filter(asked["filter"])))
    nearest = [
        edge.Query.Nearest(vector(asked[theirs]), using=ours) for ours, theirs in NAMED if theirs in asked
    ]
    limit = asked["limit"]
    only = direct_filter(asked.get("filter"))
    if len(nearest) == 1:
        request = edge.QueryRequest(limit=limit, query=nearest[0], filter=only, with_payload=True)
    else:
        candidates = max(50, 2 * limit)
        both = [edge.Prefetch(limit=candidates, query=query, filter=only) for query in nearest]
        request = edge.QueryRequest(limit=limit, query=RRF, prefetches=both, with_payload=True)
    return {"points": found(shard.query(request))}


NAMED = [("dense", "vector"), ("sparse", "sparse")]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "null")
        path, _, query = self.path.partition("?")
        try:
            if self.headers.get("api-key") != self.server.key:
                return self.send(401, "text/plain", "Must provide an API key or an Authorization bearer token")
            with self.server.lock:
                if path.startswith("/direct/"):
                    result = direct(self.server.apart, path.removeprefix("/direct/"), body)
                elif path == "/":
                    root = {"title": "qdrant - vector search engine", "version": VERSION, "commit": ""}
                    return self.send(200, "application/json", json.dumps(root))
                else:
                    result = rest(self.server.store, self.command, path, query, body)
            self.send(200, "application/json", json.dumps({"result": result, "status": "ok", "time": 8.873e-6}))
        except Refusal as refusal:
            self.refuse(refusal.status, str(refusal))
        except Exception as error:
            # What the engine refuses, in its own words.
            self.refuse(400, re.sub(r"\s+", " ", f"Wrong input: {error}"))

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def refuse(self, status: int, words: str):
        body = json.dumps({"status": {"error": words}, "time": 0.0}) if words else ""
        self.send(status, "application/json", body)

    def send(self, status: int, kind: str, text: str):
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
server.key, server.lock = sys.argv[1], threading.Lock()
server.store, server.apart = Store(), Store()
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
