import cohere
from _run import ADDRESS, CALL, CHAT, EMBEDDING, KEY, QUESTION, SCHEMA, raises, run, same, some

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


run(globals())
