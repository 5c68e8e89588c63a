"""What the ads really did: the relay's ledger, OpenAI's reporting, GA4, the CRM and a survey, joined, with honest
uncertainty. Nothing here runs on Lambda.

::

    inputs ──▶ tables (Parquet, one schema each) ──▶ engine: queries (Ibis, on DuckDB or Athena)
                                                         │
        attribution · dark_funnel · incrementality · reconciliation · funnel · channels
                                                         │
                                                      report (one HTML file, CSV of every table)

A number is measured, modelled or assumed, and says which (`measurement.estimate`). What the data cannot carry is
refused with a sentence (`measurement.problems`), never shown half true.
"""
