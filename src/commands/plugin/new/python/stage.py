"""The kind `KIND`: how many words has a text?"""

import affectflow as af


@af.map(
    reads={af.option("column"): "utf8"},
    adds={"KIND": af.Column("uint32", "words of the text, at most `limit`")},
    version=1,
)
def KIND(rows: list[dict], *, column: str = "text", limit: int = 1000) -> list:
    """Counts the words of a text

    column: column of text to measure
    limit: most words that are counted
    """
    counts = []
    for number, row in enumerate(rows):
        if row[column] is None:
            # A row that fails goes to quarantine, the others go on.
            af.fail(number, "there is no text")
            counts.append(None)
        else:
            counts.append(min(len(row[column].split()), limit))
    return counts


if __name__ == "__main__":
    af.main()
