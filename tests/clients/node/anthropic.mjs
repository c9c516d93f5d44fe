import { ADDRESS, ANY, CALL, CHAT, KEY, QUESTION, SCHEMA, load, raises, run, seen, some } from "./_run.mjs";

const { Anthropic } = await load("@anthropic-ai/sdk");
const client = new Anthropic({ baseURL: ADDRESS, apiKey: KEY, maxRetries: 0 });
const asked = { model: CHAT, max_tokens: 200, messages: [{ role: "user", content: QUESTION }] };
const input = (answer) => some(answer.content.find((block) => block.type === "tool_use")).input;

async function ask(item) {
  const question = { ...asked, model: item.model };
  if (item.tools.length > 0) question.tools = item.tools.map((name) => ({ name, input_schema: ANY }));
  if (item.step === "structured") question.output_config = { format: { type: "json_schema", schema: ANY } };
  const answer =
    item.step === "stream"
      ? await client.messages.stream(question).finalMessage()
      : await client.messages.create(question);
  const text = answer.content.filter((block) => block.type === "text").map((block) => block.text);
  const calls = answer.content.filter((block) => block.type === "tool_use").map((block) => [block.name, block.input]);
  const { input_tokens: plain, cache_read_input_tokens: read, cache_creation_input_tokens: kept } = answer.usage;
  return seen(text.join(""), calls, answer.stop_reason, [plain + (read ?? 0) + (kept ?? 0), answer.usage.output_tokens]);
}

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
  ask,
});
