"""The methods and variants that every contract test runs over: a new method is one file and one line here."""

from dataclasses import replace
from functools import partial

from doubting import TYPES, Doubting

import zoo_opt as zo
from zoo_opt.methods.coordinates import ScaledVariables as SCALED
from zoo_opt.methods.starts import SeveralStarts
from zoo_opt.testing import Case

LR = zo.Cosine(2e-5, 2e-8, steps=300)  # FZOO's step is about lr / c, whatever the loss: it has to decay
EARLY = zo.Tolerances(tolx=0.01)  # ends a run early, so that 200 generations see restarts
BOX = {"bounds": (-3, 3), "restart_from": (-2, 2)}
GRID = zo.Grid(6, ((1, (-2.0, -1.0, 0.0, 1.0, 2.0)), (2, (0.0, 1.0))), ((4, 2),))
ALIKE = zo.Grid(6, tuple((j, (-1.0, 0.0, 1.0, 2.0)) for j in range(5)))
MIXED = partial(zo.MixedVariables, grid=GRID)
UNCERTAIN = {"noise": zo.UncertaintyHandling(ratio=0.3), "restarts": "bipop", "tolerances": EARLY, "bounds": (-3, 3)}
STARTS = [[1.0, 1.25, 1.5, 1.75, 2.0], [1.5] * 5, [-0.5] * 5]


def exact(name, method, reduction=1e-9, **settings):
    """A method that works in double precision alone, and gets further."""
    return Case(name, method, keeps_float32=False, reduction=reduction, **settings)


