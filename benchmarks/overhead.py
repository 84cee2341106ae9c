"""What ask and tell cost per evaluation, against a memory floor and other libraries, all in one process and one run.

    python benchmarks/overhead.py              everything, about two minutes
    python benchmarks/overhead.py gradient     SPSA and FZOO against the floor
    python benchmarks/overhead.py cma          CMA-ES against cmaes.CMA and pycma
    python benchmarks/overhead.py sep          SepCMA-ES against cmaes.SepCMA: time and peak memory

The floor is the least that a step with two probes must do: draw d signs delta, write x + c delta and x - c delta, one
axpy. Per evaluation it is half of that. It is written as fast as we know: raw bits through a table of 256 x 8 signs,
in blocks that stay in the cache, into buffers made beforehand. Times are CPU time, one thread, the fastest of several
rounds that take turns.
"""

import argparse
import itertools
import time
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import blas
from threadpoolctl import threadpool_limits

import zoo_opt as zo

BLOCK = 1 << 15


def floor(dim: int, dtype: type) -> tuple[Callable[[], None], int]:
    """A function that does the floor's work for one pair, and the evaluations (2) that this stands for."""
    axpy = {np.float64: blas.daxpy, np.float32: blas.saxpy}[dtype]
    random_raw = np.random.PCG64(0).random_raw
    signs = 1 - 2 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(dtype)
    table = (dtype(1e-3) * signs).astype(dtype)  # c delta, eight at a time
    x, plus, minus = np.zeros(dim, dtype), np.empty(dim, dtype), np.empty(dim, dtype)
    words = -(-dim // 64)
    eights = -(-dim // 8)
    if dim <= BLOCK:
        c_delta = np.empty((eights, 8), dtype)
        flat = c_delta.reshape(-1)[:dim]

        def pair() -> None:
            np.take(table, random_raw(words).view(np.uint8)[:eights], 0, c_delta, "clip")
            np.add(x, flat, plus)
            np.subtract(x, flat, minus)
            axpy(flat, x, dim, 1e-3)

        return pair, 2

    c_delta = np.empty((BLOCK // 8, 8), dtype)
    blocks = []
    for start in range(0, dim, BLOCK):
        n = min(BLOCK, dim - start)
        rows = -(-n // 8)
        cut = slice(start, start + n)
        bits = slice(start // 8, start // 8 + rows)
        blocks.append((n, bits, c_delta[:rows], c_delta[:rows].reshape(-1)[:n], x[cut], plus[cut], minus[cut]))

    def pair_in_blocks() -> None:
        raw = random_raw(words).view(np.uint8)
        for n, bits, rows, flat, part, above, below in blocks:
            np.take(table, raw[bits], 0, rows, "clip")
            np.add(part, flat, above)
            np.subtract(part, flat, below)
            axpy(flat, part, n, 1e-3)

    return pair_in_blocks, 2


def losses(n: int) -> Callable[[], np.ndarray]:
    """A source of n random losses that costs next to nothing."""
    return itertools.cycle(np.random.default_rng(0).random((64, n))).__next__


def ours(method: Any, dim: int, dtype: type = np.float64) -> tuple[Callable[[], None], int]:
    """One ask and tell of ours, and its evaluations."""
    opt = zo.Optimizer(method, np.zeros(dim, dtype), rng=0)
    n = len(opt.ask())
    some = losses(n)

    def step() -> None:
        batch = opt.ask()
        opt.tell(batch, some())

    return step, n


def theirs(name: str, dim: int) -> tuple[Callable[[], None], int]:
    """One generation of a peer called directly, without our adapter."""
    if name == "pycma":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import cma
        es = cma.CMAEvolutionStrategy(np.zeros(dim), 1.0, {"verbose": -9, "seed": 1, "verb_log": 0})
        some = losses(es.popsize)

        def generation() -> None:
            es.tell(es.ask(), some().tolist())

        return generation, es.popsize
    import cmaes

    opt = getattr(cmaes, name)(mean=np.zeros(dim), sigma=1.0, seed=1)
    some = losses(opt.population_size)

    def step() -> None:
        X = [opt.ask() for _ in range(opt.population_size)]
        opt.tell(list(zip(X, some().tolist(), strict=True)))

    return step, opt.population_size


def measure(
    cases: dict[str, tuple[Callable[[], None], int]], *, rounds: int = 7, seconds: float = 0.06
) -> dict[str, float]:
    """Microseconds of CPU time per evaluation: the fastest of `rounds` turns of about `seconds` each."""
    repeats = {}
    for name, (step, _) in cases.items():
        step()
        start = time.process_time()
        step()
        repeats[name] = max(1, int(seconds / max(time.process_time() - start, 1e-7)))
    fastest = dict.fromkeys(cases, np.inf)
    for _ in range(rounds):
        for name, (step, evaluations) in cases.items():
            start = time.process_time()
            for _ in range(repeats[name]):
                step()
            spent = time.process_time() - start
            fastest[name] = min(fastest[name], 1e6 * spent / repeats[name] / evaluations)
    return fastest


def verdict(text: str, ratio: float, limit: float, *, at_least: bool = False) -> None:
    """Print a ratio against what it should be."""
    good = ratio >= limit if at_least else ratio <= limit
    sign = ">=" if at_least else "<="
    print(f"    {text:<46} {ratio:8.2f}   expected {sign} {limit:g}   {'ok' if good else 'MISSED'}", flush=True)


def gradient() -> None:
    """SPSA with Rademacher draws and FZOO against the floor."""
    print("gradient family: microseconds per evaluation, and times the floor")
    for dtype in (np.float64, np.float32):
        for dim in (10, 100, 1_000, 10_000, 100_000, 1_000_000):
            times = measure(
                {
                    "floor": floor(dim, dtype),
                    "SPSA": ours(zo.SPSA(lr=1e-6, c=1e-3, draws=zo.Rademacher()), dim, dtype),
                    "FZOO": ours(zo.FZOO(lr=1e-6, c=1e-3), dim, dtype),
                }
            )
            print(f"  {dtype.__name__} d={dim:<8,} " + "  ".join(f"{k} {v:.2f}" for k, v in times.items()))
            if dim != 1_000:
                limit = 8 if dim <= 100 else 2.5
                for name in ("SPSA", "FZOO"):
                    verdict(f"{name} / floor", times[name] / times["floor"], limit)


def cma_es() -> None:
    """CMA-ES against cmaes.CMA, and against pycma in 1000-D."""
    print("CMA-ES: microseconds per evaluation, and how many times faster")
    for dim, limit in ((10, 3), (40, 3), (100, 8)):
        times = measure({"zoo-opt": ours(zo.CMAES(sigma0=1.0), dim), "cmaes.CMA": theirs("CMA", dim)}, seconds=0.25)
        print(f"  d={dim:<5} " + "  ".join(f"{k} {v:.1f}" for k, v in times.items()))
        verdict("cmaes.CMA / zoo-opt", times["cmaes.CMA"] / times["zoo-opt"], limit, at_least=True)
    # many generations at a time: both decompose the covariance only now and then
    times = measure(
        {"zoo-opt": ours(zo.CMAES(sigma0=1.0), 1000), "pycma": theirs("pycma", 1000)}, rounds=2, seconds=8.0
    )
    print("  d=1000  " + "  ".join(f"{k} {v:.1f}" for k, v in times.items()))
    verdict("pycma / zoo-opt", times["pycma"] / times["zoo-opt"], 1, at_least=True)


def separable() -> None:
    """SepCMA-ES against cmaes.SepCMA in 100,000-D."""
    print("SepCMA-ES, d=100,000")
    dim = 100_000
    times = measure({"zoo-opt": ours(zo.SepCMAES(sigma0=1.0), dim), "cmaes.SepCMA": theirs("SepCMA", dim)}, seconds=1.0)
    print("  µs per evaluation: " + "  ".join(f"{k} {v:.0f}" for k, v in times.items()))
    verdict("cmaes.SepCMA / zoo-opt", times["cmaes.SepCMA"] / times["zoo-opt"], 4, at_least=True)
    peak = {
        "zoo-opt": peak_memory(lambda: ours(zo.SepCMAES(sigma0=1.0), dim)),
        "cmaes.SepCMA": peak_memory(lambda: theirs("SepCMA", dim)),
    }
    print("  peak memory over 30 generations: " + "  ".join(f"{k} {v / 1e6:.0f} MB" for k, v in peak.items()))
    verdict("memory, zoo-opt / cmaes.SepCMA", peak["zoo-opt"] / peak["cmaes.SepCMA"], 1 / 3)


def peak_memory(make: Callable[[], tuple[Callable[[], None], int]]) -> int:
    """Bytes that Python and numpy held at the highest moment of construction and 30 generations."""
    tracemalloc.start()
    step, _ = make()
    for _ in range(30):
        step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main() -> None:
    """Run what was asked for."""
    parts = {"gradient": gradient, "cma": cma_es, "sep": separable}
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(parts)} (default: all)")
    chosen = arguments.parse_args().parts or list(parts)
    if unknown := set(chosen) - set(parts):
        arguments.error(f"PART must be among {', '.join(parts)}, got {', '.join(sorted(unknown))}")
    with threadpool_limits(1):
        for name in chosen:
            parts[name]()


if __name__ == "__main__":
    main()
