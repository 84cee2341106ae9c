"""The panel of pictures of a run, and its cells on the page."""
