"""Servers: a black box, adapted or not, behind HTTP."""
