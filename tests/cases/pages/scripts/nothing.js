// Nothing that matters here.
