"""One module per data set: ``files(root, seed=0, ...)`` gives the records of train, validation and test.

Layouts and splits are those of the owners' pages and of the papers; ``EMPTY`` of a module is what is done about empty
masks unless asked otherwise; without it they are an error.
"""
