"""What Qdrant's client finds in a collection: arguments URL KEY COLLECTION.

Prints the count, and id, path and first line of each point, as JSON.
"""

import json
import sys
import warnings

from qdrant_client import QdrantClient

url, key, collection = sys.argv[1:]
# It warns of a key over HTTP, which here stays on this machine.
warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
client = QdrantClient(url=url, api_key=key)
points, offset = [], None
while True:
    page, offset = client.scroll(collection, limit=10, offset=offset, with_payload=True, with_vectors=True)
    points += page
    if offset is None:
        break
print(
    json.dumps(
        {
            "count": client.count(collection, exact=True).count,
            "points": [[point.id, point.payload["path"], point.payload["start_line"]] for point in points],
            "without_vector": sum(not point.vector for point in points),
        }
    )
)
