"""Are docstrings of every usual style understood?"""

import unittest

from affectflow import docs


def plain():
    """Counts words.

    More of it, with a colon: not an option.

    limit: most words
        that are counted.
    - `rate`: how fast
    """


def google():
    """Counts words.

    Args:
        limit (int): most words
            that are counted.
        rate: how fast

    Returns:
        frame: nothing of ours
    """


def sphinx():
    """Counts words.

    :param limit: most words
        that are counted.
    :param float rate: how fast
    :return: nothing of ours
    """


def numpy():
    """Counts words.

    Parameters
    ----------
    limit : int, optional
        most words
        that are counted.
    rate
        how fast
    """


class Styles(unittest.TestCase):
    def test_all_say_the_same(self) -> None:
        for function in (plain, google, sphinx, numpy):
            with self.subTest(function.__name__):
                found = docs.read(function)
                self.assertEqual(found.summary, "Counts words")
                self.assertEqual(found.options["limit"], "most words that are counted")
                self.assertEqual(found.options["rate"], "how fast")

    def test_none(self) -> None:
        self.assertEqual(docs.read(lambda: None), docs.Doc())


if __name__ == "__main__":
    unittest.main()
