"""SOO from the paper's Algorithm 2, cell by cell with fractions; a sweep's leaves are chosen before any is divided."""

import math
from fractions import Fraction


def minimize(loss, low, high, sweeps):
    """Return the centres that each sweep evaluates, the box's own first; low and high are of each coordinate."""
    d = len(low)

    def centre(cell):
        return [a + float((left + right) / 2) * (b - a) for (left, right), a, b in zip(cell, low, high, strict=True)]

    whole = [(Fraction(0), Fraction(1))] * d
    tree = [(0, loss(centre(whole)), whole)]  # leaves: depth, loss, the interval of each coordinate
    seen = [[centre(whole)]]
    for _ in range(sweeps):
        v_min, chosen = math.inf, []
        for h in range(math.isqrt(len(tree)) + 1):  # h_max(n) = sqrt(n)
            leaves = [leaf for leaf in tree if leaf[0] == h]
            if leaves and min(leaf[1] for leaf in leaves) < v_min:
                best = min(leaves, key=lambda leaf: leaf[1])  # the first of equals
                v_min = best[1]
                chosen.append(best)
        new = []
        for leaf in chosen:
            depth, value, cell = leaf
            sides = [right - left for left, right in cell]
            k = sides.index(max(sides))
            left, third = cell[k][0], sides[k] / 3
            tree.remove(leaf)
            for part in range(3):
                child = [*cell[:k], (left + part * third, left + (part + 1) * third), *cell[k + 1 :]]
                if part != 1:
                    new.append(centre(child))
                    value_there = loss(new[-1])
                tree.append((depth + 1, value if part == 1 else value_there, child))
        seen.append(new)
    return seen
