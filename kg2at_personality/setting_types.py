"""Types of settings whose values are checked as soon as they are set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from traitlets import Dict, TraitError, Unicode

from .kernels.specs import PROFILE_NAME

#: What of a profile is no Spark property: the names of its users.
PROFILE_USERS = "users"
#: What somebody might write for it. Spark's properties begin with "spark.", and what is ignored would shut out nobody.
MISTAKEN_FOR_USERS = frozenset({"users", "user", "admins", "admin"})
#: The bounds that a user may have of their own.
USER_BOUNDS = ("max_cores", "max_kernels")


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
            self._validate_users(name, profile)
        return profiles

    def _validate_users(self, name: str, profile: dict[str, Any]) -> None:
        users = profile.get(PROFILE_USERS, [])
        if not isinstance(users, (str, list, tuple, set)) or not all(isinstance(user, str) for user in users):
            raise TraitError(f"{self.name}: {PROFILE_USERS!r} of {name!r} must be a list of names, not {users!r}")
        for key in profile:
            if key != PROFILE_USERS and str(key).lower() in MISTAKEN_FOR_USERS:
                raise TraitError(
                    f"{self.name}: {key!r} of {name!r} is no Spark property. Who may use it stands in "
                    f"{PROFILE_USERS!r}: a list of names, or 'admins' for administrators alone"
                )


class UserLimits(Dict):
    """Bounds of single users by their names: counts, 0 for no bound."""

    def validate(self, obj: Any, value: Any) -> Any:
        """Return the bounds. Raises TraitError with the name of the trait, and of the user."""
        limits = super().validate(obj, value)
        for user, bounds in (limits or {}).items():
            if not isinstance(user, str) or not user:
                raise TraitError(f"{self.name}: {user!r} is no user's name")
            if not isinstance(bounds, dict) or not all(key in USER_BOUNDS and _is_count(bounds[key]) for key in bounds):
                known = " and ".join(USER_BOUNDS)
                raise TraitError(f"{self.name}: {user!r} may have {known}, whole numbers from 0, not {bounds!r}")
        return limits


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
