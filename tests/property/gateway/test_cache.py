"""However it is used, the cache gives a tenant only what was kept for it, and stays in its bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateway.core.cache import AnswerCache
from holdfast.gateway.core.cache_key import chat_key
from holdfast.gateway.core.conversation import Answer, Chat, Choice, Message, Text

tenants = st.sampled_from(["a", "b", 'a","b', ""])
steps = st.lists(
    st.tuples(st.booleans(), tenants, st.integers(0, 4), st.integers(0, 900), st.integers(0, 5)), max_size=60
)


def answer(text: str) -> Answer:
    return Answer(id="", model="m", created=0, choices=(Choice(parts=(Text(text=text),)),), usage=None)


@given(steps)
def test_a_tenant_gets_its_own_latest_answer_or_none(todo: list[tuple[bool, str, int, int, int]]) -> None:
    cache, model, now = (
        AnswerCache(entries=6, size_bytes=12_000, ttl_s=20.0),
        dict[tuple[str, bytes], tuple[Answer, float]](),
        0.0,
    )
    for number, (puts, tenant, key, size, passes) in enumerate(todo):
        now += passes
        name = bytes([key])
        if puts:
            kept = answer(f"{tenant} {number} {'x' * size}")
            if cache.put(tenant, name, kept, now=now):
                model[tenant, name] = kept, now + 20.0
        else:
            found = cache.get(tenant, name, now=now)
            assert found is None or (found.answer, found.expires) == model[tenant, name]
            assert found is None or now < found.expires
        assert len(cache) <= 6
        assert 0 <= cache.size_bytes <= 12_000


@given(tenants, tenants, st.text(max_size=5), st.text(max_size=5))
def test_two_tenants_never_share_a_key(one: str, other: str, first: str, second: str) -> None:
    def key(tenant: str, text: str) -> bytes:
        message = Message(role="user", parts=(Text(text=text),))
        return chat_key(Chat(protocol="openai", model="m", messages=(message,)), tenant=tenant, route="m")

    assert (key(one, first) == key(other, second)) == ((one, first) == (other, second))
