"""Asks the providers' official clients for what weir's adapters are asked for.

Standard input: a list of calls, `{"api", "operation", "input", "url", "key"}`, each with a server of its own that refuses
everything. Standard output: for each what the client made of the refusal, or null where the provider has no client
that does this.
"""

import base64
import json
import sys

import anthropic
import boto3
import botocore.config
import chromadb
import cohere
import google.genai
import huggingface_hub
import mistralai.client
import openai
import perplexity
import qdrant_client
import tavily
import voyageai
from google.genai import types as google_types
from huggingface_hub.inference._providers import PROVIDERS, hf_inference
from qdrant_client import models as qdrant


def given(**fields) -> dict:
    """The fields that are there."""
    return {name: value for name, value in fields.items() if value is not None}


def parts(content) -> list:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


# OpenAI and those that speak its API


def openai_messages(messages) -> list:
    def call(made):
        return {"id": made["id"], "type": "function", "function": {"name": made["name"], "arguments": made["arguments"]}}

    def message(asked):
        calls = [call(made) for made in asked.get("tool_calls", [])]
        return {**asked, **({"tool_calls": calls} if calls else {})}

    return [message(asked) for asked in messages]


# Of a tool that takes none: the APIs want a schema that is an object's.
NO_PARAMETERS = {"type": "object", "properties": {}}


def openai_tools(tools):
    if not tools:
        return None
    return [{"type": "function", "function": {**tool, "parameters": tool.get("parameters", NO_PARAMETERS)}} for tool in tools]


def openai_chat(asked, most="max_completion_tokens") -> dict:
    return given(
        model=asked["model"],
        messages=openai_messages(asked["messages"]),
        temperature=asked.get("temperature"),
        tools=openai_tools(asked.get("tools")),
        stream=asked.get("stream"),
        **{most: asked.get("max_tokens")},
    )


def by_openai(client, operation, asked):
    if operation == "embed":
        fields = given(model=asked["model"], input=asked["inputs"], dimensions=asked.get("dimensions"))
        return client.embeddings.create(**fields)
    if operation == "models":
        return list(client.models.list())
    options = {"stream_options": {"include_usage": True}} if asked.get("stream") else {}
    return client.chat.completions.create(**openai_chat(asked), **options)


def call_openai(call):
    client = openai.OpenAI(base_url=call["url"] + "/v1", api_key=call["key"], max_retries=0)
    return by_openai(client, call["operation"], call["input"])


def call_azure(call):
    client = openai.OpenAI(base_url=call["url"] + "/openai/v1", api_key=call["key"], max_retries=0)
    return by_openai(client, call["operation"], call["input"])


def call_azure_deployments(call):
    client = openai.AzureOpenAI(
        azure_endpoint=call["url"], api_version="2024-10-21", api_key=call["key"], max_retries=0
    )
    return by_openai(client, call["operation"], call["input"])


def call_perplexity(call):
    client = perplexity.Perplexity(base_url=call["url"], api_key=call["key"], max_retries=0)
    asked = call["input"]
    if call["operation"] == "embed":
        fields = given(model=asked["model"], input=asked["inputs"], dimensions=asked.get("dimensions"))
        return client.embeddings.create(**fields)
    if call["operation"] == "web-search":
        return client.search.create(**given(query=asked["query"], max_results=asked.get("max_results")))
    if call["operation"] == "models":
        return client.models.list()
    # The client has no tools without parameters.
    if not all("parameters" in tool for tool in asked.get("tools", [])):
        return None
    return client.chat.completions.create(**openai_chat(asked, "max_tokens"))


def call_mistral(call):
    client = mistralai.client.Mistral(api_key=call["key"], server_url=call["url"])
    asked = call["input"]
    if call["operation"] == "embed":
        dimensions = asked.get("dimensions")
        return client.embeddings.create(
            **given(model=asked["model"], inputs=asked["inputs"], output_dimension=dimensions)
        )
    if call["operation"] == "models":
        return client.models.list()
    fields = openai_chat(asked, "max_tokens")
    if fields.pop("stream", False):
        return list(client.chat.stream(**fields))
    return client.chat.complete(**fields)


