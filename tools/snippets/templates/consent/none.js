// No consent is asked for (--consent none): make sure that your law sees it so.
relayPixel.consent(true);
