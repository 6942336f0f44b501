"""What does a person see who starts a plugin in a terminal?"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import affectflow as af
from common import STAGES

WORDS = '''
import affectflow as af

@af.map(reads={af.option("column"): "utf8"}, adds={"words": af.Column("uint32", "words of the text")})
def words(rows: list[dict], *, column: str = "caption", limit: int) -> list[int]:
    """Counts words.

    limit: most words that are counted
    """
    return [len(row[column].split()[:limit]) for row in rows]

if __name__ == "__main__":
    af.main()
'''


def ran(*arguments: str, folder: str | os.PathLike = STAGES) -> subprocess.CompletedProcess:
    """A process of Python's, ended."""
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


class Package(unittest.TestCase):
    def test_one_version(self) -> None:
        project = (Path(__file__).parents[1] / "pyproject.toml").read_text()
        self.assertIn(f'version = "{af.__version__}"', project)


class ByHand(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "mine.py").write_text(WORDS)

    def test_the_kinds_and_how_to_use_them(self) -> None:
        for command in (["mine.py"], ["-m", "mine"]):
            done = ran(*command, folder=self.folder)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("words (map, version 1): Counts words\n", done.stdout)
            self.assertIn("  reads    (option column) utf8\n", done.stdout)
            self.assertIn("  adds     words uint32: words of the text\n", done.stdout)
            self.assertIn('column string, default "caption"\n', done.stdout)
            self.assertIn("limit integer, required: most words that are counted\n", done.stdout)
            self.assertIn(f"- command: {json.dumps(['python', *command])}\n", done.stdout)

    def test_the_manifest(self) -> None:
        done = ran("mine.py", "--manifest", folder=self.folder)
        said = json.loads(done.stdout)
        self.assertEqual(said["kinds"][0]["reads"], [{"option": "column", "type": "utf8"}])
        self.assertEqual([one["name"] for one in said["files"]], ["mine.py"])

    def test_wrong_use(self) -> None:
        for command, words in (
            (["mine.py", "--serve"], "unknown argument `--serve`"),
            (["-m", "affectflow"], "usage: python -m affectflow serve MODULE"),
            (["-c", "import affectflow; affectflow.main([])"], "no stage is declared"),
        ):
            done = ran(*command, folder=self.folder)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(words, done.stderr)

    def test_a_wrong_declaration_says_which_stage(self) -> None:
        (self.folder / "mine.py").write_text(WORDS.replace("limit: int)", "limit)"))
        done = ran("mine.py", folder=self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("stage `words`: option `limit` needs a type hint", done.stderr)


if __name__ == "__main__":
    unittest.main()
