"""What users mistype: `mypy --strict` must report each line with a code, and no other."""

import numpy as np

import zoo_opt as zo

res = zo.minimize(lambda x: float(x @ x), np.zeros(2), budget=100)
print(res.funn)  # attr-defined
print(res.fun.upper())  # attr-defined
print(zo.minimise)  # attr-defined
zo.minimize(lambda x: 0.0, np.zeros(2), budjet=100)  # call-arg
zo.minimize(lambda x: 0.0, np.zeros(2), budget="many")  # arg-type
zo.CMAES(sigma=0.5)  # call-arg
zo.SPSA(lr="fast", pairs=1.5)  # arg-type

opt = zo.Optimizer("cma-es", np.zeros(2))
print(opt.bestt)  # attr-defined
print(opt.best.fun)  # attr-defined
print(opt.best.x.sum())  # union-attr
opt.tell(opt.ask())  # call-arg
print(opt.ask().xs)  # attr-defined
zo.Space(C=zo.Float("low", 1.0))  # arg-type
