"""Lives and deaths of `zoo-opt-seg adapt`, for test_adapt_kill.py: one process imports everything, and forks.

``python killing.py random OUT KILLS SEED``: SIGKILL at random moments. ``python killing.py lines OUT POINTS``: the end
without any clean-up before chosen lines of our code. Prints JSON.
"""

import contextlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from zoo_opt_seg import cli  # noqa: E402

WATCHED = tuple(
    str(HERE.parents[1] / name) for name in ("zoo_opt_seg/adaptation/", "zoo_opt/storage/", "zoo_opt/resume.py")
)


COMMAND = ["adapt", "--model", "tiny_box:factory", "--size", "24", "--data", "tiny_box:splits", "--quiet"]
BRIEF = ["--calls", "60", "--batch", "3", "-o", "sigma0=0.1", "-o", "popsize=4", "--validate", "2"]
BRIEF += ["--validation-images", "5", "--repeats", "1"]


def born(out: Path, log: Path, delay: float, settings: list[str], after: int = 0, count: Path | None = None) -> int:
    """Fork a process that adapts; ``after``: it ends before that line of ours, ``count``: it writes down how many."""
    pid = os.fork()
    if pid:
        return pid
    os.environ.update(BOX_LOG=str(log), BOX_DELAY=str(delay))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    lines = 0

    def local(frame, event, argument):
        nonlocal lines
        if event == "line":
            lines += 1
            if lines == after:
                os._exit(9)
        return local

    def called(frame, event, argument):
        return local if frame.f_code.co_filename.startswith(WATCHED) else None

    if after or count:
        sys.settrace(called)
    status = cli.main([*COMMAND, *settings, "--out", str(out)])
    sys.settrace(None)
    if count:
        count.write_text(str(lines))
    os._exit(status)


def asked(log: Path) -> int:
    """Questions that the black box was asked."""
    return len(log.read_text().splitlines()) if log.exists() else 0


def outcome(out: Path) -> dict:
    """What must be the same however often a run was killed."""
    import numpy as np

    from zoo_opt_seg.visual_prompts import load_prompt

    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    log.append(json.loads((out / "metrics.json").read_text()))
    for line in log:
        line.pop("seconds", None)
    shown = [(out / name).exists() for name in ("panel.png", "index.html")]
    x, last = load_prompt(out / "prompt.npz").x, np.load(out / "state" / "last.npy")
    return {"x": x.tobytes().hex(), "last": last.tobytes().hex(), "log": log, "shown": shown}


def at_random(out: Path, kills: int, seed: int) -> dict:
    """Kill by SIGKILL a little after a random number of questions of each life."""
    settings = ["--calls", "330", "--batch", "3", "-o", "sigma0=0.1", "--validate", "4", "--repeats", "2"]
    os.waitpid(born(out / "whole", out / "whole.log", 0.002, settings), 0)
    rng, died, log = random.Random(seed), 0, out / "cut.log"
    while True:
        pid = born(out / "cut", log, 0.002, settings)
        start, target = time.monotonic(), asked(log) + rng.randint(0, 8)
        ended = 0
        while died < kills and not ended and (asked(log) < target and time.monotonic() - start < 20):
            ended, status = os.waitpid(pid, os.WNOHANG)
        if died < kills and not ended:
            time.sleep(rng.uniform(0, 0.012))
            os.kill(pid, signal.SIGKILL)
            died += 1
        if not ended:
            _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            break
    found = {"kills": died, "status": os.WEXITSTATUS(status), "asked": [asked(out / "whole.log"), asked(log)]}
    return found | {name: outcome(out / name) for name in ("whole", "cut")}


def before_lines(out: Path, points: int) -> dict:
    """End before evenly spaced lines of our own code, and start again."""
    settings = [*BRIEF, "--test-images", "3"]
    os.waitpid(born(out / "whole", out / "whole.log", 0, settings, count=out / "lines"), 0)
    lines = int((out / "lines").read_text())
    whole, wrong = outcome(out / "whole"), []
    for k in range(points):
        after = 1 + (2 * k + 1) * lines // (2 * points)
        folder, log = out / f"cut{k}", out / f"cut{k}.log"
        _, status = os.waitpid(born(folder, log, 0, settings, after=after), 0)
        _, again = os.waitpid(born(folder, log, 0, settings), 0)
        extra = asked(log) - asked(out / "whole.log")
        if os.WEXITSTATUS(status) != 9 or again or extra > 1 or outcome(folder) != whole:
            wrong.append([after, status, again, extra])
    return {"lines": lines, "wrong": wrong}


if __name__ == "__main__":
    torch.set_num_threads(1)
    kind, out, *numbers = sys.argv[1:]
    with open(os.devnull, "w") as silence, contextlib.redirect_stdout(silence):
        cli.main([*COMMAND, *BRIEF, "--out", f"{out}/first"])  # everything is imported once, before the forks
    found = (at_random if kind == "random" else before_lines)(Path(out), *map(int, numbers))
    print(json.dumps(found))
