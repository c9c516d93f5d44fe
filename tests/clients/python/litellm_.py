import litellm
from _run import ADDRESS, CALL, CHAT, EMBEDDING, KEY, QUESTION, SCHEMA, raises, run, same, some

OPENAI = {"api_base": f"{ADDRESS}/v1", "api_key": KEY, "num_retries": 0}
ASKED = [{"role": "user", "content": QUESTION}]
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}


def chat():
    said = litellm.completion(model=f"openai/{CHAT}", messages=ASKED, **OPENAI)
    other = litellm.completion(
        model=f"anthropic/{CHAT}", messages=ASKED, api_base=ADDRESS, api_key=KEY
    )
    return same(other.choices[0].message.content, some(said.choices[0].message.content))


def stream():
    chunks = litellm.completion(model=f"openai/{CHAT}", messages=ASKED, stream=True, **OPENAI)
    return some("".join(chunk.choices[0].delta.content or "" for chunk in chunks))


def tools():
    asked = [{"role": "user", "content": CALL}]
    answer = litellm.completion(model=f"openai/{CHAT}", messages=asked, tools=[TOOL], **OPENAI)
    call = answer.choices[0].message.tool_calls[0]
    same(call.function.name, "get_weather")
    return some(call.function.arguments)


def structured():
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
    answer = litellm.completion(
        model=f"openai/{CHAT}", messages=ASKED, response_format=form, **OPENAI
    )
    return some(answer.choices[0].message.content)


def embeddings():
    answer = litellm.embedding(model=f"openai/{EMBEDDING}", input=["a"], **OPENAI)
    return len(some(answer.data[0]["embedding"]))


def error():
    return raises(
        Exception, lambda: litellm.completion(model="openai/nothing", messages=ASKED, **OPENAI)
    )


run(globals())
