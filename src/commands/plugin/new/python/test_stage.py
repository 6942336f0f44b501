"""Does the stage do what it should? Driven over the protocol that the program speaks."""

import sys
import unittest

import affectflow as af


class Words(unittest.TestCase):
    def test_words_are_counted_up_to_the_limit(self) -> None:
        with af.testing.Plugin([sys.executable, "KIND.py"]) as plugin:
            answer = plugin.run("KIND", {"limit": 2}, {"text": ["one two three", "", None]})
        self.assertEqual(answer.columns["KIND"].to_pylist(), [2, 0, None])
        self.assertEqual(answer.failures, {2: "there is no text"})


if __name__ == "__main__":
    unittest.main()
