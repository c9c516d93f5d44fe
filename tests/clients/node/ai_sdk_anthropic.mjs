import { ADDRESS, ANY, CALL, CHAT, EMBEDDING, KEY, QUESTION, SCHEMA, load, raises, run, seen, some } from "./_run.mjs";

const { generateObject, generateText, jsonSchema, streamText, tool } = await load("ai");
const { createAnthropic } = await load("@ai-sdk/anthropic");
const provider = createAnthropic({ baseURL: `${ADDRESS}/v1`, apiKey: KEY });
const model = provider(CHAT);
const schema = jsonSchema(SCHEMA);

async function ask(item) {
  const asked = { model: provider(item.model), prompt: QUESTION, maxRetries: 0 };
  if (item.step === "structured") {
    const answer = await generateObject({ ...asked, schema: jsonSchema(ANY) });
    return told(JSON.stringify(answer.object), [], answer);
  }
  if (item.tools.length > 0)
    asked.tools = Object.fromEntries(item.tools.map((name) => [name, tool({ inputSchema: jsonSchema(ANY) })]));
  if (item.step !== "stream") {
    const answer = await generateText(asked);
    return told(answer.text, answer.toolCalls, answer);
  }
  const stream = streamText({ ...asked, onError: () => {} });
  const [text, calls, finishReason, usage] = await Promise.all([
    stream.text,
    stream.toolCalls,
    stream.finishReason,
    stream.usage,
  ]);
  return told(text, calls, { finishReason, usage });
}

function told(text, calls, { finishReason, usage }) {
  const made = calls.map((call) => [call.toolName, call.input]);
  return seen(text, made, finishReason, [usage.inputTokens, usage.outputTokens]);
}

await run({
  chat: async () => some((await generateText({ model, prompt: QUESTION })).text),
  stream: async () => {
    let text = "";
    for await (const piece of streamText({ model, prompt: QUESTION }).textStream) text += piece;
    return some(text);
  },
  tools: async () => {
    const tools = { get_weather: tool({ description: "The weather.", inputSchema: schema }) };
    return some((await generateText({ model, prompt: CALL, tools })).toolCalls)[0].input;
  },
  structured: async () => some((await generateObject({ model, prompt: QUESTION, schema })).object),
  error: () => raises(() => generateText({ model: provider("nothing"), prompt: QUESTION, maxRetries: 0 }), 404),
  ask,
});
