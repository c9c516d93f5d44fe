import json
from typing import Any

import instructor
import openai
from _run import ADDRESS, CHAT, KEY, QUESTION, raises, run, seen, some
from pydantic import BaseModel, Field, create_model

plain = openai.OpenAI(base_url=f"{ADDRESS}/v1", api_key=KEY, max_retries=0)
client = instructor.from_openai(plain, mode=instructor.Mode.TOOLS)
ASKED = [{"role": "user", "content": QUESTION}]


class Place(BaseModel):
    city: str


def structured():
    return some(client.chat.completions.create(model=CHAT, messages=ASKED, response_model=Place))


def tools():
    strict = instructor.from_openai(plain, mode=instructor.Mode.JSON_SCHEMA)
    return some(strict.chat.completions.create(model=CHAT, messages=ASKED, response_model=Place))


def stream():
    parts = client.chat.completions.create_partial(model=CHAT, messages=ASKED, response_model=Place)
    return some(list(parts)[-1])


def error():
    return raises(
        Exception,
        lambda: client.chat.completions.create(
            model="nothing", messages=ASKED, response_model=Place, max_retries=0
        ),
    )


def ask(item):
    """Answers in a form come as the form; all others as OpenAI's SDK gives them."""
    asked = {"model": item["model"], "messages": ASKED, "max_retries": 0}
    want = item["want"]
    if item["step"] == "structured":
        form = json.loads(want["text"])
        strict = instructor.from_openai(plain, mode=instructor.Mode.JSON_SCHEMA)
        made, raw = strict.chat.completions.create_with_completion(
            **asked, response_model=form_of("Form", form)
        )
        text, calls = made.model_dump_json(by_alias=True), []
    elif item["step"] == "tools" and len(want["calls"]) == 1:
        ((name, arguments),) = want["calls"]
        made, raw = client.chat.completions.create_with_completion(
            **asked, response_model=form_of(name, arguments)
        )
        text, calls = raw.choices[0].message.content, [(name, made.model_dump(by_alias=True))]
    else:
        raw = client.chat.completions.create(**asked, response_model=None)
        made = raw.choices[0].message
        text = made.content
        calls = [(c.function.name, c.function.arguments) for c in made.tool_calls or []]
    usage = raw.usage
    tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
    return seen(text, calls, raw.choices[0].finish_reason, tokens)


def form_of(name, value):
    fields = {f"f{n}": (Any, Field(alias=key)) for n, key in enumerate(value)}
    return create_model(name, **fields)


run(globals())
