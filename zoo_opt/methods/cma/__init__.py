"""The CMA-ES and its relatives: full, separable and diagonal-decoded, on one set of parts."""