def call_huggingface(call):
    asked = call["input"]
    if call["operation"] == "embed":
        # It would look the model up at another server.
        hf_inference._check_supported_task = lambda *_: None
        PROVIDERS["hf-inference"]["feature-extraction"].base_url = call["url"] + "/hf-inference"
        client = huggingface_hub.InferenceClient(provider="hf-inference", api_key=call["key"])
        return client.feature_extraction(asked["inputs"], model=asked["model"])
    client = huggingface_hub.InferenceClient(base_url=call["url"] + "/v1", api_key=call["key"])
    options = {"stream_options": {"include_usage": True}} if asked.get("stream") else {}
    return list(client.chat_completion(**openai_chat(asked, "max_tokens"), **options))


# Those with APIs of their own


def call_voyage(call):
    client = voyageai.Client(api_key=call["key"], base_url=call["url"] + "/v1", max_retries=1)
    asked = call["input"]
    if call["operation"] == "embed":
        return client.embed(
            asked["inputs"],
            model=asked["model"],
            **given(input_type=asked.get("kind"), output_dimension=asked.get("dimensions")),
        )
    return client.rerank(asked["query"], asked["documents"], asked["model"], top_k=asked.get("top_n"))


def call_cohere(call):
    client = cohere.ClientV2(api_key=call["key"], base_url=call["url"])
    asked = call["input"]
    once = {"max_retries": 0}
    if call["operation"] == "embed":
        kinds = {"query": "search_query", "document": "search_document", None: "search_document"}
        return client.embed(
            **given(model=asked["model"], texts=asked["inputs"], output_dimension=asked.get("dimensions")),
            input_type=kinds[asked.get("kind")],
            embedding_types=["base64"],
            request_options=once,
        )
    if call["operation"] == "rerank":
        fields = given(model=asked["model"], query=asked["query"], documents=asked["documents"])
        return client.rerank(**fields, **given(top_n=asked.get("top_n")), request_options=once)
    fields = openai_chat(asked, "max_tokens")
    if fields.pop("stream", False):
        return list(client.chat_stream(**fields, request_options=once))
    return client.chat(**fields, request_options=once)


def call_tavily(call):
    client = tavily.TavilyClient(api_key=call["key"], api_base_url=call["url"])
    asked = call["input"]
    options = {}
    if call["api"] == "tavily-set":
        options = {
            "search_depth": "advanced",
            "topic": "news",
            "time_range": "week",
            "include_domains": ["docs.rs", "crates.io"],
            "exclude_domains": ["example.com"],
        }
    return client.search(**given(query=asked["query"], max_results=asked.get("max_results")), **options)


def call_google(call):
    client = google.genai.Client(api_key=call["key"], http_options=google_types.HttpOptions(base_url=call["url"]))
    asked = call["input"]
    if call["operation"] == "embed":
        kinds = {"query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT"}
        config = given(task_type=kinds.get(asked.get("kind")), output_dimensionality=asked.get("dimensions"))
        return client.models.embed_content(model=asked["model"], contents=asked["inputs"], config=config or None)
    if call["operation"] == "models":
        return list(client.models.list(config={"page_size": 1000}))
    contents, system = [], None
    for message in asked["messages"]:
        if message["role"] == "system":
            system = message["content"]
        elif message["role"] == "tool":
            part = google_types.Part.from_function_response(name="add", response={"output": message["content"]})
            part.function_response.id = message["tool_call_id"]
            contents.append(google_types.Content(role="user", parts=[part]))
        else:
            role = {"user": "user", "assistant": "model"}[message["role"]]
            made = [google_part(part) for part in parts(message.get("content", []))]
            for tool_call in message.get("tool_calls", []):
                part = google_types.Part.from_function_call(
                    name=tool_call["name"], args=json.loads(tool_call["arguments"])
                )
                part.function_call.id = tool_call["id"]
                made.append(part)
            contents.append(google_types.Content(role=role, parts=made))
    tools = None
    if asked.get("tools"):
        functions = [
            google_types.FunctionDeclaration(
                **given(
                    name=tool["name"],
                    description=tool.get("description"),
                    parameters_json_schema=tool.get("parameters"),
                )
            )
            for tool in asked["tools"]
        ]
        tools = [google_types.Tool(function_declarations=functions)]
    config = given(
        system_instruction=system,
        max_output_tokens=asked.get("max_tokens"),
        temperature=asked.get("temperature"),
        tools=tools,
    )
    fields = {"model": asked["model"], "contents": contents, "config": config or None}
    if asked.get("stream"):
        return list(client.models.generate_content_stream(**fields))
    return client.models.generate_content(**fields)


