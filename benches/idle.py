"""What does a run cost that has nothing to do?

100 stages in a row, all done before. Ours twice: the program on shipped kinds (a folder of 100 pictures, then filters that
keep them all), and the engine alone in a running process on 99 map stages of 100 stored rows each. DVC and Snakemake copy
one small file from stage to stage. What `--version` takes is subtracted from every program.
"""

from common import Engine, in_turns, peer, png, process, program, times

NUMBER = 100


def measure(folder, stages, turns):
    ours = pipeline(folder / "ours", stages)
    theirs = {"DVC": (dvc(folder / "dvc", stages), "dvc", ["repro", "--quiet"])}
    theirs["Snakemake"] = (snakemake(folder / "snakemake", stages), "snakemake", ["--cores", "1", "--quiet", "all"])
    affectflow = program(folder)
    with Engine(folder, "idle", stages) as engine:
        sides = {
            "affectflow": lambda: process(affectflow, "run", "--quiet", cwd=ours),
            "engine alone, maps": lambda: engine.cost("again"),
        }
        starts = {"affectflow": lambda: process(affectflow, "--version", cwd=ours)}
        for name, (where, word, arguments) in theirs.items():
            tool = peer(word)
            sides[name] = lambda tool=tool, arguments=arguments, where=where: process(tool, *arguments, cwd=where)
            starts[name] = lambda tool=tool, where=where: process(tool, "--version", cwd=where)
        costs = in_turns(sides | {f"{name} --version": work for name, work in starts.items()}, turns)
    start = {name: costs.pop(f"{name} --version") for name in starts}
    print(f"{stages} stages with nothing to do\n")
    times(costs, "affectflow", start)


def pipeline(folder, stages):
    """Shipped kinds; returns the folder."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    for at in range(100):
        (pictures / f"{at}.png").write_bytes(png(at))
    lines = ["version: 1", "pipelines:", "  idle:", "    stages:"]
    lines += ["      pictures: { kind: ingest, config: { source: folder, path: pictures, domain: target } }"]
    lines += [f"      keep-{at}: {{ kind: filter, config: {{ where: {{ domain: target }} }} }}" for at in range(1, stages)]
    (folder / "pipelines.yaml").write_text("\n".join(lines) + "\n")
    return folder


def dvc(folder, stages):
    folder.mkdir()
    (folder / "0.txt").write_text("first\n")
    process(peer("dvc"), "init", "--no-scm", "--quiet", cwd=folder)
    lines = ["stages:"]
    for at in range(1, stages + 1):
        lines += [f"  s{at}:", f"    cmd: cp {at - 1}.txt {at}.txt", f"    deps: [{at - 1}.txt]", f"    outs: [{at}.txt]"]
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    return folder


def snakemake(folder, stages):
    folder.mkdir()
    (folder / "0.txt").write_text("first\n")
    rules = [f"rule all:\n    input: '{stages}.txt'\n"]
    for at in range(1, stages + 1):
        rules += [f"rule s{at}:\n    input: '{at - 1}.txt'\n    output: '{at}.txt'\n    shell: 'cp {{input}} {{output}}'\n"]
    (folder / "Snakefile").write_text("\n".join(rules))
    return folder
