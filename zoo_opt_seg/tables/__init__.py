"""The papers' tables: rows, cells, statistics, pages."""
