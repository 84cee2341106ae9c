"""A kept run on dask, whose worker and then its scheduler is killed (see soak.py)."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from soak_run import PATIENCE, WORKERS, Paid, minimize, seen


class Cluster:
    """A scheduler and two workers, each a process that can be killed."""

    def __init__(self, folder):
        self.file = folder / "scheduler.json"
        self.file.unlink(missing_ok=True)
        place = ["--scheduler-file", str(self.file)]
        self.scheduler = self._started("scheduler", "--port", "0", "--dashboard-address", ":0", "--no-show", *place)
        workers = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
        self.workers = [self._started("worker", *workers, *place) for _ in range(WORKERS)]

    def _started(self, what, *words):
        command = [sys.executable, "-m", "dask", what, *words]
        here = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": here}, **quiet)

    def close(self):
        """Kill what is left."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


def on_dask(folder, method, path, log, out):
    """The run on dask, as a process of its own."""
    import dask
    from distributed import Client

    dask.config.set({"distributed.comm.timeouts.connect": "10s"})
    with Client(scheduler_file=folder / "scheduler.json", timeout=PATIENCE, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=PATIENCE)
        result = minimize(method, client.get_executor(pure=False), Paid(log, 0.01), checkpoint=path)
        Path(out).write_text(json.dumps(seen(result)))


def dask_killed(run, rng):
    """A worker is killed, and the run goes on; the scheduler is killed, and the next call goes on."""
    done = 0
    for victim in ("worker", "scheduler", ""):
        cluster = Cluster(run.folder)
        try:
            before, kept = run.made, run.kept()
            words = [run.folder, run.method, run.path, run.log, run.out]
            process = subprocess.Popen(
                [sys.executable, __file__, *map(str, words)],
                stderr=subprocess.PIPE if victim == "scheduler" else None,
            )
            target, end = before + rng.randint(10, 40), time.monotonic() + PATIENCE
            while run.made < target and process.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
            if process.poll() is None and victim:
                (cluster.workers[0] if victim == "worker" else cluster.scheduler).kill()
                done += 1
            try:
                status = 0
                if victim == "worker":  # on the other one; then the whole process goes
                    target, end = run.made + 20, time.monotonic() + PATIENCE
                    while run.made < target and process.poll() is None and time.monotonic() < end:
                        time.sleep(0.01)
                    run.wrong += run.made < target and process.poll() != 0
                    process.kill()
                process.communicate(timeout=2 * PATIENCE)
                status = process.returncode
            except subprocess.TimeoutExpired:
                print(f"  the run on dask hangs without its {victim}", flush=True)
                run.wrong += 1
                process.kill()
                process.wait()
            if not victim and status:
                run.refused += 1
        finally:
            cluster.close()
        made, new = run.made - before, run.kept() - kept
        flying = run.at_a_time * (2 if victim == "worker" else 1)  # it was killed as well
        run.lost += max(0, made - new - flying)
        run.in_flight += min(max(0, made - new), flying)
        if run.out.exists():
            break
    run.wrong += not run.out.exists() or json.loads(run.out.read_text()) != run.whole
    run.lost = max(run.lost, run.repeated - run.in_flight)
    return done


if __name__ == "__main__":
    on_dask(Path(sys.argv[1]), *sys.argv[2:])
