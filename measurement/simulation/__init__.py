"""Shops that do not exist, whose truth is known: for the demo report, and to see how often an interval covers it."""
