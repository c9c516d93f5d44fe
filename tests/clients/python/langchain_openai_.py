from _run import ADDRESS, CALL, CHAT, EMBEDDING, KEY, QUESTION, SCHEMA, raises, run, same, some
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

model = ChatOpenAI(model=CHAT, base_url=f"{ADDRESS}/v1", api_key=KEY, max_retries=0)
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
PLACE = {"title": "place", "description": "A place.", **SCHEMA}


def chat():
    return some(model.invoke(QUESTION).content)


def stream():
    return some("".join(chunk.content for chunk in model.stream(QUESTION)))


def tools():
    call = model.bind_tools([TOOL]).invoke(CALL).tool_calls[0]
    same(call["name"], "get_weather")
    return some(call["args"])


def structured():
    return some(model.with_structured_output(PLACE, method="json_schema").invoke(QUESTION))


def embeddings():
    made = OpenAIEmbeddings(
        model=EMBEDDING,
        base_url=f"{ADDRESS}/v1",
        api_key=KEY,
        check_embedding_ctx_length=False,
    )
    return len(some(made.embed_query("a")))


def error():
    wrong = ChatOpenAI(model="nothing", base_url=f"{ADDRESS}/v1", api_key=KEY, max_retries=0)
    return raises(Exception, lambda: wrong.invoke(QUESTION))


run(globals())
