// OpenAI's client for Node through weir and, for comparison, straight at the upstream: arguments WEIR_URL UPSTREAM_URL
// KEY MODEL…, the models being those whose errors are to be told. Prints what it got, as JSON. Vectors come as the client
// asks for them by itself (base64) and as numbers.
"use strict";

const { OpenAI } = require("openai");

const INPUTS = ["how is an idle connection closed", "an apple tree", "naïve café ✓"];
const MESSAGES = [{ role: "user", content: "say it back, word by word" }];

const vectors = (answer) => answer.data.map((item) => Array.from(item.embedding));

async function everything(client, prefix) {
  const model = `${prefix}text-embedding-3-small`;
  const usual = await client.embeddings.create({ model, input: INPUTS });
  const numbers = await client.embeddings.create({ model, input: INPUTS, encoding_format: "float" });
  const narrow = await client.embeddings.create({ model, input: INPUTS[0], dimensions: 64 });

  const chat = `${prefix}gpt-4o-mini`;
  const whole = await client.chat.completions.create({ model: chat, messages: MESSAGES });
  const stream = await client.chat.completions.create({
    model: chat,
    messages: MESSAGES,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const last = chunks.at(-1);
  return {
    vectors: vectors(usual),
    numbers: vectors(numbers),
    narrow: vectors(narrow),
    usage: usual.usage,
    chat: [whole.choices[0].message.content, whole.choices[0].finish_reason, whole.usage.total_tokens],
    pieces: chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta.content)).filter(Boolean),
    streamed_usage: last.usage.total_tokens,
    choices_with_usage: last.choices.length,
  };
}

async function failure(client, model) {
  try {
    await client.embeddings.create({ model, input: "x" });
  } catch (error) {
    return { class: error.constructor.name, status: error.status, code: error.code, request_id: Boolean(error.requestID) };
  }
  throw new Error(`no error for ${model}`);
}

async function main() {
  const [weirUrl, upstreamUrl, key, ...models] = process.argv.slice(2);
  const weir = new OpenAI({ baseURL: `${weirUrl}/v1`, apiKey: "not needed", maxRetries: 0 });
  const upstream = new OpenAI({ baseURL: upstreamUrl, apiKey: key, maxRetries: 0 });
  const seen = { weir: await everything(weir, "openai/"), upstream: await everything(upstream, ""), failures: [] };
  for (const model of models) seen.failures.push(await failure(weir, model));

  // A 429 that says when to come again, and an answer that is not waited for to its end.
  const retrying = new OpenAI({ baseURL: `${weirUrl}/v1`, apiKey: "not needed", maxRetries: 1 });
  const retried = await retrying.embeddings.create({ model: "cohere/embed-v4.0", input: "x" });
  seen.retried = retried.data.length;
  const stream = await weir.chat.completions.create({ model: "openai/gpt-4o-mini", messages: MESSAGES, stream: true });
  for await (const chunk of stream) {
    if (chunk.choices[0].delta.content) {
      seen.first = chunk.choices[0].delta.content;
      break;
    }
  }
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
