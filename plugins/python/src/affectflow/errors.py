"""What can be wrong with a stage, and whose fault is it?"""

from __future__ import annotations


class DeclarationError(Exception):
    """A stage is declared wrongly; raised while its module is imported."""


class OptionError(ValueError):
    """An option has a value that its type hint does not allow."""


class ResultError(Exception):
    """A stage returned what it did not declare."""


class ProtocolError(Exception):
    """The other side says what the contract does not know."""
