"""The one field of a form."""

from __future__ import annotations

import pytest

from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.plane.form import Form

BODY = (
    b'--X\r\nContent-Disposition: form-data; name="file"; filename="model.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    b"name=model\r\n--Y\r\n"
    b'\r\n--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nfast\r\n--X--\r\n'
)


def test_the_model_is_found_and_replaced_and_nothing_else_touched() -> None:
    form = Form(BODY, "multipart/form-data; boundary=X")
    assert form.model == "fast"
    assert form.with_model("whisper-1") == BODY.replace(b"\r\n\r\nfast\r\n", b"\r\n\r\nwhisper-1\r\n")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (BODY, "application/json"),
        (BODY, "multipart/form-data"),
        (b"", "multipart/form-data; boundary=X"),
        (BODY.replace(b'"model"', b'"other"'), 'multipart/form-data; boundary="X"'),
        (b"--X\r\n" * 1000, "multipart/form-data; boundary=X"),
        (BODY.replace(b"fast", b"f" * 300), "multipart/form-data; boundary=X"),
    ],
)
def test_what_is_no_form_with_a_model_is_refused(body: bytes, kind: str) -> None:
    with pytest.raises(Refused):
        Form(body, kind)
