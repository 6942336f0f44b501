"""How do type hints become options? Each hint knows its JSON Schema, reads a value from JSON and writes one back."""

from .hint import Hint
from .read import read
from .records import MISSING, Entry, Record

__all__ = ["MISSING", "Entry", "Hint", "Record", "read"]