def google_part(part):
    if part["type"] == "text":
        return google_types.Part.from_text(text=part["text"])
    kind, data = data_url(part["image_url"]["url"])
    if data is None:
        return google_types.Part.from_uri(file_uri=part["image_url"]["url"], mime_type="image/png")
    return google_types.Part(inline_data=google_types.Blob(mime_type=kind, data=data))


def data_url(url):
    """Type and base64 of a data URL."""
    if not url.startswith("data:"):
        return None, None
    kind, data = url.removeprefix("data:").split(";base64,")
    return kind, data


def call_anthropic(call):
    client = anthropic.Anthropic(api_key=call["key"], base_url=call["url"], max_retries=0)
    asked = call["input"]
    if call["operation"] == "models":
        return list(client.models.list(limit=1000))
    system, messages = None, []
    for message in asked["messages"]:
        if message["role"] == "system":
            system = parts(message["content"])
        elif message["role"] == "tool":
            result = {
                "type": "tool_result",
                "tool_use_id": message["tool_call_id"],
                "content": parts(message["content"]),
            }
            messages.append({"role": "user", "content": [result]})
        else:
            blocks = [anthropic_block(part) for part in parts(message.get("content", []))]
            for made in message.get("tool_calls", []):
                arguments = json.loads(made["arguments"])
                blocks.append({"type": "tool_use", "id": made["id"], "name": made["name"], "input": arguments})
            messages.append({"role": message["role"], "content": blocks})
    tools = [
        given(
            name=tool["name"], description=tool.get("description"), input_schema=tool.get("parameters", NO_PARAMETERS)
        )
        for tool in asked.get("tools", [])
    ]
    return client.messages.create(
        **given(
            model=asked["model"],
            max_tokens=asked.get("max_tokens", 4096),
            messages=messages,
            system=system,
            tools=tools or None,
            stream=asked.get("stream"),
            # A parameter of versions of the API that the client has no more.
            extra_body={"temperature": asked["temperature"]} if "temperature" in asked else None,
        )
    )


def anthropic_block(part):
    if part["type"] == "text":
        return part
    kind, data = data_url(part["image_url"]["url"])
    if data is None:
        return {"type": "image", "source": {"type": "url", "url": part["image_url"]["url"]}}
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


ONCE = botocore.config.Config(retries={"total_max_attempts": 1})


def aws(service, region, call):
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=call["url"],
        aws_access_key_id=call["key"],
        aws_secret_access_key=call["key"],
        config=ONCE,
    )


def call_bedrock(call):
    client = aws("bedrock-runtime", "us-east-1", call)
    asked = call["input"]
    # Bodies of models are the caller's to make.
    if call["operation"] != "chat":
        return client.invoke_model(modelId=asked["model"], body=b"{}")
    system, messages = [], []
    for message in asked["messages"]:
        if message["role"] == "system":
            system = [{"text": message["content"]}]
        elif message["role"] == "tool":
            result = {"toolUseId": message["tool_call_id"], "content": [{"text": message["content"]}]}
            messages.append({"role": "user", "content": [{"toolResult": result}]})
        else:
            blocks = [bedrock_block(part) for part in parts(message.get("content", []))]
            for made in message.get("tool_calls", []):
                use = {"toolUseId": made["id"], "name": made["name"], "input": json.loads(made["arguments"])}
                blocks.append({"toolUse": use})
            messages.append({"role": message["role"], "content": blocks})
    specs = [
        {
            "toolSpec": given(
                name=tool["name"],
                description=tool.get("description"),
                inputSchema={"json": tool.get("parameters", NO_PARAMETERS)},
            )
        }
        for tool in asked.get("tools", [])
    ]
    inference = given(maxTokens=asked.get("max_tokens"), temperature=asked.get("temperature"))
    fields = given(
        modelId=asked["model"],
        messages=messages,
        system=system or None,
        inferenceConfig=inference or None,
        toolConfig={"tools": specs} if specs else None,
    )
    return client.converse_stream(**fields) if asked.get("stream") else client.converse(**fields)


def bedrock_block(part):
    if part["type"] == "text":
        return {"text": part["text"]}
    kind, data = data_url(part["image_url"]["url"])
    return {"image": {"format": kind.removeprefix("image/"), "source": {"bytes": base64.b64decode(data)}}}


