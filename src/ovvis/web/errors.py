"""How errors are told to a browser: each as one line, as `{"error": line}`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse, Response

from ovvis.errors import DISK_FULL, InputError, OvvisError
from ovvis.plain import visible
from ovvis.web.gate import TooLarge
from ovvis.web.unforeseen import FULL


def tell_errors(app: FastAPI, others: dict[type[Exception], int] | None = None) -> None:
    """Have an application tell errors.

    Args:
        app: the application.
        others: further kinds of errors that it raises, with the code of each.
    """

    def tell(kind: type[Exception], code: int | None, line: Callable[[Any], str]) -> None:
        async def handler(request: Request, error: Any) -> Response:
            del request
            return JSONResponse({"error": line(error)}, error.status_code if code is None else code)

        app.add_exception_handler(kind, handler)

    known: dict[type[Exception], int] = {InputError: 400, OvvisError: 503, TooLarge: 413}
    for kind, code in (known | (others or {})).items():
        tell(kind, code, _line)
    tell(HTTPException, None, lambda error: str(error.detail))
    tell(RequestValidationError, 422, _what_is_wrong)
    tell(OSError, 507, _of_the_system)


def _line(error: Exception) -> str:
    return visible(" ".join(str(error).split()))


def _what_is_wrong(error: RequestValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'][1:]) or 'the request'}: {first['msg']}"


def _of_the_system(error: OSError) -> str:
    if error.errno in DISK_FULL:
        return FULL
    if isinstance(error, FileNotFoundError):
        return "it is not there any more: its time was over"
    return f"the server could not read or write a file ({error.strerror})"
