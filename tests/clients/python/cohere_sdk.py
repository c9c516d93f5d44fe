import cohere
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

client = cohere.ClientV2(api_key=KEY, base_url=ADDRESS)
ASKED = [{"role": "user", "content": QUESTION}]


def chat():
    return some(client.chat(model=CHAT, messages=ASKED).message.content[0].text)


def stream():
    events = client.chat_stream(model=CHAT, messages=ASKED)
    said = [e.delta.message.content.text for e in events if e.type == "content-delta"]
    return some("".join(said))


def tools():
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
    answer = client.chat(model=CHAT, messages=[{"role": "user", "content": CALL}], tools=[tool])
    call = answer.message.tool_calls[0]
    same(call.function.name, "get_weather")
    return some(call.function.arguments)


def structured():
    form = {"type": "json_object", "json_schema": SCHEMA}
    answer = client.chat(model=CHAT, messages=ASKED, response_format=form)
    return some(answer.message.content[0].text)


def embeddings():
    answer = client.embed(
        model=EMBEDDING, texts=["a", "b"], input_type="search_query", embedding_types=["float"]
    )
    return len(some(answer.embeddings.float_[1]))


def error():
    return raises(cohere.errors.NotFoundError, lambda: client.chat(model="nothing", messages=ASKED))


def ask(item):
    if item["step"] == "embeddings":
        answer = client.embed(
            model=item["model"],
            texts=["a"] * len(item["want"]["vectors"]),
            input_type="search_query",
            embedding_types=["float"],
        )
        return {"vectors": answer.embeddings.float_}
    asked = {"model": item["model"], "messages": ASKED}
    if item["tools"]:
        asked["tools"] = functions(item)
    if item["step"] == "structured":
        asked["response_format"] = {"type": "json_object", "json_schema": ANY}
    if item["step"] == "stream":
        return ask_stream(asked)
    answer = client.chat(**asked)
    message = answer.message
    text = "".join(block.text for block in message.content or [] if block.type == "text")
    calls = [(c.function.name, c.function.arguments) for c in message.tool_calls or []]
    return seen(text, calls, answer.finish_reason, tokens_of(answer.usage))


def ask_stream(asked):
    text, calls, finish, tokens = "", {}, None, (None, None)
    for event in client.chat_stream(**asked):
        if event.type == "content-delta":
            text += event.delta.message.content.text or ""
        elif event.type == "tool-call-start":
            function = event.delta.message.tool_calls.function
            calls[event.index] = [function.name, function.arguments or ""]
        elif event.type == "tool-call-delta":
            calls[event.index][1] += event.delta.message.tool_calls.function.arguments
        elif event.type == "message-end":
            finish, tokens = event.delta.finish_reason, tokens_of(event.delta.usage)
    return seen(text, calls.values(), finish, tokens)


def tokens_of(usage):
    if usage is None:
        return None, None
    return usage.billed_units.input_tokens, usage.billed_units.output_tokens


run(globals())
