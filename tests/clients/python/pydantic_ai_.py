from _run import ADDRESS, CALL, CHAT, KEY, QUESTION, raises, run, some
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

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


run(globals())
