"""The pictures of the README and the documentation, each drawn from a run or a record: `python docs/pictures.py`."""
