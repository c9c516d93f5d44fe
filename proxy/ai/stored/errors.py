"""What only responses that a provider keeps can be refused for."""

from __future__ import annotations

from proxy.errors import GatewayError, Unable


class PreviousResponseNotFound(GatewayError):
    """In the words and with the code of OpenAI's own refusal, which clients know."""

    status = 400
    code = "previous_response_not_found"
    title = "Previous response not found"
    param = "previous_response_id"

    def __init__(self, identifier: str) -> None:
        super().__init__(
            f"Previous response with id '{identifier[:100]}' not found. Send the conversation "
            "itself in its place."
        )


class PreviousResponseUnreachable(GatewayError):
    """It is held where this call cannot go."""

    status = 400
    code = "previous_response_unreachable"
    title = "Previous response unreachable"
    param = "previous_response_id"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The response before cannot be gone on from: {why}. Send the conversation itself in "
            "its place."
        )


class ResponseNotFound(GatewayError):
    status = 404
    code = "response_not_found"
    title = "Response not found"
    sentence = (
        "There is no such response here. The gateway knows those of the last 30 days that your "
        "application asked for, of models with several accounts or with 'store' set to true."
    )


class ResponsesUnavailable(Unable):
    code = "responses_unavailable"
    title = "Responses unavailable"
    sentence = "Where the response is kept cannot be told at the moment. Try again shortly."
