"""Conversion Relay: signed webhooks in, OpenAI Ads Conversions API events out, each conversion once."""
