import litellm
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


def ask(item):
    if item["step"] == "embeddings":
        texts = ["a"] * len(item["want"]["vectors"])
        answer = litellm.embedding(model=f"openai/{item['model']}", input=texts, **OPENAI)
        return {"vectors": [one["embedding"] for one in answer.data]}
    asked = {"messages": ASKED, "model": f"openai/{item['model']}", **OPENAI}
    if item["door"] == "messages":
        asked |= {"model": f"anthropic/{item['model']}", "api_base": ADDRESS}
    if item["tools"]:
        asked["tools"] = functions(item)
    if item["step"] == "structured":
        form = {"name": "form", "schema": ANY}
        asked["response_format"] = {"type": "json_schema", "json_schema": form}
    if item["step"] == "stream":
        pieces = litellm.completion(stream=True, stream_options={"include_usage": True}, **asked)
        answer = litellm.stream_chunk_builder(list(pieces), messages=ASKED)
    else:
        answer = litellm.completion(**asked)
    choice, usage = answer.choices[0], answer.usage
    calls = [(c.function.name, c.function.arguments) for c in choice.message.tool_calls or []]
    tokens = (usage.prompt_tokens, usage.completion_tokens)
    return seen(choice.message.content, calls, choice.finish_reason, tokens)


run(globals())
