"""Let a method of zoo-opt choose the parameters of an Optuna study.

Optuna keeps its trials, storage and dashboard; `ZooSampler` proposes the parameters. TPE, Optuna's default, makes as
many trials beside it. The loss here is smooth with a narrow valley across the parameters, which "auto" follows; with
few trials, or parameters that have nothing to do with each other, TPE does well.

Needs the extra `optuna`. More: docs/interop.md.
"""

import math

import optuna

from zoo_opt.interop.optuna import ZooSampler


def objective(trial: optuna.Trial) -> float:
    """Return the validation loss of an imagined training, 0.1 at best: rate, decay and momentum must fit together."""
    rate = math.log10(trial.suggest_float("rate", 1e-5, 1.0, log=True) / 1e-2)
    decay = math.log10(trial.suggest_float("decay", 1e-6, 1e-1, log=True) / 1e-4)
    momentum = trial.suggest_float("momentum", 0.0, 0.999) - 0.9
    return 0.1 + math.log1p(3.0 * (rate - decay) ** 2 + 0.1 * (rate + decay) ** 2 + 30.0 * (momentum - 0.1 * rate) ** 2)


def main() -> None:
    """Make two studies of 150 trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for name, sampler in (("TPE", optuna.samplers.TPESampler(seed=0)), ("auto", ZooSampler("auto", seed=0))):
        study = optuna.create_study(sampler=sampler)
        study.optimize(objective, n_trials=150)
        best = ", ".join(f"{key} {value:.4g}" for key, value in study.best_params.items())
        print(f"{name:4} loss {study.best_value:.5f} at {best}")


if __name__ == "__main__":
    main()
