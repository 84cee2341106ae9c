"""Readers of what an image, a mask or a volume can be stored in.

What a library raises for a damaged file is a DataError that names it; what would take more memory than
:mod:`~zoo_opt_seg.data.limits` allows is refused before; what has a checksum is read to it.
"""
