"""The ladder side network beside SAM (SAM-LST)."""
