"""Where the tables come from: one module for each kind of file or service. Each gives rows of one or more tables."""
