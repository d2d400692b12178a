"""The text of a key: what can be told of it without the store."""

from __future__ import annotations

import hashlib
import zlib

import pytest

from holdfast.identity import new_key, parse
from holdfast.identity.key import ALPHABET, KEY_LENGTH, SECRET_LENGTH, PresentedKey


def test_a_new_key_is_well_formed_and_names_itself() -> None:
    text = new_key()
    key = parse(text)
    assert key is not None
    assert text.startswith(f"hf_{key.id}_")
    assert len(text) == KEY_LENGTH


def test_the_store_knows_a_key_by_its_sha_256() -> None:
    text = new_key()
    key = parse(text)
    assert key is not None
    assert key.digest == hashlib.sha256(text.encode()).digest()


def test_the_check_is_the_crc_32_in_base_62_so_that_scanners_can_compute_it() -> None:
    text = new_key()
    number = 0
    for digit in text[-6:]:
        number = number * 62 + ALPHABET.index(digit)
    assert number == zlib.crc32(text[:-6].encode())


def test_a_secret_has_at_least_128_bits() -> None:
    assert len(ALPHABET) == len(set(ALPHABET)) == 62
    assert 62**SECRET_LENGTH > 2**128


def test_no_two_keys_are_alike() -> None:
    assert len({new_key() for _ in range(1000)}) == 1000


def test_neither_the_digest_nor_the_secret_is_shown() -> None:
    key = parse(new_key())
    assert repr(key) == f"PresentedKey(id={key.id!r})" if isinstance(key, PresentedKey) else False


@pytest.mark.parametrize("change", ["", "{}x", "{}\n", " {}", "Bearer {}", "HF_{}"])
def test_what_is_not_exactly_a_key_is_none(change: str) -> None:
    assert parse(change.format(new_key())) is None