def call_bedrock_control(call):
    return aws("bedrock", "us-east-1", call).list_foundation_models()


def call_bedrock_agent(call):
    client = aws("bedrock-agent-runtime", "eu-west-1", call)
    asked = call["input"]
    sources = [
        {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text}}}
        for text in asked["documents"]
    ]
    model = {"modelArn": f"arn:aws:bedrock:eu-west-1::foundation-model/{asked['model']}"}
    reranking = given(modelConfiguration=model, numberOfResults=asked.get("top_n"))
    return client.rerank(
        queries=[{"type": "TEXT", "textQuery": {"text": asked["query"]}}],
        sources=sources,
        rerankingConfiguration={"type": "BEDROCK_RERANKING_MODEL", "bedrockRerankingConfiguration": reranking},
    )


def call_qdrant(call):
    origin, stage = call["url"].rsplit("/", 1)
    client = qdrant_client.QdrantClient(url=origin, prefix=stage, api_key=call["key"], check_compatibility=False)
    operation, asked = call["operation"], call["input"]
    name = asked.get("collection")
    if operation == "ensure-collection":
        distance = qdrant.Distance(asked.get("distance", "cosine").capitalize())
        sparse = {"sparse": qdrant.SparseVectorParams(modifier=qdrant.Modifier.IDF)} if asked.get("sparse") else None
        dense = {"dense": qdrant.VectorParams(size=asked["dimensions"], distance=distance)}
        return client.create_collection(name, vectors_config=dense, sparse_vectors_config=sparse)
    if operation == "upsert":
        points = []
        for point in asked["points"]:
            vectors = given(dense=point.get("vector"))
            if "sparse" in point:
                vectors["sparse"] = qdrant.SparseVector(**point["sparse"])
            points.append(qdrant.PointStruct(id=point["id"], vector=vectors, payload=point.get("payload", {})))
        return client.upsert(name, points, wait=True)
    if operation == "query":
        condition = qdrant_filter(asked.get("filter"))
        limit = asked.get("limit", 10)
        dense = asked.get("vector")
        sparse = qdrant.SparseVector(**asked["sparse"]) if "sparse" in asked else None
        if dense and sparse:
            both = [
                qdrant.Prefetch(query=qdrant.NearestQuery(nearest=dense), using="dense", limit=2 * limit),
                qdrant.Prefetch(query=qdrant.NearestQuery(nearest=sparse), using="sparse", limit=2 * limit),
            ]
            fusion = qdrant.FusionQuery(fusion=qdrant.Fusion.RRF)
            return client.query_points(name, prefetch=both, query=fusion, query_filter=condition, limit=limit)
        query = qdrant.NearestQuery(nearest=dense or sparse)
        using = "dense" if dense else "sparse"
        return client.query_points(name, query=query, using=using, query_filter=condition, limit=limit)
    if operation == "delete":
        if "ids" in asked:
            return client.delete(name, qdrant.PointIdsList(points=asked["ids"]), wait=True)
        return client.delete(name, qdrant.FilterSelector(filter=qdrant_filter(asked["filter"])), wait=True)
    if operation == "count":
        return client.count(name, count_filter=qdrant_filter(asked.get("filter")), exact=True)
    if operation == "list-collections":
        return client.get_collections()
    return client.delete_collection(name)


def qdrant_filter(asked):
    if not asked:
        return None

    def any_of(key, values):
        if all(isinstance(value, str) for value in values) or all(type(value) is int for value in values):
            return qdrant.FieldCondition(key=key, match=qdrant.MatchAny(any=values))
        each = [qdrant.FieldCondition(key=key, match=qdrant.MatchValue(value=value)) for value in values]
        return qdrant.Filter(should=each)

    def condition(asked):
        key = asked["key"]
        if "equals" in asked:
            return qdrant.FieldCondition(key=key, match=qdrant.MatchValue(value=asked["equals"]))
        if "any" in asked:
            return any_of(key, asked["any"])
        if "none" in asked:
            return qdrant.Filter(must_not=[any_of(key, asked["none"])])
        if "range" in asked:
            return qdrant.FieldCondition(key=key, range=qdrant.Range(**asked["range"]))
        if "contains" in asked:
            return qdrant.FieldCondition(key=key, match=qdrant.MatchText(text=asked["contains"]))
        return qdrant.IsEmptyCondition(is_empty=qdrant.PayloadField(key=key))

    return qdrant.Filter(**{name: [condition(one) for one in found] for name, found in asked.items()})


