"""Whatever happens in whatever order: nobody is told twice, and everybody who was told hears of the end."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel import Duration
from holdfast.netpulse.core.escalation import OPENING, TELLING, Key, due, notices, obsolete
from holdfast.netpulse.core.incident import Incident, Notice, State, Transition
from holdfast.netpulse.core.quiet import quiet_until
from holdfast.netpulse.core.settings import QuietSettings, RouteSettings, StepSettings
from tests.unit.netpulse.notify.memory import NOW, incident

CHANNELS = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.builds(
        StepSettings,
        channels=st.lists(CHANNELS, min_size=1, max_size=2).map(tuple),
        after=st.sampled_from([0.0, 60.0, 300.0, 3600.0]).map(Duration),
    ),
    max_size=3,
).map(lambda steps: tuple(sorted(steps, key=lambda step: step.after)))
QUIET = st.none() | st.sampled_from(
    [QuietSettings(start="22:00", end="07:00", timezone="Europe/Berlin"), QuietSettings(start="09:00", end="17:00")]
)
ROUTES = st.builds(RouteSettings, steps=STEPS, repeat=st.sampled_from([0.0, 60.0, 900.0]).map(Duration), quiet=QUIET)
LIFE = st.lists(
    st.tuples(
        st.sampled_from(["joined", "acknowledged", "resolved", "flapping", "reopened", "look"]),
        st.floats(0, 40_000, allow_nan=False),
    ),
    max_size=15,
)
_AFTER = {
    "joined": None,
    "look": None,
    "acknowledged": State.ACKNOWLEDGED,
    "resolved": State.RESOLVED,
    "flapping": State.FLAPPING,
    "reopened": State.REOPENED,
}


def lived(
    route: RouteSettings, severity: str, life: list[tuple[str, float]]
) -> list[tuple[float, Incident, list[Notice], dict[str, float]]]:
    """An incident's life: at each moment the incident, what was decided, and what had been told before."""
    about, now, told, history = incident(severity=severity), NOW, {}, []  # type: ignore[var-annotated]
    for event, pause in [("opened", 0.0), *life]:
        now += pause
        if event == "reopened" and about.state is not State.RESOLVED:
            continue
        if about.state is State.RESOLVED and event not in {"reopened", "look"}:
            continue
        about = replace(
            about,
            state=_AFTER.get(event) or about.state,
            revision=about.revision + 1,
            reopenings=about.reopenings + (event == "reopened"),
        )
        before = dict(told)
        step = Transition(
            incident=about.id, number=about.revision, at=now, rule="", before=None, after=about.state, tell=event
        )
        steps = [step] if event != "look" else []
        decided = list(notices(about, steps, [route], {}, told, now))
        told |= {notice.key: now for notice in decided}
        timed, upcoming = due(about, [route], {}, told, now)
        assert upcoming is None or upcoming > now
        told |= {notice.key: now for notice in timed}
        history.append((now, about, [*decided, *timed], before))
    return history


@given(route=ROUTES, severity=st.sampled_from(["page", "ticket"]), life=LIFE)
def test_no_key_is_decided_twice_and_none_before_its_time(
    route: RouteSettings, severity: str, life: list[tuple[str, float]]
) -> None:
    keys: set[str] = set()
    for now, _, decided, before in lived(route, severity, life):
        for notice in decided:
            assert notice.key not in keys
            assert notice.key not in before
            assert notice.not_before >= notice.at == now
            assert str(Key.parse(notice.key)) == notice.key
            keys.add(notice.key)


@given(route=ROUTES, severity=st.sampled_from(["page", "ticket"]), life=LIFE)
def test_deciding_again_with_what_was_told_decides_nothing(
    route: RouteSettings, severity: str, life: list[tuple[str, float]]
) -> None:
    for now, about, decided, before in lived(route, severity, life):
        told = before | {notice.key: now for notice in decided}
        again, _ = due(about, [route], {}, told, now)
        assert again == ()


@given(route=ROUTES, severity=st.sampled_from(["page", "ticket"]), life=LIFE)
def test_the_end_goes_to_exactly_those_who_were_told_of_the_beginning(
    route: RouteSettings, severity: str, life: list[tuple[str, float]]
) -> None:
    knowing: set[str] = set()
    for _, about, decided, _ in lived(route, severity, life):
        ended = {notice.channel for notice in decided if notice.event == "resolved"}
        assert ended <= knowing
        if about.state is State.RESOLVED and ended:
            assert ended == knowing
            knowing.clear()
        knowing |= {notice.channel for notice in decided if notice.event in TELLING}


@given(route=ROUTES, severity=st.sampled_from(["page", "ticket"]), life=LIFE)
def test_every_immediate_channel_is_told_of_every_opening(
    route: RouteSettings, severity: str, life: list[tuple[str, float]]
) -> None:
    immediate = {channel for step in route.steps if step.after <= 0 for channel in step.channels}
    for _, about, decided, _ in lived(route, severity, life):
        opened = {notice.channel for notice in decided if notice.event in OPENING}
        if about.state is State.REOPENED and decided and decided[0].event == "reopened":
            assert opened >= immediate


@given(route=ROUTES, life=LIFE)
def test_nothing_is_sent_in_quiet_hours_but_pages(route: RouteSettings, life: list[tuple[str, float]]) -> None:
    for _, _, decided, _ in lived(route, "ticket", life):
        for notice in decided:
            if route.quiet is not None:
                assert quiet_until(route.quiet, notice.not_before) == notice.not_before
    for now, _, decided, _ in lived(route, "page", life):
        for notice in decided:
            assert notice.not_before == now


@given(route=ROUTES, severity=st.sampled_from(["page", "ticket"]), life=LIFE)
def test_of_what_is_over_when_the_quiet_ends_nobody_hears(
    route: RouteSettings, severity: str, life: list[tuple[str, float]]
) -> None:
    """Every notice is looked at when it is due, against the incident as it stands then; in the order of sending."""
    history = lived(route, severity, life)
    everything = sorted(
        (notice for _, _, decided, _ in history for notice in decided), key=lambda n: (n.not_before, n.at)
    )
    sent: dict[str, float] = {}
    for notice in everything:
        standing = [about for now, about, _, _ in history if now <= notice.not_before][-1]
        if obsolete(notice, standing, sent) is None:
            sent[notice.key] = notice.at
            held = notice.not_before > notice.at
            assert not (held and notice.event in TELLING and standing.state is State.RESOLVED)
            if notice.event in {"resolved", "acknowledged", "joined"}:
                assert any(Key.parse(key).channel == notice.channel for key in sent)