CASES = [
    Case("spsa", zo.SPSA(lr=0.005, c=1e-3)),
    Case("spsa rademacher", zo.SPSA(lr=0.005, c=1e-3, draws=zo.Rademacher())),
    Case("spsa gaussian", zo.SPSA(lr=0.003, c=1e-3, draws=zo.Gaussian())),
    Case("spsa quantile", zo.SPSA(lr=0.003, c=1e-3, draws=zo.QuantileGaussian())),
    Case("spsa sphere", zo.SPSA(lr=0.003, c=1e-3, draws=zo.Sphere())),
    Case("spsa 3 pairs", zo.SPSA(lr=0.008, c=1e-3, pairs=3)),
    Case("spsa power law", zo.SPSA(lr=zo.PowerLaw(0.06, A=50), c=zo.PowerLaw(0.01, alpha=0.101)), reduction=0.03),
    Case("spsa-gc", zo.SPSAGC(lr=5e-4, c=1e-3)),
    Case("spsa-gc decay", zo.SPSAGC(lr=zo.PolyDecay(1e-3, 1e-5, steps=1500), c=1e-3, momentum=zo.Constant(0.8))),
    Case("geass", zo.SPSAGEASS(lr=5e-4, c=1e-3)),
    Case("geass escapes", zo.SPSAGEASS(lr=5e-4, c=1e-3, threshold=0.5, lr_boost=5, c_boost=5), reduction=0.1),
    Case("geass paper", zo.SPSAGEASS.paper(threshold=1e-3, lr=5e-4), reduction=0.1),
    Case("geass released", zo.SPSAGEASS.released(dim=5, lr=4e-3), reduction=0.2),
    Case("geass nesterov", zo.SPSAGEASS(lr=5e-4, c=1e-3, rule=zo.Nesterov())),
    Case("bar", zo.BAR(lr=0.02, c=1e-4)),
    Case("bar decay", zo.BAR(lr=0.02, c=1e-4, lr_min=1e-3, steps=300)),
    Case("fzoo", zo.FZOO(lr=LR, c=1e-4)),
    Case("fzoo gaussian", zo.FZOO(lr=LR, c=1e-4, directions=4, draws=zo.Gaussian())),
    Case("fzoo without base", zo.FZOO(lr=LR, c=1e-4, base=False)),
    Case("fzoo auto", zo.FZOO(lr="auto", c="auto"), reduction=0.03),
    Case("fzoo untuned", zo.FZOO.untuned()),
    Case("fzoo untuned trial", zo.FZOO.untuned(trial=True)),
    Case("spsa auto", zo.SPSA(lr="auto", c="auto"), reduction=1e-3),
    Case("spsa rms", zo.SPSA(lr=zo.Cosine(0.2, 1e-3, steps=1500), c=1e-3, scaling=zo.SlopeRMS(0.99), pairs=1)),
    Case("spsa-gc auto", zo.SPSAGC(lr="auto", c="auto", pairs=2), reduction=1e-3),
    Case("bar auto", zo.BAR(lr="auto", c="auto"), reduction=1e-3),
    Case("spsa bounds", zo.SPSA(lr=0.005, c=1e-3, bounds=(-1.5, 2.5))),
    Case("spsa gaussian narrow", zo.SPSA(lr=0.003, c=0.3, draws=zo.Gaussian(), bounds=(None, 2.25)), reduction=0.03),
    Case("spsa-gc bounds", zo.SPSAGC(lr=5e-4, c=1e-3, bounds=[(0, 2), (0, None), (None, 2), (-1, 2), (0, 2)])),
    Case("geass nesterov bounds", zo.SPSAGEASS(lr=5e-4, c=1e-3, rule=zo.Nesterov(), bounds=(0, 2))),
    Case("bar bounds", zo.BAR(lr=0.02, c=1e-4, bounds=(-1.5, 2.5))),
    Case("fzoo bounds", zo.FZOO(lr=LR, c=1e-4, bounds=(-1.5, None))),
    Case("fzoo untuned bounds", zo.FZOO.untuned().within((-1.5, 2.5))),
    Case("subspace spsa auto", zo.RandomSubspace(zo.SPSA(lr="auto", c="auto"), dim=4), d=6, reduction=0.9),
    exact("cma-es", zo.CMAES()),
    exact("cma-es bounds", zo.CMAES(bounds=(-1.5, 2.5))),
    exact("cma-es ipop", zo.CMAES(restarts="ipop", tolerances=EARLY), 1e-3, d=3, steps=100),
    exact("cma-es bipop", zo.CMAES(restarts="bipop", tolerances=EARLY, **BOX), 1e-3, d=3),
    exact("sep-cma-es", zo.SepCMAES()),
    exact("sep-cma-es bipop", zo.SepCMAES(restarts="bipop", tolerances=EARLY, **BOX), 1e-3, d=3),
    exact("dd-cma-es", zo.DDCMAES()),
    exact("dd-cma-es bounds", zo.DDCMAES(bounds=(-1.5, 2.5)), 1e-8, d=8, steps=60),
    exact("dd-cma-es ipop", zo.DDCMAES(restarts="ipop", tolerances=EARLY), 1e-2, d=3, steps=70),
    exact("auto", zo.Auto()),
    exact("auto bounds", zo.Auto(bounds=(-1.5, 2.5)), d=3),
    exact("auto mixed", zo.Auto().within((-3, 3), ALIKE), 0.1, d=6),
    exact("auto discrete", zo.Auto().within(None, replace(ALIKE, d=5)), 0.5, d=5, steps=50, evaluations=400),
    exact("quasi-newton", zo.QuasiNewton()),
    exact("quasi-newton bounds", zo.QuasiNewton(bounds=(-1.5, 2.5))),
    exact("trust-region", zo.TrustRegion()),
    exact("trust-region bounds", zo.TrustRegion(bounds=(-1.5, 2.5))),
    exact("bayesian-optimization", zo.BayesianOptimization(), 1e-3, d=3, steps=60),
    exact("bayesian-optimization batch", zo.BayesianOptimization(bounds=(-1.5, 2.5), batch=3), 1e-3, d=3, steps=30),
    exact("soo", zo.SOO(bounds=(-1.5, 2.5)), 1e-2, d=2, draws=False),
    exact("coordinate-search", zo.CoordinateSearch(bounds=(-1.5, 2.5))),
    exact("cma-es model", zo.CMAES(noise=zo.QuadraticModel()), steps=80),
    exact("cma-es uncertainty", zo.CMAES(noise=zo.UncertaintyHandling()), steps=40),
    exact("cma-es uncertainty bipop", zo.CMAES(**UNCERTAIN), 1e-3, d=3, steps=80),
    exact("cma-es rates", zo.CMAES(noise=zo.LearningRateAdaptation()), 1e-3, steps=80),
    exact("cma-es mixed", MIXED(method=zo.CMAES()), 0.1, d=6),
    exact("cma-es mixed bipop", MIXED(method=zo.CMAES(restarts="bipop", tolerances=EARLY)), 0.1, d=6),
    exact("sep-cma-es mixed", MIXED(method=zo.SepCMAES(), bounds=(-3, 3)), 0.1, d=6),
    Case("doubting", Doubting(), types=TYPES, steps=60, reduction=0.05),
    Case("scaled spsa", SCALED(zo.SPSA(lr=0.01, c=2e-3), scale=0.5, fixed=(2,), bounds=(-9, 9)), reduction=0.6),
    exact("scaled cma-es", SCALED(zo.CMAES(noise=zo.UncertaintyHandling()), scale=(1, 2, 3, 4, 5)), steps=40),
    Case("scaled subspace", SCALED(zo.RandomSubspace(zo.FZOO(lr=LR, c=1e-4), 4), bounds=(0, 2)), reduction=0.9),
    Case("raced starts", SeveralStarts(zo.SPSA(lr=0.005, c=1e-3), STARTS, 4)),
    Case("several starts", SeveralStarts(zo.SPSA(lr=0.005, c=1e-3), STARTS)),
    exact("several starts auto", SeveralStarts(zo.Auto(bounds=(-3, 3)), STARTS), steps=100),
    exact("cma-es sigma0", zo.CMAES(sigma0=(0.1, 0.2, 0.3, 0.4, 0.5))),
    Case("subspace fzoo", zo.RandomSubspace(zo.FZOO(lr=LR, c=1e-4), dim=4), d=6, reduction=0.9),
    Case("subspace cma-es", zo.RandomSubspace(zo.CMAES(), dim=4), d=6, reduction=0.9),
]
BY_NAME = {case.name: case for case in CASES}
