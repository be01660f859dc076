"""How OpenAI's client reads weir's errors: arguments WEIR_URL KEY MODEL….

Asks for one embedding by each model, and once with a wrong key; prints class, status and headers of each failure.
"""

import json
import sys

import openai


def failure(client: openai.OpenAI, model: str) -> dict:
    try:
        client.embeddings.create(model=model, input="x")
    except openai.APIStatusError as error:
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "code": error.code,
            "message": error.body["message"],
            "retry_after": error.response.headers.get("retry-after"),
            "has_request_id": bool(error.request_id),
        }
    sys.exit(f"no error for {model}")


weir_url, key, *models = sys.argv[1:]
client = openai.OpenAI(base_url=f"{weir_url}/v1", api_key=key, max_retries=0)
failures = [failure(client, model) for model in models]
print(json.dumps([*failures, failure(client.with_options(api_key="wrong"), models[0])]))
