"""The report: one HTML file for people, and every table as CSV."""
