from _run import ADDRESS, ANY, CALL, CHAT, KEY, QUESTION, SCHEMA, raises, run, same, seen, some
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


def ask(item):
    asked = ChatAnthropic(model=item["model"], **OPTIONS)
    if item["tools"]:
        asked = asked.bind_tools([{"name": name, "input_schema": ANY} for name in item["tools"]])
    if item["step"] == "structured":
        form = {"title": "form", "description": "A form.", **ANY}
        made = asked.with_structured_output(form, method="json_schema", include_raw=True)
        return told(made.invoke(QUESTION)["raw"])
    if item["step"] == "stream":
        pieces = list(asked.stream(QUESTION))
        return told(sum(pieces[1:], pieces[0]))
    return told(asked.invoke(QUESTION))


def told(answer):
    """Of LangChain's message."""
    usage = answer.usage_metadata or {}
    calls = [(call["name"], call["args"]) for call in answer.tool_calls]
    finish = answer.response_metadata.get("stop_reason")
    return seen(answer.text, calls, finish, (usage.get("input_tokens"), usage.get("output_tokens")))


run(globals())
