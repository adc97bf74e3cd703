"""Types of settings whose values are checked as soon as they are set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from traitlets import Dict, TraitError, Unicode

from .kernels.specs import PROFILE_NAME

#: What of a profile is no Spark property: the names of its users.
PROFILE_USERS = "users"


class ParsedText(Unicode):  # type: ignore[type-arg]
    """A text that is empty, or that `parse` takes, which raises ValueError for any other."""

    def __init__(self, parse: Callable[[str], object], help: str) -> None:
        super().__init__("", help=help)
        self._parse = parse

    def validate(self, obj: Any, value: Any) -> str:
        """Return the text. Raises TraitError with the name of the trait."""
        text: str = super().validate(obj, value)
        try:
            if text:
                self._parse(text)
        except ValueError as error:
            raise TraitError(f"{self.name}: {error}") from error
        return text


class Profiles(Dict):
    """Spark properties, by names that may be part of a kernelspec's."""

    def __init__(self, help: str) -> None:
        super().__init__(value_trait=Dict(), help=help)

    def validate(self, obj: Any, value: Any) -> Any:
        """Return the profiles. Raises TraitError with the name of the trait."""
        profiles = super().validate(obj, value)
        for name, profile in (profiles or {}).items():
            if not isinstance(name, str) or not PROFILE_NAME.fullmatch(name):
                raise TraitError(
                    f"{self.name}: {name!r} can't be part of a kernel's name; use letters, digits, - . and _"
                )
            users = profile.get(PROFILE_USERS, [])
            if not isinstance(users, (str, list, tuple, set)) or not all(isinstance(user, str) for user in users):
                raise TraitError(f"{self.name}: {PROFILE_USERS!r} of {name!r} must be a list of names, not {users!r}")
        return profiles
