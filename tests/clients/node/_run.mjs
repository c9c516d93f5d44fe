// Runs the cases of a client: functions by name, each returning what it saw. Over recordings "ask"
// is given each in turn, and returns what the client told ("seen").
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

export const { HUBPO_ADDRESS: ADDRESS, HUBPO_KEY: KEY } = process.env;
export const { HUBPO_CHAT: CHAT, HUBPO_EMBEDDING: EMBEDDING } = process.env;
export const QUESTION = "Please tell the sentiment of: what a lovely day";
export const CALL = "call get_weather city=Paris";
export const SCHEMA = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const CASES = ["chat", "stream", "tools", "structured", "embeddings", "error"];
const find = createRequire(process.env.HUBPO_NODE);

// A package of those that were installed for these scripts.
export const load = (name) => import(pathToFileURL(find.resolve(name)).href);

export const ANY = { type: "object", properties: {}, additionalProperties: true };

export async function run(cases) {
  if (process.env.HUBPO_RECORDED) {
    const items = JSON.parse(readFileSync(process.env.HUBPO_RECORDED, "utf8"));
    for (const [place, item] of items.entries()) console.log(JSON.stringify(await recorded(cases.ask, item, place)));
    process.exit(0);
  }
  for (const name of CASES) {
    let row = { case: name, ok: true, detail: "-" };
    if (cases[name]) {
      try {
        row.detail = String(JSON.stringify(await cases[name]())).slice(0, 200);
      } catch (error) {
        row = { case: name, ok: false, detail: String(error.stack ?? error).slice(0, 400) };
      }
    }
    console.log(JSON.stringify(row));
  }
  process.exit(0);
}

export function some(found) {
  if (!found || found.length === 0) throw new Error(`There is nothing: ${JSON.stringify(found)}`);
  return found;
}

export async function raises(call, status) {
  try {
    await call();
  } catch (error) {
    const told = error.status ?? error.statusCode;
    if (told !== status) throw error;
    return String(error.message).slice(0, 150);
  }
  throw new Error("No error was raised.");
}

async function recorded(ask, item, place) {
  try {
    return { item: place, told: await ask(item) };
  } catch (error) {
    const words = [error.message, JSON.stringify(error.error), error.responseBody, error.stack].join(" | ");
    return { item: place, raised: { status: error.status ?? error.statusCode ?? null, words: words.slice(0, 6000) } };
  }
}

// What an answer told. Calls are names and arguments; tokens are of input and output.
export const seen = (text, calls, finish, tokens) => ({
  text: text ?? "",
  calls,
  finish: finish ?? null,
  input: tokens[0] ?? null,
  output: tokens[1] ?? null,
});

export const texts = (item) => item.want.vectors.map(() => "a");
