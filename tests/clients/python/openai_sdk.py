import openai
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

client = openai.OpenAI(base_url=f"{ADDRESS}/v1", api_key=KEY, max_retries=0)
ASKED = [{"role": "user", "content": QUESTION}]
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}


def chat():
    answer = client.chat.completions.create(model=CHAT, messages=ASKED)
    some(answer.usage.total_tokens)
    response = client.responses.create(model=CHAT, input=QUESTION)
    return same(some(response.output_text), answer.choices[0].message.content)


def stream():
    chunks = client.chat.completions.create(model=CHAT, messages=ASKED, stream=True)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    events = client.responses.create(model=CHAT, input=QUESTION, stream=True)
    said = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    return same(said, some(text))


def tools():
    answer = client.chat.completions.create(
        model=CHAT, messages=[{"role": "user", "content": CALL}], tools=[TOOL]
    )
    call = answer.choices[0].message.tool_calls[0]
    same(call.function.name, "get_weather")
    response = client.responses.create(
        model=CHAT,
        input=CALL,
        tools=[{"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": True}],
    )
    made = [item for item in response.output if item.type == "function_call"]
    return same(made[0].arguments, call.function.arguments)


def structured():
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
    answer = client.chat.completions.create(model=CHAT, messages=ASKED, response_format=form)
    return some(answer.choices[0].message.content)


def embeddings():
    answer = client.embeddings.create(model=EMBEDDING, input=["a", "b"])
    return len(some(answer.data[1].embedding))


def error():
    return raises(
        openai.NotFoundError,
        lambda: client.chat.completions.create(model="nothing", messages=ASKED),
    )


def ask(item):
    if item["step"] == "embeddings":
        texts = ["a"] * len(item["want"]["vectors"])
        answer = client.embeddings.create(model=item["model"], input=texts)
        return {"vectors": [one.embedding for one in answer.data]}
    return (ask_responses if item["door"] == "responses" else ask_chat)(item)


def ask_chat(item):
    asked = {"model": item["model"], "messages": ASKED}
    if item["tools"]:
        asked["tools"] = functions(item)
    if item["step"] == "structured":
        form = {"name": "form", "schema": ANY}
        asked["response_format"] = {"type": "json_schema", "json_schema": form}
    if item["step"] == "stream":
        return ask_stream(asked)
    answer = client.chat.completions.create(**asked)
    choice, usage = answer.choices[0], answer.usage
    calls = [(c.function.name, c.function.arguments) for c in choice.message.tool_calls or []]
    tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
    return seen(choice.message.content, calls, choice.finish_reason, tokens)


def ask_stream(asked):
    text, calls, finish, tokens = "", {}, None, (None, None)
    more = {"stream": True, "stream_options": {"include_usage": True}}
    for chunk in client.chat.completions.create(**asked, **more):
        if chunk.usage:
            tokens = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
            for piece in choice.delta.tool_calls or []:
                call = calls.setdefault(piece.index, ["", ""])
                call[0] += piece.function.name or ""
                call[1] += piece.function.arguments or ""
    return seen(text, calls.values(), finish, tokens)


def ask_responses(item):
    asked = {"model": item["model"], "input": QUESTION}
    if item["tools"]:
        named = [tool["function"] for tool in functions(item)]
        asked["tools"] = [{"type": "function", "strict": False, **function} for function in named]
    if item["step"] == "structured":
        form = {"type": "json_schema", "name": "form", "schema": ANY}
        asked["text"] = {"format": form}
    if item["step"] == "stream":
        ends = ("response.completed", "response.incomplete")
        events = client.responses.create(**asked, stream=True)
        answer = next(event.response for event in events if event.type in ends)
    else:
        answer = client.responses.create(**asked)
    calls = [(o.name, o.arguments) for o in answer.output if o.type == "function_call"]
    cut = answer.incomplete_details
    usage = answer.usage
    tokens = (usage.input_tokens, usage.output_tokens) if usage else (None, None)
    return seen(answer.output_text, calls, cut.reason if cut else answer.status, tokens)


run(globals())
