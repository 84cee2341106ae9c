"""The lowest sums known of the 53 problems, f_L in the convergence test.

Found by ``python benchmarks/more_wild_lowest.py``, by methods that see the residuals, from 3 to 12 random starts of the
linear programs and five times as many of Levenberg and Marquardt beside the problem's own. Sums of squares agree with
the literature where that has them; of absolute values they are the lowest that was seen. What is below 1e-20, or 1e-10
of absolute values, counts as 0.
"""

from __future__ import annotations

from types import MappingProxyType

# fmt: off
LOWEST = MappingProxyType({
    "smooth": (
        36.0, 36.0, 8.38028169, 8.38028169, 9.880597015, 9.880597015, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
        0.008214877307, 0.008214877307, 0.0003075056038, 87.94585517, 0.002287670054, 0.002287670054, 1.399760138e-06,
        1.399760138e-06, 4.722381234e-10, 4.722381234e-10, 0.0, 124.3621824, 85822.20163, 85822.20163, 0.0, 0.0,
        0.003516873726, 0.0, 0.004772713696, 0.002799761552, 0.0, 5.464894697e-05, 0.04013773629, 0.04013773629,
        10.23897342, 18.28116175, 22.26059173, 26.2727664, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    ),
    "piecewise": (
        22.5, 22.5, 14.2, 14.2, 15.375, 15.375, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1243383157, 0.1243383157,
        0.03876797336, 26.33735796, 0.1935791343, 0.1935791343, 0.005107246107, 0.005107246107, 8.545452324e-05,
        8.545452324e-05, 0.0, 32.09194106, 903.2440407, 903.2440407, 0.0, 0.0, 0.0686974051, 0.0, 0.1396514852,
        0.05927241385, 0.0, 0.8667039702, 1.155247581, 1.155247581, 7.162582955, 12.36250064, 14.96250008,
        17.56250329, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    ),
})
# fmt: on
"""Of problems 1 to 53: the noisy kind has those of the smooth one."""
