import { ADDRESS, ANY, CALL, CHAT, EMBEDDING, KEY, QUESTION, SCHEMA, load, raises, run, seen, some, texts } from "./_run.mjs";

const { GoogleGenAI } = await load("@google/genai");
const client = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: ADDRESS } });

async function ask(item) {
  if (item.step === "embeddings") {
    const answer = await client.models.embedContent({ model: item.model, contents: texts(item) });
    return { vectors: answer.embeddings.map((one) => one.values) };
  }
  const config = {};
  if (item.tools.length > 0)
    config.tools = [{ functionDeclarations: item.tools.map((name) => ({ name, parametersJsonSchema: ANY })) }];
  if (item.step === "structured") {
    config.responseMimeType = "application/json";
    config.responseJsonSchema = ANY;
  }
  const asked = { model: item.model, contents: QUESTION, config };
  const answers = [];
  if (item.step === "stream") {
    for await (const piece of await client.models.generateContentStream(asked)) answers.push(piece);
  } else {
    answers.push(await client.models.generateContent(asked));
  }
  const candidates = answers.flatMap((one) => one.candidates ?? []);
  const parts = candidates.flatMap((one) => one.content?.parts ?? []);
  const text = parts.filter((part) => !part.thought).map((part) => part.text ?? "");
  const calls = parts.filter((part) => part.functionCall).map((part) => [part.functionCall.name, part.functionCall.args ?? {}]);
  const usage = answers.map((one) => one.usageMetadata).filter(Boolean).at(-1) ?? {};
  const tokens = [
    (usage.promptTokenCount ?? 0) + (usage.toolUsePromptTokenCount ?? 0),
    (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
  ];
  return seen(text.join(""), calls, candidates.map((one) => one.finishReason).filter(Boolean).at(-1), tokens);
}

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
  ask,
});
