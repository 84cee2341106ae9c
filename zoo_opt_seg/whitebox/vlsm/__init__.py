"""Trained inside CLIPSeg: VLSM adapters, its decoder, all of it."""
