from _run import (
    ADDRESS,
    ANY,
    CALL,
    CHAT,
    EMBEDDING,
    KEY,
    QUESTION,
    SCHEMA,
    raises,
    run,
    same,
    seen,
    some,
)
from google import genai
from google.genai import errors, types

client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=ADDRESS))


def chat():
    answer = client.models.generate_content(model=CHAT, contents=QUESTION)
    some(answer.usage_metadata.prompt_token_count)
    return some(answer.text)


def stream():
    chunks = client.models.generate_content_stream(model=CHAT, contents=QUESTION)
    return some("".join(chunk.text or "" for chunk in chunks))


def tools():
    declared = types.FunctionDeclaration(name="get_weather", parameters_json_schema=SCHEMA)
    answer = client.models.generate_content(
        model=CHAT,
        contents=CALL,
        config=types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=[declared])],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        ),
    )
    same(answer.function_calls[0].name, "get_weather")
    return some(answer.function_calls[0].args)


def structured():
    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_json_schema=SCHEMA
    )
    return some(client.models.generate_content(model=CHAT, contents=QUESTION, config=config).parsed)


def embeddings():
    answer = client.models.embed_content(model=EMBEDDING, contents=["a", "b"])
    return len(some(answer.embeddings[1].values))


def error():
    return raises(
        errors.ClientError,
        lambda: client.models.generate_content(model="nothing", contents=QUESTION),
    )


def ask(item):
    if item["step"] == "embeddings":
        texts = ["a"] * len(item["want"]["vectors"])
        answer = client.models.embed_content(model=item["model"], contents=texts)
        return {"vectors": [one.values for one in answer.embeddings]}
    declared = [
        types.FunctionDeclaration(name=name, parameters_json_schema=ANY) for name in item["tools"]
    ]
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=declared)] if declared else None,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    if item["step"] == "structured":
        config.response_mime_type, config.response_json_schema = "application/json", ANY
    asked = {"model": item["model"], "contents": QUESTION, "config": config}
    if item["step"] == "stream":
        answers = list(client.models.generate_content_stream(**asked))
    else:
        answers = [client.models.generate_content(**asked)]
    candidates = [one.candidates[0] for one in answers if one.candidates]
    parts = [p for one in candidates if one.content for p in one.content.parts or []]
    text = "".join(part.text for part in parts if part.text and not part.thought)
    calls = [(p.function_call.name, p.function_call.args) for p in parts if p.function_call]
    finish = [one.finish_reason.value for one in candidates if one.finish_reason]
    usages = [one.usage_metadata for one in answers if one.usage_metadata]
    tokens = (None, None)
    if usages:
        last = usages[-1]
        asked = (last.prompt_token_count or 0) + (last.tool_use_prompt_token_count or 0)
        wrote = (last.candidates_token_count or 0) + (last.thoughts_token_count or 0)
        tokens = (asked, wrote)
    return seen(text, calls, finish[-1], tokens)


run(globals())
