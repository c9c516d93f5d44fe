import anthropic
from _run import ADDRESS, ANY, CALL, CHAT, KEY, QUESTION, SCHEMA, raises, run, same, seen, some

client = anthropic.Anthropic(base_url=ADDRESS, api_key=KEY, max_retries=0)
ASKED = {"model": CHAT, "max_tokens": 200, "messages": [{"role": "user", "content": QUESTION}]}


def chat():
    answer = client.messages.create(**ASKED)
    some(answer.usage.input_tokens)
    return some(answer.content[0].text)


def stream():
    with client.messages.stream(**ASKED) as events:
        text = "".join(events.text_stream)
    return some(text)


def tools():
    answer = client.messages.create(
        model=CHAT,
        max_tokens=200,
        messages=[{"role": "user", "content": CALL}],
        tools=[{"name": "get_weather", "input_schema": SCHEMA}],
    )
    same(answer.stop_reason, "tool_use")
    return some(next(block.input for block in answer.content if block.type == "tool_use"))


def structured():
    answer = client.messages.create(
        **ASKED,
        tools=[{"name": "place", "input_schema": SCHEMA}],
        tool_choice={"type": "tool", "name": "place"},
    )
    return some(next(block.input for block in answer.content if block.type == "tool_use"))


def error():
    return raises(
        anthropic.NotFoundError, lambda: client.messages.create(**ASKED | {"model": "nothing"})
    )


def ask(item):
    asked = ASKED | {"model": item["model"]}
    if item["tools"]:
        asked["tools"] = [{"name": name, "input_schema": ANY} for name in item["tools"]]
    if item["step"] == "structured":
        asked["output_config"] = {"format": {"type": "json_schema", "schema": ANY}}
    if item["step"] == "stream":
        with client.messages.stream(**asked) as events:
            answer = events.get_final_message()
    else:
        answer = client.messages.create(**asked)
    text = "".join(block.text for block in answer.content if block.type == "text")
    calls = [(block.name, block.input) for block in answer.content if block.type == "tool_use"]
    usage = answer.usage
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    tokens = (usage.input_tokens + cached, usage.output_tokens)
    return seen(text, calls, answer.stop_reason, tokens)


run(globals())
