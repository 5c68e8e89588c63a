"""Every question that is asked of the tables, as an Ibis expression: one definition for DuckDB and Athena.

A module each for what is asked about. ``QUERIES`` of a module maps a name to a function that takes the tables
(``measurement.engine.Data`` or unbound ones) and gives an expression; a test compiles each for both engines.
"""
