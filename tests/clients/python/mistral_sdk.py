from _run import ADDRESS, CALL, CHAT, EMBEDDING, KEY, QUESTION, SCHEMA, raises, run, same, some

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


run(globals())
