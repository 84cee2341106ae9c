"""Pictures of runs, with matplotlib (the extra ``plot``), which is imported when the first is drawn.

Each function draws into the Axes that it is given, or into a new figure, and returns the Axes. No setting of matplotlib
is changed, and nothing is shown: ``ax.figure.savefig("run.png")`` writes the picture. Where the caller has imported
``matplotlib.pyplot``, a new figure is one of pyplot's, so that ``plt.show()`` shows it; pyplot is not imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_opt.support.lazy import exports

if TYPE_CHECKING:
    from zoo_opt.plot.curves import convergence as convergence
    from zoo_opt.plot.panels import slices as slices
    from zoo_opt.plot.polylines import parallel_coordinates as parallel_coordinates

if not TYPE_CHECKING:  # a type checker knows the names above and no others
    __all__, __getattr__, __dir__ = exports(__name__)
