"""A declared secret never appears in what is kept of a stream, however it is written and cut (P31)."""

from __future__ import annotations

import base64
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clockwork_nb.forge.logs import StreamLog
from clockwork_nb.secrets import MASK, Redactor

ALPHABET = st.sampled_from("abcXYZ019-_/+=&%\"'\\ \té→\U0001f511$#?")
SECRETS = st.text(ALPHABET, min_size=9, max_size=40).filter(lambda s: len(set(s)) > 4)
NOISE = st.binary(max_size=40)

FORMS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda s: s.encode(),
    "hex": lambda s: s.encode().hex().encode(),
    "HEX": lambda s: s.encode().hex().upper().encode(),
    "url": lambda s: quote(s, safe="").encode(),
    "url-path": lambda s: quote(s).encode(),
    "url-form": lambda s: quote_plus(s).encode(),
    "url-lower": lambda s: re.sub("%..", lambda found: found.group().lower(), quote(s, safe="")).encode(),
    "json": lambda s: json.dumps(s).encode(),
    "json-utf8": lambda s: json.dumps(s, ensure_ascii=False).encode(),
    "json-slashes": lambda s: json.dumps(s).replace("/", "\\/").encode(),
    "base64": lambda s: base64.b64encode(s.encode()),
    "base64-bare": lambda s: base64.b64encode(s.encode()).rstrip(b"="),
    "base64-url": lambda s: base64.urlsafe_b64encode(s.encode()),
    "basic-auth": lambda s: base64.b64encode(b"user:" + s.encode() + b":x"),
    "base64-after-one": lambda s: base64.b64encode(b"?" + s.encode() + b"yz"),
    "base64-after-two": lambda s: base64.b64encode(b"??" + s.encode()),
}


def kept(secret: str, chunks: list[bytes]) -> bytes:
    redactor = Redactor()
    redactor.register(secret)
    with tempfile.TemporaryDirectory() as folder:
        log = StreamLog(Path(folder), "s.out", redactor, 1 << 16, 1 << 16)
        for chunk in chunks:
            log.write(chunk)
        log.close()
        content = log.content()
        if content:
            assert log.path.read_bytes() == content
    return content


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    out, at = [], 0
    for size in sizes:
        out.append(data[at : at + size])
        at += size
    return [*out, data[at:]]


def decided(form: str, secret: str) -> bytes:
    """The part of a form that the secret alone decides, the same whatever stands beside it."""
    whole = FORMS[form](secret)
    before = {"basic-auth": 5, "base64-after-one": 1, "base64-after-two": 2}.get(form, 0)
    if not before:
        return whole.strip(b'"')
    return whole[-(-8 * before // 6) : 8 * (before + len(secret.encode())) // 6]


@settings(max_examples=150, deadline=None)
@given(SECRETS, st.sampled_from(sorted(FORMS)), NOISE, NOISE, st.lists(st.integers(0, 30), max_size=8))
def test_no_form_of_a_secret_survives_any_cut(
    secret: str, form: str, before: bytes, after: bytes, sizes: list[int]
) -> None:
    content = kept(secret, cut(before + FORMS[form](secret) + after, sizes))
    assert decided(form, secret) not in content.replace(MASK.encode(), b"\0")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_every_form_of_an_awkward_secret_is_masked(form: str, size: int) -> None:
    secret = 'pa/ss w0rd?&+"\\→9~Zz'
    data = b"before " + FORMS[form](secret) + b" after"
    content = kept(secret, [data[at : at + size] for at in range(0, len(data), size)])
    assert decided(form, secret) not in content
    assert MASK.encode() in content
    assert content.startswith(b"before ")
    assert content.endswith(b" after")


@settings(max_examples=60, deadline=None)
@given(SECRETS, st.integers(1, 7))
def test_many_in_a_row_byte_by_byte(secret: str, times: int) -> None:
    text = secret.encode() * times
    content = kept(secret, [bytes([b]) for b in text])
    assert secret.encode() not in content.replace(MASK.encode(), b"\0")
    assert content.count(MASK.encode()) >= 1


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 64), max_size=6))
def test_what_holds_no_secret_is_kept_byte_for_byte(data: bytes, sizes: list[int]) -> None:
    secret = "a secret that is nowhere"
    assert kept(secret, cut(data, sizes)) == data


@settings(max_examples=60, deadline=None)
@given(st.lists(SECRETS, min_size=2, max_size=4, unique=True), st.lists(st.integers(0, 20), max_size=8))
def test_secrets_inside_and_beside_each_other_are_all_masked(secrets: list[str], sizes: list[int]) -> None:
    redactor = Redactor()
    for secret in secrets:
        redactor.register(secret)
    redactor.register(secrets[0] + secrets[1])
    with tempfile.TemporaryDirectory() as folder:
        log = StreamLog(Path(folder), "s.out", redactor, 1 << 16, 1 << 16)
        for chunk in cut("".join([*secrets, secrets[0], secrets[1]]).encode(), sizes):
            log.write(chunk)
        log.close()
        content = log.content().replace(MASK.encode(), b"\0")
    assert [s for s in secrets if s.encode() in content] == []
