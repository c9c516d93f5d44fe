import { ADDRESS, CALL, CHAT, EMBEDDING, KEY, QUESTION, SCHEMA, load, raises, run, some } from "./_run.mjs";

const { generateObject, generateText, jsonSchema, streamText, tool } = await load("ai");
const { createAnthropic } = await load("@ai-sdk/anthropic");
const provider = createAnthropic({ baseURL: `${ADDRESS}/v1`, apiKey: KEY });
const model = provider(CHAT);
const schema = jsonSchema(SCHEMA);

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
});
