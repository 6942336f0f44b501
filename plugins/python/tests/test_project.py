"""Are all files and packages of a plugin found, and none too many? Does their identity stay when nothing of them changes?"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy

FILES = {
    "mine.py": """
        import json, queue
        import affectflow as af
        import pyarrow as pa
        from helpers import words
        LEXICON = af.depends_on("data")

        @af.map(adds={"m": "int32"})
        def mine(rows):
            import late.inner
            return words.count(rows)

        if __name__ == "__main__":
            af.main()
    """,
    "helpers/__init__.py": "from . import deep\nfrom .star import *",
    "helpers/words.py": "from .deep.er import x\ncount = len\n\ndef never():\n    from ..helpers import out\n    import not_there",
    "helpers/deep/__init__.py": "",
    "helpers/deep/er.py": "x = 1",
    "helpers/star/__init__.py": "__all__ = ['one']",
    "helpers/star/one.py": "def f():\n    import importlib\n    return importlib.import_module('by_name')",
    "helpers/unused.py": "",
    "late/inner.py": "import numpy.linalg",
    "by_name.py": "def broken(:",
    "unused.py": "",
    "data/lexicon.txt": "words",
    "data/more/weights.bin": "w",
}

NAMES = [
    "by_name.py",
    "data/lexicon.txt",
    "data/more/weights.bin",
    "helpers/__init__.py",
    "helpers/deep/__init__.py",
    "helpers/deep/er.py",
    "helpers/star/__init__.py",
    "helpers/star/one.py",
    "helpers/words.py",
    "late/inner.py",
    "mine.py",
]


def lay(folder: Path, files: dict[str, str]) -> Path:
    """Writes files below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.strip("\n").splitlines()
        indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
        path.write_text("\n".join(line[indent:] for line in lines) + "\n")
    return folder


def manifest(command: list[str], folder: Path, **environment: str) -> dict:
    """What a plugin says of itself."""
    done = subprocess.run(
        [sys.executable, *command, "--manifest"],
        cwd=folder,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def identity(said: dict) -> tuple:
    """The names and contents of the files, and the packages: what counts."""
    digest = {one["name"]: hashlib.sha256(Path(one["path"]).read_bytes()).hexdigest() for one in said["files"]}
    return digest, said["packages"]


class Project(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_every_file_and_none_too_many(self) -> None:
        said = manifest(["mine.py"], lay(self.folder, FILES))
        self.assertEqual([one["name"] for one in said["files"]], NAMES)
        self.assertEqual(set(said["packages"]), {"numpy", "pyarrow"})
        self.assertEqual(said["packages"]["numpy"], numpy.__version__)

    def test_script_module_and_server_say_the_same(self) -> None:
        lay(self.folder, FILES)
        wanted = identity(manifest(["mine.py"], self.folder))
        self.assertEqual(identity(manifest(["-m", "mine"], self.folder)), wanted)
        self.assertEqual(identity(manifest([str(self.folder / "mine.py")], Path("/"))), wanted)
        self.assertEqual(identity(manifest(["-m", "affectflow", "serve", "mine"], self.folder)), wanted)
        self.assertEqual(identity(manifest(["-m", "affectflow", "serve", "mine.py"], self.folder)), wanted)

    def test_the_folder_may_move(self) -> None:
        before = identity(manifest(["mine.py"], lay(self.folder / "here", FILES)))
        shutil.move(self.folder / "here", self.folder / "there")
        self.assertEqual(identity(manifest(["mine.py"], self.folder / "there")), before)

    def test_an_edit_shows(self) -> None:
        lay(self.folder, FILES)
        before = identity(manifest(["mine.py"], self.folder))
        (self.folder / "helpers/deep/er.py").write_text("x = 2\n")
        after = identity(manifest(["mine.py"], self.folder))
        changed = [name for name in before[0] if before[0][name] != after[0][name]]
        self.assertEqual(changed, ["helpers/deep/er.py"])

    def test_a_package_of_stages(self) -> None:
        files = {
            "pack/__init__.py": "",
            "pack/__main__.py": "import affectflow as af\nfrom . import stages\naf.main()",
            "pack/stages.py": "import affectflow as af\nfrom .util import n\n\n@af.map(adds={'m': 'int32'})\ndef one(rows): ...",
            "pack/util.py": "n = 1",
        }
        said = manifest(["-m", "pack"], lay(self.folder, files))
        names = ["pack/__init__.py", "pack/__main__.py", "pack/stages.py", "pack/util.py"]
        self.assertEqual([one["name"] for one in said["files"]], names)
        self.assertEqual(said["packages"], {})

    def test_installed_or_not_is_the_same(self) -> None:
        files = {
            "pack/__init__.py": "",
            "pack/__main__.py": "import affectflow as af\nfrom . import stages\naf.main()",
            "pack/stages.py": "import affectflow as af\nimport other, loose\n\n@af.map(adds={'m': 'int32'})\ndef one(rows): ...",
        }
        others = {
            "other/__init__.py": "def never():\n    import far_away",
            "other-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: other\nVersion: 1.2",
            "loose.py": "# published without metadata: it counts by its content",
        }
        site = self.folder / "lib/site-packages"
        lay(site, others)
        beside = manifest(["-m", "pack"], lay(self.folder / "work", files), PYTHONPATH=_path(site))
        lay(site, files)
        installed = manifest(["-m", "pack"], self.folder, PYTHONPATH=_path(site))
        self.assertEqual(identity(installed), identity(beside))
        self.assertEqual(installed["packages"], {"other": "1.2"})
        names = ["loose.py", "pack/__init__.py", "pack/__main__.py", "pack/stages.py"]
        self.assertEqual([one["name"] for one in installed["files"]], names)
        self.assertIn("site-packages", installed["files"][1]["path"])

    def test_a_module_named_as_one_of_pythons(self) -> None:
        files = {
            "mine.py": "import statistics\nimport affectflow as af\n\n@af.map(adds={'m': 'int32'})\ndef one(rows): ...\n\naf.main()",
            "statistics.py": "",
        }
        said = manifest(["mine.py"], lay(self.folder, files))
        self.assertEqual([one["name"] for one in said["files"]], ["mine.py", "statistics.py"])

    def test_what_is_not_there(self) -> None:
        files = {"mine.py": "import affectflow as af\naf.depends_on('nothing.txt')"}
        done = subprocess.run([sys.executable, "mine.py"], cwd=lay(self.folder, files), capture_output=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"which `depends_on` names", done.stderr)


def _path(*folders: Path) -> str:
    """These folders, then those of this process."""
    return os.pathsep.join([*map(str, folders), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


if __name__ == "__main__":
    unittest.main()
