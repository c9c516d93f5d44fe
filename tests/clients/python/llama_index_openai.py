from _run import ADDRESS, CALL, CHAT, KEY, QUESTION, raises, run, same, some
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


run(globals())
