from _run import ADDRESS, ANY, CALL, CHAT, KEY, QUESTION, raises, run, seen, some
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.direct import model_request_stream_sync, model_request_sync
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition

openai = OpenAIProvider(base_url=f"{ADDRESS}/v1", api_key=KEY)
model = OpenAIChatModel(CHAT, provider=openai)


class Place(BaseModel):
    city: str


def chat():
    return some(Agent(model).run_sync(QUESTION).output)


def stream():
    result = Agent(model).run_stream_sync(QUESTION)
    return some(list(result.stream_text())[-1])


def tools():
    seen = []
    agent = Agent(model)

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather of a city."""
        seen.append(city)
        return f"Sunny in {city}"

    agent.run_sync(CALL)
    return some(seen)


def structured():
    return some(Agent(model, output_type=Place).run_sync(QUESTION).output)


def error():
    return raises(
        Exception,
        lambda: Agent(OpenAIChatModel("nothing", provider=openai)).run_sync(QUESTION),
    )


def ask(item):
    kind = OpenAIResponsesModel if item["door"] == "responses" else OpenAIChatModel
    asked = kind(item["model"], provider=openai)
    told = ModelRequestParameters(
        function_tools=[
            ToolDefinition(name=name, parameters_json_schema=ANY) for name in item["tools"]
        ]
    )
    if item["step"] == "structured":
        told.output_mode = "native"
        told.output_object = OutputObjectDefinition(json_schema=ANY)
    messages = [ModelRequest.user_text_prompt(QUESTION)]
    if item["step"] == "stream":
        with model_request_stream_sync(asked, messages, model_request_parameters=told) as pieces:
            list(pieces)
            answer = pieces.response
    else:
        answer = model_request_sync(asked, messages, model_request_parameters=told)
    text = "".join(part.content for part in answer.parts if part.part_kind == "text")
    calls = [(call.tool_name, call.args) for call in answer.tool_calls]
    tokens = (answer.usage.input_tokens, answer.usage.output_tokens)
    return seen(text, calls, answer.finish_reason, tokens)


run(globals())
