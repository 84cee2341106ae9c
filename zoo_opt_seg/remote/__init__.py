"""Black boxes behind HTTP: what is sent and read, by which terms, and what was paid."""
