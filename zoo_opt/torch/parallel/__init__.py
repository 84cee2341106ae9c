"""The probes of a step elsewhere: on workers of an executor, or over the processes of a group."""
