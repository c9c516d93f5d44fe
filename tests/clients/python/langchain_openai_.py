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


def ask(item):
    options = {"base_url": f"{ADDRESS}/v1", "api_key": KEY, "max_retries": 0}
    if item["step"] == "embeddings":
        made = OpenAIEmbeddings(model=item["model"], check_embedding_ctx_length=False, **options)
        return {"vectors": made.embed_documents(["a"] * len(item["want"]["vectors"]))}
    if item["door"] == "responses":
        options["use_responses_api"] = True
    asked = ChatOpenAI(model=item["model"], stream_usage=True, **options)
    if item["tools"]:
        asked = asked.bind_tools(functions(item))
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
    about = answer.response_metadata
    cut = (about.get("incomplete_details") or {}).get("reason")
    finish = cut or about.get("finish_reason") or about.get("status")
    return seen(answer.text, calls, finish, (usage.get("input_tokens"), usage.get("output_tokens")))


run(globals())
