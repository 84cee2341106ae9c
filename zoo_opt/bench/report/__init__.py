"""What is made of a record: tables, comparisons, logs, and the page."""
