"""Stages for affectflow pipelines, written in Python.

import affectflow as af
import polars as pl

@af.map(reads={"caption": "utf8"}, adds={"words": af.Column("uint32", "words of the text")})
def words(rows: pl.DataFrame, *, limit: int = 1000) -> pl.DataFrame:
    \"\"\"Counts the words of a caption

    limit: most words that are counted
    \"\"\"
    return rows.select(words=pl.col("caption").str.split(" ").list.len().clip(0, limit))

if __name__ == "__main__":
    af.main()
"""

# First of all, so that nothing that is imported after it can write into the conversation.
from . import stdio as _stdio  # noqa: F401  isort: skip

from . import testing
from .call import RowFailed, fail, progress, warn
from .declare import map, table
from .errors import DeclarationError, OptionError, ResultError
from .main import main
from .markers import Column, Length, Neutral, Range, Unit, option
from .project import depends_on
from .tensors import tensor
from .version import VERSION as __version__

__all__ = [
    "Column",
    "DeclarationError",
    "Length",
    "Neutral",
    "OptionError",
    "Range",
    "ResultError",
    "RowFailed",
    "Unit",
    "__version__",
    "depends_on",
    "fail",
    "main",
    "map",
    "option",
    "progress",
    "table",
    "tensor",
    "testing",
    "warn",
]
