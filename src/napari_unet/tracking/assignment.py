"""The assignment problem of linking, solved by SciPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assigned(
    i: NDArray[np.intp],
    j: NDArray[np.intp],
    cost: NDArray[np.float64],
    n: int,
    m: int,
    price: float,
) -> list[tuple[int, int]]:
    """The cheapest links out of some, where leaving one out has its price, too.

    Everybody gets a partner in a problem twice as large: an object of one frame its
    end, an object of the other its start, and the ends and starts that are not needed
    each other (Jaqaman et al. 2008, supplementary figure 1).

    Parameters
    ----------
    i, j, cost : array
        Links that are possible, each once, from one of `n` to one of `m`.
    n, m : int
    price : float
        Of each of the `n` and of the `m` that gets no link.

    Returns
    -------
    list of (int, int)
        Ascending.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    ends, starts = np.arange(n), np.arange(m)
    rows = np.concatenate([i, ends, n + starts, n + j])
    columns = np.concatenate([j, m + ends, starts, m + i])
    prices = np.full(n + m, price)
    # The solver takes 0 for no link: one more for all of them changes nothing.
    weights = 1 + np.concatenate([cost, prices, np.zeros(len(i))])
    problem = csr_array((weights, (rows, columns)), shape=(n + m, n + m))
    left, right = min_weight_full_bipartite_matching(problem)
    linked = (left < n) & (right < m)
    pairs = zip(left[linked].tolist(), right[linked].tolist(), strict=True)
    return sorted(pairs)
