import openai
from _run import ADDRESS, CALL, CHAT, EMBEDDING, KEY, QUESTION, SCHEMA, raises, run, same, some

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


run(globals())
