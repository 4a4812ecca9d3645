"""What the data is: one Pandera model for each relation, declared once.

The same declaration validates frames, gives the DuckDB table and its comments, and is rendered as
the data dictionary. This package decides nothing and reads nothing.
"""
