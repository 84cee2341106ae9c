"""Kinds of SAM that differ from the released one in their image encoder, or in how images go in."""
