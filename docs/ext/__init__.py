"""What the site adds to sphinx: reference pages, the gallery, and the reports of recorded benchmarks."""
