import { ADDRESS, CALL, CHAT, EMBEDDING, KEY, QUESTION, SCHEMA, load, raises, run, some } from "./_run.mjs";

const { GoogleGenAI } = await load("@google/genai");
const client = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: ADDRESS } });

await run({
  chat: async () => some((await client.models.generateContent({ model: CHAT, contents: QUESTION })).text),
  stream: async () => {
    let text = "";
    for await (const chunk of await client.models.generateContentStream({ model: CHAT, contents: QUESTION }))
      text += chunk.text ?? "";
    return some(text);
  },
  tools: async () => {
    const declared = [{ name: "get_weather", parametersJsonSchema: SCHEMA }];
    const config = { tools: [{ functionDeclarations: declared }] };
    return some((await client.models.generateContent({ model: CHAT, contents: CALL, config })).functionCalls)[0].args;
  },
  structured: async () => {
    const config = { responseMimeType: "application/json", responseJsonSchema: SCHEMA };
    return JSON.parse((await client.models.generateContent({ model: CHAT, contents: QUESTION, config })).text);
  },
  embeddings: async () =>
    some((await client.models.embedContent({ model: EMBEDDING, contents: ["a"] })).embeddings[0].values).length,
  error: () => raises(() => client.models.generateContent({ model: "nothing", contents: QUESTION }), 404),
});
