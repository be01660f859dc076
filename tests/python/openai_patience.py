"""What OpenAI's client does on its own: arguments WEIR_URL KEY EMBEDDING_MODEL CHAT_MODEL.

Asks until its key's requests are used up and lets the client wait as it is told to, once. Then begins a streamed answer
and hangs up. Prints how often it asked and what came of it, as JSON.
"""

import json
import sys

import openai

weir_url, key, embedding_model, chat_model = sys.argv[1:]
impatient = openai.OpenAI(base_url=f"{weir_url}/v1", api_key=key, max_retries=0)


def asked_until_limited() -> tuple[int, openai.RateLimitError]:
    asked = 0
    while True:
        try:
            impatient.embeddings.create(model=embedding_model, input="x")
            asked += 1
        except openai.RateLimitError as error:
            return asked, error


asked, error = asked_until_limited()
# One retry, which only succeeds if it waits for as long as the answer says.
impatient.with_options(max_retries=1).embeddings.create(model=embedding_model, input="x")

stream = impatient.with_options(max_retries=3).chat.completions.create(
    model=chat_model, messages=[{"role": "user", "content": "say this back, slowly"}], stream=True
)
first = next(chunk for chunk in stream if chunk.choices[0].delta.content)
stream.close()
print(
    json.dumps(
        {
            "asked": asked,
            "code": error.code,
            "retry_after": int(error.response.headers["retry-after"]),
            "retry_after_ms": int(error.response.headers["retry-after-ms"]),
            "first": first.choices[0].delta.content,
        }
    )
)
