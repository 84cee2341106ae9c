"""Services by a description of their schema: a TOML file says what is sent and read, and nothing in it is run."""
