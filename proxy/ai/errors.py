"""What only AI calls and prompts can be refused for. See ``proxy.errors`` for all else."""

from __future__ import annotations

from math import ceil

from proxy.errors import GatewayError, Headers, UpstreamError


class InvalidRequest(GatewayError):
    """``param`` names the field at fault."""

    status = 400
    code = "invalid_request"
    title = "Invalid request"

    def __init__(self, detail: str, param: str | None = None) -> None:
        super().__init__(detail)
        self.param = param


class InvalidJson(GatewayError):
    status = 400
    code = "invalid_json"
    title = "Invalid JSON"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The request body cannot be read as JSON: {reason}.")


class TooManyValues(GatewayError):
    """As JSON it is small, but not what it would become."""

    status = 413
    code = "too_many_values"
    title = "Too many values"
    sentence = (
        "The request body holds too many objects, lists and values to be read. "
        "Send fewer messages or inputs in a call."
    )


class InvalidVariables(GatewayError):
    """The sentence names the variables at fault."""

    status = 400
    code = "invalid_variables"
    title = "Invalid variables"


class ModelNotFound(GatewayError):
    status = 404
    code = "model_not_found"
    title = "Model not found"
    param = "model"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no model '{name[:100]}' here. GET /v1/models lists yours.")


class ModelCannot(GatewayError):
    """The model exists and has other abilities than the one asked for."""

    status = 400
    code = "model_ability_missing"
    title = "Model ability missing"
    param = "model"

    def __init__(self, name: str, ability: str) -> None:
        super().__init__(f"The model '{name}' does not offer {ability}. Choose another model.")


class ModelUnavailable(UpstreamError):
    status = 503
    code = "model_unavailable"
    title = "Model unavailable"
    sentence = (
        "No provider can serve this model at the moment. Try again shortly, and ask the "
        "administrator to check the model's deployments if it stays so."
    )
    sent = False


class ProviderRejectedCredentials(UpstreamError):
    code = "provider_rejected_credentials"
    title = "Provider rejected the credentials"

    def __init__(self, provider: str, status: int) -> None:
        super().__init__(
            f"The AI provider '{provider}' answered {status} to the gateway's own credentials. "
            "An administrator must check the provider's key in the admin."
        )


class ProviderRefused(UpstreamError):
    """A provider's error on a prompt route, or one without a JSON body on an AI route."""

    code = "provider_error"
    title = "Provider error"


class ProviderBusy(ProviderRefused):
    """The provider's own rate limit, passed on with its Retry-After."""

    status = 429
    code = "provider_rate_limited"
    title = "Provider rate limited"
    sentence = "The AI provider's rate limit is used up. Try again later."


class ProviderLimitReached(UpstreamError):
    """No provider was asked: each would have refused the call. ``seconds`` until one may not."""

    status = 429
    code = "provider_limit_reached"
    title = "Provider limit reached"
    sent = False

    def __init__(self, seconds: float) -> None:
        whole = max(1, ceil(seconds))
        super().__init__(
            "The rate limits of the AI providers that serve this model are used up. "
            f"Try again in {whole} s.",
            [(b"retry-after", b"%d" % whole)],
        )


class OutputInvalid(UpstreamError):
    """A prompt that promises JSON, and a model that wrote something else."""

    code = "model_output_invalid"
    title = "Model output invalid"

    def __init__(self, finish_reason: str | None) -> None:
        super().__init__(
            f"The model's answer is not JSON (it ended with '{finish_reason}'). Try again, with "
            "shorter variables if the answer was cut off."
        )


class ParameterUnsupported(GatewayError):
    """The client asks for what the model's provider cannot be told, by a rule that refuses it."""

    status = 400
    code = "parameter_unsupported"
    title = "Parameter unsupported"

    def __init__(self, param: str, where: str, only: str = "") -> None:
        """``only``: the values that can be used."""
        what = f"'{param}' can be {only} only with" if only else f"'{param}' cannot be used with"
        how = "Change it or leave it out" if only else "Leave it out"
        super().__init__(f"{what} {where}. {how}, or choose another model.")
        self.param = param


class ModelDeclined(GatewayError):
    """The provider answered, and there is nothing in it of what was asked for."""

    status = 400
    code = "model_declined"
    title = "Model declined"

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"The model made no {what}. {why} Change the request and try again.")


class AnswerUnreadable(UpstreamError):
    """A provider's answer that has not the form of its own format."""

    code = "provider_answer_unreadable"
    title = "Provider's answer unreadable"
    sentence = (
        "The AI provider's answer has not the form it should have. Try again, and ask the "
        "administrator to check the provider's kind and address if it stays so."
    )


COMPRESSED = (
    "The AI provider's answer is compressed, though the gateway asked for one that is not. An "
    "administrator must check the provider's address and whatever lies before it."
)


class FormatUnsupported(GatewayError):
    """The model's provider has no such operation, and no translation leads to one."""

    status = 400
    code = "operation_unsupported"
    title = "Operation unsupported"

    def __init__(self, operation: str, provider: str) -> None:
        super().__init__(
            f"The provider '{provider}' of this model offers no {operation.replace('_', ' ')}. "
            "Choose another model."
        )


class ProviderSignInFailed(UpstreamError):
    """No token could be had for the provider: nothing was sent to it."""

    code = "provider_sign_in_failed"
    title = "Provider sign-in failed"
    sent = False

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The gateway cannot sign in at the AI provider: {reason} An administrator must check "
            "the provider's credential in the admin."
        )


class ProviderSays(GatewayError):
    """Not an error of the gateway: what the provider answered, to be passed on as it is."""

    def __init__(self, answered: int, noted: str, headers: Headers, body: bytes) -> None:
        super().__init__()
        self.answered = answered
        self.noted = noted
        """The code that the call is recorded with."""
        self.passed = headers
        self.body = body