def call_chroma(call):
    settings = chromadb.Settings(
        chroma_client_auth_provider="chromadb.auth.token_authn.TokenAuthClientProvider",
        chroma_client_auth_credentials=call["key"],
        chroma_auth_token_transport_header="X-Chroma-Token",
    )
    client = chromadb.HttpClient(host=call["url"], settings=settings)
    operation, asked = call["operation"], call["input"]
    name = asked.get("collection")
    if operation == "ensure-collection":
        space = {"cosine": "cosine", "dot": "ip", "euclid": "l2"}[asked.get("distance", "cosine")]
        return client.create_collection(
            name,
            configuration={"hnsw": {"space": space}},
            # What the adapter notes: Chroma has no word for it.
            metadata={"weir:dimensions": asked["dimensions"]},
            embedding_function=None,
        )
    if operation == "list-collections":
        return client.list_collections(limit=100, offset=0)
    if operation == "drop-collection":
        return client.delete_collection(name)
    collection = client.get_collection(name, embedding_function=None)
    if operation == "upsert":
        # The adapter begins at the end: of several with one id the last is kept.
        points = asked["points"][::-1]
        return collection.upsert(
            ids=[str(point["id"]) for point in points],
            embeddings=[point["vector"] for point in points],
            metadatas=[point.get("payload") for point in points],
        )
    condition = chroma_filter(asked.get("filter"))
    if operation == "query":
        return collection.query(
            query_embeddings=[asked["vector"]],
            n_results=asked.get("limit", 10),
            where=condition,
            include=["metadatas", "distances"],
        )
    if operation == "delete":
        ids = [str(one) for one in asked["ids"]] if "ids" in asked else None
        return collection.delete(ids=ids, where=condition)
    if condition is None:
        return collection.count()
    # The client's count has no filter: the ids of what passes are counted, a page at a time.
    return collection.get(where=condition, limit=300, offset=0, include=[])


def chroma_filter(asked):
    if not asked:
        return None

    def tests(key, values, listed, element):
        made = []
        for kind in (str, int, bool):
            some = [value for value in values if type(value) is kind]
            if some:
                made += [{key: {element: value}} for value in some] + [{key: {listed: some}}]
        return made

    def any_of(key, values):
        return {"$or": tests(key, values, "$in", "$contains")}

    def none_of(key, values):
        return {"$and": tests(key, values, "$nin", "$not_contains")}

    def holds(condition):
        key = condition["key"]
        if "equals" in condition:
            return any_of(key, [condition["equals"]])
        if "any" in condition:
            return any_of(key, condition["any"])
        if "none" in condition:
            return none_of(key, condition["none"])
        bounds = condition["range"]
        return {"$and": [{key: {f"${word}": bounds[word]}} for word in ("gt", "gte", "lt", "lte") if word in bounds]}

    # Chroma has no negation, but the opposite of each test.
    def holds_not(condition):
        key = condition["key"]
        if "none" in condition:
            return any_of(key, condition["none"])
        return none_of(key, condition.get("any", [condition.get("equals")]))

    conditions = [holds(one) for one in asked.get("must", [])]
    if asked.get("should"):
        conditions.append({"$or": [holds(one) for one in asked["should"]]})
    return {"$and": conditions + [holds_not(one) for one in asked.get("must_not", [])]}


CLIENTS = {
    "openai": call_openai,
    "azure": call_azure,
    "azure-deployments": call_azure_deployments,
    "perplexity": call_perplexity,
    "mistral": call_mistral,
    "huggingface": call_huggingface,
    "voyage": call_voyage,
    "cohere": call_cohere,
    "tavily": call_tavily,
    "tavily-set": call_tavily,
    "google": call_google,
    "anthropic": call_anthropic,
    "bedrock": call_bedrock,
    "bedrock-agent": call_bedrock_agent,
    "bedrock-control": call_bedrock_control,
    "qdrant": call_qdrant,
    "chroma": call_chroma,
}


def outcome(call):
    client = CLIENTS.get(call["api"])
    if client is None:
        return None
    try:
        answer = client(call)
        return None if answer is None else "it took the refusal for an answer"
    except Exception as error:
        return repr(error)


print(json.dumps([outcome(call) for call in json.load(sys.stdin)]))
