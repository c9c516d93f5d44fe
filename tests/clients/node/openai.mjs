import { ADDRESS, ANY, CALL, CHAT, EMBEDDING, KEY, QUESTION, SCHEMA, load, raises, run, seen, some, texts } from "./_run.mjs";

const { OpenAI } = await load("openai");
const client = new OpenAI({ baseURL: `${ADDRESS}/v1`, apiKey: KEY, maxRetries: 0 });
const messages = [{ role: "user", content: QUESTION }];
const tool = { type: "function", function: { name: "get_weather", parameters: SCHEMA } };

async function ask(item) {
  if (item.step === "embeddings") {
    const answer = await client.embeddings.create({ model: item.model, input: texts(item) });
    return { vectors: answer.data.map((one) => one.embedding) };
  }
  return item.door === "responses" ? askResponses(item) : askChat(item);
}

async function askChat(item) {
  const asked = { model: item.model, messages };
  if (item.tools.length > 0)
    asked.tools = item.tools.map((name) => ({ type: "function", function: { name, parameters: ANY } }));
  if (item.step === "structured")
    asked.response_format = { type: "json_schema", json_schema: { name: "form", schema: ANY } };
  if (item.step === "stream") return askStream(asked);
  const answer = await client.chat.completions.create(asked);
  const [choice] = answer.choices;
  const calls = (choice.message.tool_calls ?? []).map((call) => [call.function.name, call.function.arguments]);
  const { prompt_tokens: asking, completion_tokens: writing } = answer.usage ?? {};
  return seen(choice.message.content, calls, choice.finish_reason, [asking, writing]);
}

async function askStream(asked) {
  let [text, finish, usage] = ["", null, {}];
  const calls = {};
  const more = { stream: true, stream_options: { include_usage: true } };
  for await (const chunk of await client.chat.completions.create({ ...asked, ...more })) {
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) {
      text += choice.delta.content ?? "";
      finish = choice.finish_reason ?? finish;
      for (const piece of choice.delta.tool_calls ?? []) {
        const call = (calls[piece.index] ??= ["", ""]);
        call[0] += piece.function.name ?? "";
        call[1] += piece.function.arguments ?? "";
      }
    }
  }
  return seen(text, Object.values(calls), finish, [usage.prompt_tokens, usage.completion_tokens]);
}

async function ended(events) {
  for await (const event of events)
    if (["response.completed", "response.incomplete"].includes(event.type)) return event.response;
  throw new Error("The stream has no end.");
}

async function askResponses(item) {
  const asked = { model: item.model, input: QUESTION };
  if (item.tools.length > 0)
    asked.tools = item.tools.map((name) => ({ type: "function", name, parameters: ANY, strict: false }));
  if (item.step === "structured") asked.text = { format: { type: "json_schema", name: "form", schema: ANY } };
  const answer =
    item.step === "stream"
      ? await ended(await client.responses.create({ ...asked, stream: true }))
      : await client.responses.create(asked);
  const calls = answer.output.filter((one) => one.type === "function_call").map((one) => [one.name, one.arguments]);
  const { input_tokens: asking, output_tokens: writing } = answer.usage ?? {};
  const said = answer.output.flatMap((one) => (one.type === "message" ? one.content : [])).map((part) => part.text ?? "");
  const reason = answer.incomplete_details?.reason ?? answer.status;
  return seen(said.join(""), calls, reason, [asking, writing]);
}

await run({
  chat: async () =>
    some((await client.chat.completions.create({ model: CHAT, messages })).choices[0].message.content),
  stream: async () => {
    let text = "";
    for await (const chunk of await client.chat.completions.create({ model: CHAT, messages, stream: true }))
      text += chunk.choices[0]?.delta.content ?? "";
    return some(text);
  },
  tools: async () => {
    const asked = [{ role: "user", content: CALL }];
    const answer = await client.chat.completions.create({ model: CHAT, messages: asked, tools: [tool] });
    return some(answer.choices[0].message.tool_calls[0].function.arguments);
  },
  structured: async () => {
    const response_format = { type: "json_schema", json_schema: { name: "place", schema: SCHEMA } };
    const answer = await client.chat.completions.create({ model: CHAT, messages, response_format });
    return JSON.parse(some(answer.choices[0].message.content));
  },
  embeddings: async () =>
    some((await client.embeddings.create({ model: EMBEDDING, input: "a" })).data[0].embedding).length,
  error: () => raises(() => client.chat.completions.create({ model: "nothing", messages }), 404),
  ask,
});
