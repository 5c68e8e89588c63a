"""What the ads caused: planning a test, a geo holdout, an on/off test."""
