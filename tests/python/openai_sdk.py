"""OpenAI's client through weir and, for comparison, straight at the upstream: arguments WEIR_URL UPSTREAM_URL KEY.

Prints what both got, as JSON. Vectors come as the client asks for them by itself (base64) and as numbers.
"""

import json
import sys

import openai

INPUTS = ["how is an idle connection closed", "an apple tree", "naïve café ✓"]
MESSAGES = [{"role": "user", "content": "say it back, word by word"}]


def embeddings(client: openai.OpenAI, model: str) -> dict:
    usual = client.embeddings.create(model=model, input=INPUTS)
    numbers = client.embeddings.create(model=model, input=INPUTS, encoding_format="float")
    narrow = client.embeddings.create(model=model, input=INPUTS[0], dimensions=64)
    return {
        "vectors": [item.embedding for item in usual.data],
        "numbers": [item.embedding for item in numbers.data],
        "narrow": [item.embedding for item in narrow.data],
        "indices": [item.index for item in usual.data],
        "usage": usual.usage.model_dump(exclude_none=True),
    }


def chat(client: openai.OpenAI, model: str) -> dict:
    answer = client.chat.completions.create(model=model, messages=MESSAGES)
    choice = answer.choices[0]
    return {
        "role": choice.message.role,
        "content": choice.message.content,
        "finish": choice.finish_reason,
        "usage": usage(answer),
    }


def streamed_chat(client: openai.OpenAI, model: str) -> dict:
    stream = client.chat.completions.create(
        model=model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    choices = [choice for chunk in chunks for choice in chunk.choices]
    return {
        "pieces": [choice.delta.content for choice in choices if choice.delta.content],
        "finish": [choice.finish_reason for choice in choices if choice.finish_reason],
        "usage": usage(chunks[-1]),
        "choices_with_usage": len(chunks[-1].choices),
        "ids": len({chunk.id for chunk in chunks}),
    }


def tool_call(client: openai.OpenAI, model: str) -> dict:
    function = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": 'call get_weather {"city": "Oslo"}'}],
        tools=[{"type": "function", "function": function}],
    )
    [call] = answer.choices[0].message.tool_calls
    return {
        "name": call.function.name,
        "arguments": json.loads(call.function.arguments),
        "finish": answer.choices[0].finish_reason,
    }


def usage(answer) -> dict:
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {name: getattr(answer.usage, name) for name in counts}


def everything(client: openai.OpenAI, prefix: str) -> dict:
    chat_model = f"{prefix}gpt-4o-mini"
    return {
        "embeddings": embeddings(client, f"{prefix}text-embedding-3-small"),
        "chat": chat(client, chat_model),
        "streamed_chat": streamed_chat(client, chat_model),
        "tool_call": tool_call(client, chat_model),
        "models": sorted(model.id.removeprefix(prefix) for model in client.models.list() if model.id.startswith(prefix)),
    }


weir_url, upstream_url, key = sys.argv[1:]
weir = openai.OpenAI(base_url=f"{weir_url}/v1", api_key="not needed", max_retries=0)
upstream = openai.OpenAI(base_url=upstream_url, api_key=key, max_retries=0)
print(json.dumps({"weir": everything(weir, "openai/"), "upstream": everything(upstream, "")}))
