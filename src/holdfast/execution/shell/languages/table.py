"""What the API knows of languages: names, files and defaults, from the profiles alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from holdfast.execution.shell.languages.profile import LanguageDefaults, Profile, load_profiles

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLanguage:
    """A language that a job may name; whether a worker can run it is for the workers to say."""

    name: str
    title: str
    file: str
    """What a single source is called when the job does not say."""
    aliases: tuple[str, ...]
    extensions: tuple[str, ...]
    compiled: bool
    heavy: bool
    packages: str
    """Debian packages that bring it, separated by spaces."""
    limits: LanguageDefaults
    """Defaults that differ from the general ones."""


@cache
def known_languages(directory: str | None = None) -> Mapping[str, KnownLanguage]:
    """All languages by name (not alias), sorted. Read once per ``directory`` (``execution.worker.profiles``).

    Raises :class:`~.errors.ProfileError` as :func:`~.profile.load_profiles` does.
    """
    return {name: _known(profile) for name, profile in sorted(load_profiles(directory).items())}


def _known(profile: Profile) -> KnownLanguage:
    return KnownLanguage(
        name=profile.name,
        title=profile.title,
        file=profile.file,
        aliases=profile.aliases,
        extensions=profile.extensions,
        compiled=profile.compiled,
        heavy=profile.compiled if profile.heavy is None else profile.heavy,
        packages=profile.toolchains[0].package,
        limits=profile.limits,
    )


def language_of(file: str, languages: Mapping[str, KnownLanguage]) -> str | None:
    """The language that a file's extension stands for."""
    return next((known.name for known in languages.values() if file.endswith(known.extensions)), None)


def named(name: str, languages: Mapping[str, KnownLanguage]) -> KnownLanguage | None:
    """A language by its name or one of its aliases, in any case."""
    wanted = name.lower()
    return next((known for known in languages.values() if wanted in (known.name, *known.aliases)), None)
