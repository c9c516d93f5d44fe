import json

from _run import (
    ADDRESS,
    ANY,
    CALL,
    CHAT,
    EMBEDDING,
    KEY,
    QUESTION,
    SCHEMA,
    functions,
    raises,
    run,
    same,
    seen,
    some,
)

try:
    from mistralai import Mistral
except ImportError:
    from mistralai.client import Mistral

client = Mistral(api_key=KEY, server_url=ADDRESS)
ASKED = [{"role": "user", "content": QUESTION}]


def chat():
    return some(client.chat.complete(model=CHAT, messages=ASKED).choices[0].message.content)


def stream():
    events = client.chat.stream(model=CHAT, messages=ASKED)
    return some("".join(event.data.choices[0].delta.content or "" for event in events))


def tools():
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
    asked = [{"role": "user", "content": CALL}]
    answer = client.chat.complete(model=CHAT, messages=asked, tools=[tool])
    call = answer.choices[0].message.tool_calls[0]
    same(call.function.name, "get_weather")
    return some(call.function.arguments)


def structured():
    form = {"type": "json_object"}
    answer = client.chat.complete(model=CHAT, messages=ASKED, response_format=form)
    return some(answer.choices[0].message.content)


def embeddings():
    return len(some(client.embeddings.create(model=EMBEDDING, inputs=["a"]).data[0].embedding))


def error():
    return raises(Exception, lambda: client.chat.complete(model="nothing", messages=ASKED))


def ask(item):
    if item["step"] == "embeddings":
        texts = ["a"] * len(item["want"]["vectors"])
        answer = client.embeddings.create(model=item["model"], inputs=texts)
        return {"vectors": [one.embedding for one in answer.data]}
    asked = {"model": item["model"], "messages": ASKED}
    if item["tools"]:
        asked["tools"] = functions(item)
    if item["step"] == "structured":
        form = {"name": "form", "schema": ANY}
        asked["response_format"] = {"type": "json_schema", "json_schema": form}
    if item["step"] == "stream":
        return ask_stream(asked)
    answer = client.chat.complete(**asked)
    choice, usage = answer.choices[0], answer.usage
    calls = [(c.function.name, c.function.arguments) for c in choice.message.tool_calls or []]
    tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
    return seen(text_of(choice.message.content), calls, choice.finish_reason, tokens)


def ask_stream(asked):
    text, calls, finish, tokens = "", {}, None, (None, None)
    for event in client.chat.stream(**asked):
        usage = event.data.usage
        if usage:
            tokens = (usage.prompt_tokens, usage.completion_tokens)
        for choice in event.data.choices:
            text += text_of(choice.delta.content)
            finish = choice.finish_reason or finish
            for piece in choice.delta.tool_calls or []:
                call = calls.setdefault(piece.index, ["", ""])
                call[0] += piece.function.name or ""
                call[1] += said(piece.function.arguments)
    return seen(text, calls.values(), finish, tokens)


def said(arguments):
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def text_of(content):
    if isinstance(content, list):
        return "".join(piece.text for piece in content if piece.type == "text")
    return content or ""


run(globals())
