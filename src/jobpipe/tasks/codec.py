"""How arguments and results become JSON text and come back as what they were.

Arguments that do not come back equal are refused before anything is stored. Results are kept
wherever JSON can say them. No verdict depends on the store.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from jobpipe.errors import InvalidArguments, PayloadTooLarge
from jobpipe.tasks import wire
from jobpipe.tasks.signature import Signature

MAX_SHOWN = 80
"""Longest extract of a value in an error message, in characters."""


class Unstorable(ValueError):
    """A result that JSON cannot say, or that is too large to keep."""


class Undecodable(ValueError):
    """Stored arguments that do not fit the task as this code declares it."""


def encode_args(signature: Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the JSON object of the call's arguments, by parameter name.

    Raises InvalidArguments when they do not fit the signature or do not survive JSON.
    """
    encode, decoder, fields = signature.encode, signature.decoder, signature.fields
    bound = signature.bind(args, kwargs)
    try:
        data = encode(bound)
        if wire.why_refused(data) is None:
            back = decoder.decode(data)
            for name, value in bound.items():
                if (getattr(back, fields[name]) == value) is not True:
                    break
            else:
                return data.decode()
    except Exception:  # whatever it was (user code may run in ==), the refusal names it
        raise _refusal(signature, bound) from None
    raise _refusal(signature, bound)


def check_size(task: str, part: str, text: str, limit: int) -> None:
    """Raise PayloadTooLarge when the text needs more than ``limit`` bytes."""
    size = len(text) if text.isascii() else len(text.encode())
    if size > limit:
        raise PayloadTooLarge(
            f"task {task}: the {part} need {size} bytes; at most {limit} are allowed"
        )


def decode_args(signature: Signature, text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and keyword arguments of the call that ``text`` stands for.

    Raises Undecodable when the text does not fit the signature, ConfigError when the signature
    itself has types that cannot be stored.
    """
    decoder = signature.decoder
    try:
        values = decoder.decode(text)
    except Exception as error:  # a __post_init__ of the user's may raise anything
        raise Undecodable(
            f"task {signature.task}: the arguments do not fit: {_brief(error)}"
        ) from None
    names = signature.names
    bound: dict[str, Any] = {}
    for field, name in names:
        value = getattr(values, field)
        if value is not UNSET:
            bound[name] = value
    if len(bound) < len(names) and not signature.required <= bound.keys():
        missing = ", ".join(sorted(signature.required - bound.keys()))
        raise Undecodable(f"task {signature.task}: the arguments lack {missing}")
    return signature.spread(bound)


def encode_result(value: Any, limit: int) -> str:
    """Return the JSON text of a result; raises Unstorable when there is none within the limit.

    Lone surrogates and NUL characters are kept, as escapes.
    """
    try:
        data = _result_bytes(value)
        if len(data) > limit:
            raise Unstorable(f"the result needs {len(data)} bytes; at most {limit} are allowed")
        if b"null" in data:  # which is also how msgspec writes NaN and the infinities
            _refuse_nan(msgspec.to_builtins(value, enc_hook=wire.to_wire))
    except Unstorable:
        raise
    except Exception as error:  # encoding may run user code, and nest without end
        raise Unstorable(f"the result cannot be stored as JSON: {_brief(error)}") from error
    if wire.too_deep(data):
        raise Unstorable(f"the result is nested deeper than {wire.MAX_DEPTH} levels")
    if wire.too_long_int(data):
        raise Unstorable(f"the result holds an integer outside {wire.MIN_INT}..{wire.MAX_INT}")
    return data.decode()


def decode_result(signature: Signature | None, text: str) -> Any:
    """Return the result as the type that the task declares, or as plain JSON values.

    A function may return something else than it declares; then the plain values are returned.
    """
    if signature is None or signature.returns is Any:
        return wire.read(text)
    try:
        return signature.result_decoder.decode(text)
    except Exception:  # another type, an escaped surrogate, or user code that raised
        plain = wire.read(text)
    try:
        return msgspec.convert(plain, signature.returns, str_keys=True, dec_hook=wire.from_wire)
    except Exception:
        return plain


def encode_plain(option: str, value: Any) -> str:
    """Return the JSON text of an option whose value is plain JSON; raises InvalidArguments."""
    trouble = trouble_with(value, _ANY)
    if trouble:
        raise InvalidArguments(
            f"option {option}: {trouble}: {show(value)}",
            help="Correct the option that the message names; nothing was changed.",
        )
    return wire.encode(value).decode()


def show(value: Any) -> str:
    """Return a short extract of ``value`` for a message; never raises."""
    try:
        text = _REPR.repr(value)
    except Exception:  # a broken __repr__ must not hide the message
        text = f"<{type(value).__name__}>"
    text = text.encode("ascii", "backslashreplace").decode() if not text.isprintable() else text
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


_ANY = wire.decoder(Any)
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = MAX_SHOWN


def _refusal(signature: Signature, bound: Mapping[str, Any]) -> InvalidArguments:
    for parameter in signature.parameters:
        if parameter.name in bound:
            value = bound[parameter.name]
            trouble = trouble_with(value, parameter.decoder)
            if trouble:
                return InvalidArguments(
                    f"task {signature.task}: argument {parameter.name!r}: {trouble}: {show(value)}"
                )
    return InvalidArguments(
        f"task {signature.task}: the arguments do not survive JSON: together they are nested"
        f" deeper than {wire.MAX_DEPTH} levels"
    )


def trouble_with(value: Any, decoder: msgspec.json.Decoder[Any]) -> str | None:
    """Say why a value does not survive JSON as what the decoder reads, or None when it does."""
    try:
        data = wire.encode(value)
    except UnicodeEncodeError:
        return "it holds a lone surrogate, which is no valid text"
    except RecursionError:
        return f"it is nested deeper than {wire.MAX_DEPTH} levels"
    except Exception as error:  # encoding may run user code
        return f"it cannot be written as JSON ({_brief(error)})"
    refused = wire.why_refused(data)
    if refused:
        return refused
    try:
        back = decoder.decode(data)
    except Exception as error:  # a __post_init__ of the user's may raise anything
        return f"it does not fit the declared type ({_brief(error)})"
    try:
        same = (back == value) is True
    except Exception as error:  # nor can == be trusted
        return f"it cannot be compared with what JSON would make of it ({_brief(error)})"
    if not same:
        return f"it would come back from JSON as another value, {show(back)}"
    return None


def _result_bytes(value: Any) -> bytes:
    try:
        return wire.encode(value)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(value, str_keys=True, enc_hook=wire.to_wire)
        return json.dumps(plain, allow_nan=False, separators=(",", ":")).encode()


def _refuse_nan(plain: Any) -> None:
    todo = [plain]
    while todo:
        node = todo.pop()
        if isinstance(node, float) and not math.isfinite(node):
            raise ValueError("JSON has no NaN and no infinity")
        if isinstance(node, dict):
            todo.extend(node.values())
        elif isinstance(node, list | tuple | set | frozenset):
            todo.extend(node)


def _brief(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:  # a broken __str__ must not hide the message
        text = ""
    return (text or type(error).__name__)[:200]
