"""Languages by profile: what this machine offers, and what a job of each becomes in a sandbox."""

from holdfast.execution.shell.languages.detection import Installed, Runtime, detect, offered
from holdfast.execution.shell.languages.errors import ProfileError
from holdfast.execution.shell.languages.planning import Plan, plan
from holdfast.execution.shell.languages.profile import LanguageDefaults, Profile, Toolchain, load_profiles
from holdfast.execution.shell.languages.table import KnownLanguage, known_languages

__all__ = [
    "Installed",
    "KnownLanguage",
    "LanguageDefaults",
    "Plan",
    "Profile",
    "ProfileError",
    "Runtime",
    "Toolchain",
    "detect",
    "known_languages",
    "load_profiles",
    "offered",
    "plan",
]
