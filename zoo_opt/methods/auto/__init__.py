"""The method that needs no settings."""
