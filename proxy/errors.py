"""Everything the gateway itself may answer instead of the upstream.

One subclass per case. ``status``, ``code`` and ``title`` are fixed for a class, since
clients rely on them; ``detail`` is a sentence that says what to do. ``headers`` are added
to the answer.
"""

from __future__ import annotations

from typing import ClassVar

Headers = list[tuple[bytes, bytes]]


class GatewayError(Exception):
    """``detail`` replaces the class's sentence; ``headers`` go with the answer."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    sentence: ClassVar[str] = (
        "The gateway failed to handle this call. Try again, and give the request id to the "
        "operator if it happens again."
    )
    param: str | None = None
    """The request field at fault, where one is; told to clients of AI routes."""

    def __init__(self, detail: str = "", headers: Headers | None = None) -> None:
        self.detail = detail or self.sentence
        self.headers: Headers = headers or []
        super().__init__(self.detail)


class InternalError(GatewayError):
    """A fault of the gateway: logged with the request id."""


# What cannot be read (400, 431)


class MalformedRequest(GatewayError):
    status = 400
    code = "malformed_request"
    title = "Malformed request"
    sentence = "This is not a valid HTTP/1.1 request. Check the client that sends it."


class HeadersTooLarge(GatewayError):
    status = 431
    code = "headers_too_large"
    title = "Headers too large"
    sentence = "The request's line and headers exceed 64 KiB. Send fewer or shorter headers."


# Who is calling (401, 403, 404)


class Unauthorized(GatewayError):
    status = 401

    def __init__(self, detail: str = "", headers: Headers | None = None) -> None:
        super().__init__(detail, [(b"www-authenticate", b'Bearer realm="api"'), *(headers or [])])


class ApiKeyMissing(Unauthorized):
    code = "api_key_missing"
    title = "API key missing"
    sentence = "This API needs a key. Send it as `Authorization: Bearer <key>`."


class ApiKeyUnknown(Unauthorized):
    code = "api_key_unknown"
    title = "API key unknown"
    sentence = "This API key is not known here. Check that it is complete and still in use."


class ApiKeyExpired(Unauthorized):
    code = "api_key_expired"
    title = "API key expired"
    sentence = "This API key has expired. Create a new one in the developer portal."


class Forbidden(GatewayError):
    status = 403


class SubscriptionMissing(Forbidden):
    code = "subscription_missing"
    title = "No subscription"
    sentence = "The application has no subscription to this API. Request one first."


class SubscriptionPending(Forbidden):
    code = "subscription_pending"
    title = "Subscription pending"
    sentence = "The subscription to this API waits for approval. Ask the API's owner to approve it."


class SubscriptionRejected(Forbidden):
    code = "subscription_rejected"
    title = "Subscription rejected"
    sentence = "The subscription to this API was rejected. Ask the API's owner for the reason."


class SubscriptionRevoked(Forbidden):
    code = "subscription_revoked"
    title = "Subscription revoked"
    sentence = "The subscription to this API was revoked. Ask the API's owner for a new one."


class TenantSuspended(Forbidden):
    code = "tenant_suspended"
    title = "Tenant suspended"
    sentence = "This tenant is suspended. Contact the platform's operator."


class TenantUnknown(GatewayError):
    status = 404
    code = "tenant_unknown"
    title = "Tenant unknown"
    sentence = (
        "This host name belongs to no tenant and no API key was sent. "
        "Use the tenant's host name or send an API key."
    )


# What is called (404, 405, 413)


class RouteNotFound(GatewayError):
    status = 404
    code = "route_not_found"
    title = "Route not found"
    sentence = "No API answers at this path. Check the path against the API's documentation."


class MethodNotAllowed(GatewayError):
    """``allowed``: the methods that this path does answer, for the Allow field."""

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"

    def __init__(self, allowed: list[str]) -> None:
        listed = ", ".join(allowed)
        super().__init__(
            f"This path does not answer this method. Use one of: {listed}.",
            [(b"allow", listed.encode())],
        )


class BodyTooLarge(GatewayError):
    """``limit`` is in bytes."""

    status = 413
    code = "body_too_large"
    title = "Request body too large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body may hold at most {limit} bytes. Send a smaller one.")


class ClientGone(GatewayError):
    """The client left before it had sent its whole request. Nobody reads this answer."""

    status = 499
    code = "client_gone"
    title = "Client gone"
    sentence = "The client closed the connection."


# What the gateway cannot take on (503)


class Unable(GatewayError):
    """Worth trying again at once, perhaps elsewhere."""

    status = 503

    def __init__(self, detail: str = "", headers: Headers | None = None) -> None:
        super().__init__(detail, [(b"retry-after", b"1"), *(headers or [])])


class GatewayOverloaded(Unable):
    """More calls came than the worker can answer in time, or than one tenant may have under way."""

    code = "gateway_overloaded"
    title = "Gateway overloaded"
    sentence = "More calls come in than can be answered at the moment. Try again later."

    def __init__(self, seconds: int = 1) -> None:
        super().__init__()
        self.headers = [(b"retry-after", b"%d" % seconds)]


class GatewayStopping(Unable):
    """The worker is being replaced and the call has taken too long to wait for it."""

    code = "gateway_stopping"
    title = "Gateway stopping"
    sentence = "The gateway is being restarted and could not wait for this call. Try it again."


# What lies behind the gateway (502, 503, 504)


class UpstreamError(GatewayError):
    """An upstream that gave no usable answer; ``sent`` tells whether it may have seen the call,
    ``answered`` whether a part of an answer had come."""

    status = 502
    sent: bool = True
    answered: bool = False


class ConnectFailed(UpstreamError):
    """No connection: nothing was sent, so another target may be tried."""

    code = "upstream_unreachable"
    title = "Upstream unreachable"
    sentence = "The service behind this API cannot be reached. Try again later."
    sent = False


class AddressForbidden(UpstreamError):
    """The target's name resolves only to addresses that this tenant may not reach."""

    code = "upstream_address_forbidden"
    title = "Upstream address forbidden"
    sentence = (
        "The upstream's address is loopback, private or link-local, which this tenant may not "
        "call. Change the upstream's target, or ask the operator to allow private upstreams."
    )
    sent = False


