import anthropic
from _run import ADDRESS, CALL, CHAT, KEY, QUESTION, SCHEMA, raises, run, same, some

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


run(globals())
