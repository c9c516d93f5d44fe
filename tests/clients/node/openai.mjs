import { ADDRESS, CALL, CHAT, EMBEDDING, KEY, QUESTION, SCHEMA, load, raises, run, some } from "./_run.mjs";

const { OpenAI } = await load("openai");
const client = new OpenAI({ baseURL: `${ADDRESS}/v1`, apiKey: KEY, maxRetries: 0 });
const messages = [{ role: "user", content: QUESTION }];
const tool = { type: "function", function: { name: "get_weather", parameters: SCHEMA } };

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
});
