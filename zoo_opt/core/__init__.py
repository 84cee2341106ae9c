"""The parts of the optimizer shell: candidates, ledger, pipeline, keys, buffers, and checks of arguments."""
