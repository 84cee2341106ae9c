"""A black box, adapted or not, put to use: asked about images of any size, and behind HTTP."""
