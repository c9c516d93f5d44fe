from _run import ADDRESS, CALL, CHAT, KEY, QUESTION, SCHEMA, raises, run, same, some
from langchain_anthropic import ChatAnthropic

OPTIONS = {"base_url": ADDRESS, "api_key": KEY, "max_retries": 0, "max_tokens": 200}
model = ChatAnthropic(model=CHAT, **OPTIONS)
PLACE = {"title": "place", "description": "A place.", **SCHEMA}


def chat():
    return some(model.invoke(QUESTION).content)


def stream():
    return some("".join(str(chunk.text) for chunk in model.stream(QUESTION)))


def tools():
    tool = {"name": "get_weather", "input_schema": SCHEMA}
    call = model.bind_tools([tool]).invoke(CALL).tool_calls[0]
    same(call["name"], "get_weather")
    return some(call["args"])


def structured():
    return some(model.with_structured_output(PLACE).invoke(QUESTION))


def error():
    wrong = ChatAnthropic(model="nothing", **OPTIONS)
    return raises(Exception, lambda: wrong.invoke(QUESTION))


run(globals())
