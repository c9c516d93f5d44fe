import instructor
import openai
from _run import ADDRESS, CHAT, KEY, QUESTION, raises, run, some
from pydantic import BaseModel

plain = openai.OpenAI(base_url=f"{ADDRESS}/v1", api_key=KEY, max_retries=0)
client = instructor.from_openai(plain, mode=instructor.Mode.TOOLS)
ASKED = [{"role": "user", "content": QUESTION}]


class Place(BaseModel):
    city: str


def structured():
    return some(client.chat.completions.create(model=CHAT, messages=ASKED, response_model=Place))


def tools():
    strict = instructor.from_openai(plain, mode=instructor.Mode.JSON_SCHEMA)
    return some(strict.chat.completions.create(model=CHAT, messages=ASKED, response_model=Place))


def stream():
    parts = client.chat.completions.create_partial(model=CHAT, messages=ASKED, response_model=Place)
    return some(list(parts)[-1])


def error():
    return raises(
        Exception,
        lambda: client.chat.completions.create(
            model="nothing", messages=ASKED, response_model=Place, max_retries=0
        ),
    )


run(globals())
