"""Problems to optimise, and what wraps and counts them."""
