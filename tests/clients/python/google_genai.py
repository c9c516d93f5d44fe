from _run import ADDRESS, CALL, CHAT, EMBEDDING, KEY, QUESTION, SCHEMA, raises, run, same, some
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


run(globals())