class UpstreamBroken(UpstreamError):
    """Reset, closed early or malformed."""

    code = "upstream_broken"
    title = "Upstream answer broken"
    sentence = "The service behind this API broke off or gave an invalid answer. Try again later."

    def __init__(self, detail: str = "", *, sent: bool = True) -> None:
        super().__init__(detail)
        self.sent = sent


class NoHealthyTarget(UpstreamError):
    status = 503
    code = "no_healthy_target"
    title = "No healthy target"
    sentence = "Every target of this API's upstream is failing at the moment. Try again shortly."
    sent = False


class UsageUnrecordable(GatewayError):
    """The disk of the gateway is full, or the journal at its limit: nothing was sent."""

    status = 503
    code = "usage_unrecordable"
    title = "Usage cannot be recorded"
    sentence = (
        "The gateway cannot record calls at the moment and so makes none. Try again shortly; "
        "the operator must free disk space or restore Valkey if it lasts."
    )

    def __init__(self) -> None:
        super().__init__(headers=[(b"retry-after", b"1")])


class GatewayLost(GatewayError):
    """In records only: a worker ended while the call was upstream. Nobody reads this answer."""

    code = "gateway_lost"
    title = "Gateway lost"


class UpstreamOverloaded(UpstreamError):
    """All connections to a target are in use, and enough calls wait for one."""

    status = 503
    code = "upstream_overloaded"
    title = "Upstream overloaded"
    sentence = "The service behind this API has too many calls under way. Try again in a second."
    sent = False

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail, [(b"retry-after", b"1")])


class UpstreamTimeout(UpstreamError):
    status = 504
    code = "upstream_timeout"
    title = "Upstream timed out"
    sentence = "The service behind this API took too long to answer. Try again later."
