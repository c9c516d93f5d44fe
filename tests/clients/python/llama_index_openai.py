from _run import ADDRESS, ANY, CALL, CHAT, KEY, QUESTION, functions, raises, run, same, seen, some
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI, utils

utils.ALL_AVAILABLE_MODELS[CHAT] = 8192
utils.CHAT_MODELS[CHAT] = 8192
model = OpenAI(model=CHAT, api_base=f"{ADDRESS}/v1", api_key=KEY, max_retries=0)
ASKED = [ChatMessage(role="user", content=QUESTION)]


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"Sunny in {city}"


def chat():
    return some(model.chat(ASKED).message.content)


def stream():
    return some("".join(chunk.delta or "" for chunk in model.stream_chat(ASKED)))


def tools():
    tool = FunctionTool.from_defaults(get_weather)
    answer = model.chat_with_tools([tool], user_msg=CALL)
    call = model.get_tool_calls_from_response(answer)[0]
    same(call.tool_name, "get_weather")
    return some(call.tool_kwargs)


def structured():
    answer = model.chat(ASKED, response_format={"type": "json_object"})
    return some(answer.message.content)


def error():
    wrong = OpenAI(model="gpt-4o", api_base=f"{ADDRESS}/v1", api_key=KEY, max_retries=0)
    return raises(Exception, lambda: wrong.chat(ASKED))


def ask(item):
    name = item["model"]
    utils.ALL_AVAILABLE_MODELS[name] = utils.CHAT_MODELS[name] = 8192
    asked = OpenAI(model=name, api_base=f"{ADDRESS}/v1", api_key=KEY, max_retries=0)
    more = {"tools": functions(item)} if item["tools"] else {}
    if item["step"] == "structured":
        form = {"name": "form", "schema": ANY}
        more["response_format"] = {"type": "json_schema", "json_schema": form}
    finish, usage = None, None
    if item["step"] == "stream":
        for answer in asked.stream_chat(ASKED, stream_options={"include_usage": True}, **more):
            usage = answer.raw.usage or usage
            finish = answer.raw.choices[0].finish_reason or finish if answer.raw.choices else finish
    else:
        answer = asked.chat(ASKED, **more)
        usage, finish = answer.raw.usage, answer.raw.choices[0].finish_reason
    made = asked.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
    calls = [(call.tool_name, call.tool_kwargs) for call in made]
    tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
    return seen(answer.message.content, calls, finish, tokens)


run(globals())
