"""HTTP/1.1 framing and its safety rules, without I/O: bytes in, messages out."""

from holdfast.http1.errors import BadMessage
from holdfast.http1.fields import valid_request_id, valid_traceparent
from holdfast.http1.limits import Limits
from holdfast.http1.request import Request, RequestHead, RequestReader
from holdfast.http1.response import Piece, ResponseHead, ResponseReader

__all__ = [
    "BadMessage",
    "Limits",
    "Piece",
    "Request",
    "RequestHead",
    "RequestReader",
    "ResponseHead",
    "ResponseReader",
    "valid_request_id",
    "valid_traceparent",
]
