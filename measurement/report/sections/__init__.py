"""The sections of the report, a module each: results become charts, tables, notes and refusals."""
