"""A program as users write it, with the public names alone: `mypy --strict` has nothing to say."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import zoo_opt as zo


def sphere(x: NDArray[np.floating[Any]]) -> float:
    return float(x @ x)


def by_dict(params: dict[str, Any]) -> float:
    return float(params["C"]) + float(params["layers"])


def show(intermediate_result: zo.Result) -> None:
    fun: float = intermediate_result.fun
    newest: float = float(intermediate_result.last.loss.min())
    if fun < 1e-3 or newest < 1e-3:
        raise StopIteration


def by_minimize() -> NDArray[np.floating[Any]]:
    with ThreadPoolExecutor(2) as pool:
        res = zo.minimize(sphere, np.ones(3), method="cma-es", target=1e-9, rng=0, executor=pool, callback=show)
    numbers: list[int] = [res.nfev, res.nit, res.nfail, res.status]
    fun: float = res.fun
    success: bool = res.success
    message: str = res.message
    reasons: dict[str, Any] = res.stop
    failures: dict[str, int] = res.failures
    losses: NDArray[np.float64] = res.history.loss
    reasons_of_failures: list[str] = res.history.failure
    res.history[-10:].to_csv("newest.csv")
    print(losses.mean(), reasons_of_failures, len(res.history), res.history.x.shape)
    print(numbers, fun, success, message.upper(), list(reasons), failures, res["x"])
    return res.x


def by_ask_and_tell(path: Path) -> float:
    method: zo.Method = zo.SPSA(lr=zo.Cosine(0.1, 1e-3, steps=50), c=zo.PowerLaw(0.1), pairs=2)
    opt = zo.Optimizer(method, [1.0, 2.0], bounds=(-5, 5), rng=np.random.default_rng(0), budget=100)
    became: str = opt.tell_known([[0.5, 0.5]], [0.5])
    print(became)
    while not opt.stop():
        batch: zo.Batch = opt.ask()
        losses = [sphere(x) for x in batch]
        half = len(batch) // 2
        opt.tell(batch[:half], losses[:half])
        candidate: zo.Candidate = batch[half]
        opt.tell(candidate, sphere(candidate.x))
        opt.tell(batch.ids[half + 1 :], losses[half + 1 :], sem=None)
    opt.save(path)
    again: zo.Optimizer = zo.Optimizer.load(path)
    best: zo.Best = again.best
    if best.x is not None:
        print(best.x.sum(), best.loss)
    mean: NDArray[np.floating[Any]] = again.mean
    return float(mean.sum()) + again.nfev


def by_space() -> dict[str, Any]:
    space = zo.Space(
        C=zo.Float(1e-3, 1e3, log=True), layers=zo.Int(1, 8), kernel=zo.Choice("rbf", "poly"), shrink=zo.Bool()
    )
    res = zo.minimize(by_dict, space.at(C=1.0), method=zo.CMAES(restarts="ipop"), budget=50, rng=0)
    opt = zo.Optimizer("cma-es", space, rng=0)
    batch = opt.ask()
    opt.tell(batch, [by_dict(params) for params in batch.params])
    opt.tell_failed(opt.ask(1), reason="lost")
    print(res.params["C"], opt.failures, opt.pending)
    params: dict[str, Any] = res.params
    return params


def parts() -> list[str]:
    methods: list[zo.Method] = [
        zo.CMAES(sigma0=0.5, noise=zo.QuadraticModel(), bounds=(np.array([-1.0, -1.0]), np.array([1.0, np.inf]))),
        zo.SepCMAES(sigma0=0.5, popsize=10),
        zo.DDCMAES(),
        zo.FZOO(lr=lambda t: 1e-4 / (t + 1), c="auto", directions=8),
        zo.RandomSubspace(zo.CMAES(), dim=2),
        zo.Auto(),
        zo.make("fzoo"),
    ]
    return [f"{method!r} {type(method).__name__}" for method in methods]


if __name__ == "__main__":
    print(by_minimize(), by_ask_and_tell(Path("run.zoo")), by_space(), parts())
