"""LangChain's and LlamaIndex's embeddings of OpenAI's API through weir: arguments WEIR_URL MODEL TEXT….

Prints the vectors each got, as JSON, and what LangChain is told that sends token ids.
"""

import json
import sys

import openai
from langchain_openai import OpenAIEmbeddings
from llama_index.embeddings.openai import OpenAIEmbedding

weir_url, model, *texts = sys.argv[1:]
base_url = f"{weir_url}/v1"

# Without this LangChain sends the ids of OpenAI's tokens, which mean something to OpenAI's models alone.
langchain = OpenAIEmbeddings(
    model=model, base_url=base_url, api_key="not needed", check_embedding_ctx_length=False, max_retries=0
)
llama_index = OpenAIEmbedding(
    model_name=model, api_base=base_url, api_key="not needed", max_retries=0, embed_batch_size=100
)
try:
    openai.OpenAI(base_url=base_url, api_key="not needed", max_retries=0).embeddings.create(
        model=model, input=[[1, 2], [3]]
    )
    token_ids = None
except openai.BadRequestError as error:
    token_ids = [error.param, error.body["message"]]
print(
    json.dumps(
        {
            "langchain": langchain.embed_documents(texts),
            "langchain_query": langchain.embed_query(texts[0]),
            "llama_index": llama_index.get_text_embedding_batch(texts),
            "llama_index_query": llama_index.get_query_embedding(texts[0]),
            "token_ids": token_ids,
        }
    )
)
