"""How long does it take to find that one of 20,000 files changed?

A folder of 20,000 small pictures (of 100 contents, so that preparing takes seconds) runs through `ingest` and `embed`.
Every turn gives one file new bytes, and then times a whole process: ours `affectflow plan`, which lists the folder, looks at
size, time and inode of every file, reads the changed one, looks up 20,000 keys and says that one row is to be computed.
DVC: `dvc status` of a stage that depends on the folder. Snakemake: `snakemake --dry-run` of one rule on all files (a rule a
file would be nearer to ours and takes minutes). Then every side runs, off the clock, so that the next turn is alike.
"""

import json
import os

from common import in_turns, peer, png, process, program, times

NUMBER = 20_000
CONTENTS = 100


def measure(folder, files, turns):
    affectflow = program(folder)
    sides = {
        "affectflow plan": Ours(folder / "ours", files, affectflow),
        "dvc status": Dvc(folder / "dvc", files),
        "snakemake --dry-run": Snakemake(folder / "snakemake", files),
    }
    walk = lambda: process("find", "pictures", "-newer", "pipelines.yaml", cwd=folder / "ours")
    print(f"1 of {files:,} files changed; `find -newer` only looks at the times of all files\n")
    works = {name: side.turn for name, side in sides.items()} | {"find -newer": walk}
    times(in_turns(works, turns), "affectflow plan")


class Side:
    """A folder of pictures, one of which changes every turn."""

    def __init__(self, folder, files):
        self.folder, self.changes = folder, 0
        pictures = folder / "pictures"
        pictures.mkdir(parents=True)
        contents = [png(at) for at in range(CONTENTS)]
        for at in range(files):
            path = pictures / f"{at:05}.png"
            path.write_bytes(contents[at % CONTENTS])
            # Written long ago, as far as anybody can see.
            os.utime(path, (1_700_000_000, 1_700_000_000))
        self.prepare()
        self.settle()

    def turn(self):
        self.changes += 1
        (self.folder / "pictures" / f"{self.changes * 37:05}.png").write_bytes(png(CONTENTS + self.changes))
        cost = self.find()
        self.settle()
        return cost


class Ours(Side):
    def __init__(self, folder, files, affectflow):
        self.affectflow = affectflow
        super().__init__(folder, files)

    def prepare(self):
        (self.folder / "pipelines.yaml").write_text(
            "version: 1\npipelines:\n  changed:\n    stages:\n"
            "      pictures: { kind: ingest, config: { source: folder, path: pictures, domain: target } }\n"
            "      embed: { kind: embed }\n"
        )

    def find(self):
        cost = process(self.affectflow, "plan", "--json", cwd=self.folder)
        stages = [json.loads(line) for line in process.said.splitlines()]
        assert stages[-1]["compute"] == 1, f"not one row to compute: {stages}"
        return cost

    def settle(self):
        process(self.affectflow, "run", "--quiet", cwd=self.folder)


class Dvc(Side):
    def prepare(self):
        process(peer("dvc"), "init", "--no-scm", "--quiet", cwd=self.folder)
        (self.folder / "dvc.yaml").write_text(
            "stages:\n  count:\n    cmd: ls pictures | wc -l > count.txt\n    deps: [pictures]\n    outs: [count.txt]\n"
        )

    def find(self):
        cost = process(peer("dvc"), "status", cwd=self.folder)
        assert "pictures" in process.said, f"`dvc status` sees no change: {process.said}"
        return cost

    def settle(self):
        process(peer("dvc"), "repro", "--quiet", cwd=self.folder)


class Snakemake(Side):
    def prepare(self):
        (self.folder / "Snakefile").write_text(
            "from glob import glob\n"
            "rule count:\n    input: sorted(glob('pictures/*.png'))\n"
            "    output: 'count.txt'\n    shell: 'ls pictures | wc -l > {output}'\n"
        )

    def find(self):
        cost = process(peer("snakemake"), "--dry-run", cwd=self.folder)
        assert "count" in process.said, f"`snakemake --dry-run` sees no change: {process.said}"
        return cost

    def settle(self):
        process(peer("snakemake"), "--cores", "1", "--quiet", "all", cwd=self.folder)
