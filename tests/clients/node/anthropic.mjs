import { ADDRESS, CALL, CHAT, KEY, QUESTION, SCHEMA, load, raises, run, some } from "./_run.mjs";

const { Anthropic } = await load("@anthropic-ai/sdk");
const client = new Anthropic({ baseURL: ADDRESS, apiKey: KEY, maxRetries: 0 });
const asked = { model: CHAT, max_tokens: 200, messages: [{ role: "user", content: QUESTION }] };
const input = (answer) => some(answer.content.find((block) => block.type === "tool_use")).input;

await run({
  chat: async () => some((await client.messages.create(asked)).content[0].text),
  stream: async () => some(await client.messages.stream(asked).finalText()),
  tools: async () => {
    const tools = [{ name: "get_weather", input_schema: SCHEMA }];
    const messages = [{ role: "user", content: CALL }];
    return input(await client.messages.create({ ...asked, messages, tools }));
  },
  structured: async () => {
    const tools = [{ name: "place", input_schema: SCHEMA }];
    return input(await client.messages.create({ ...asked, tools, tool_choice: { type: "tool", name: "place" } }));
  },
  error: () => raises(() => client.messages.create({ ...asked, model: "nothing" }), 404),
});
