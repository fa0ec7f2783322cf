"""One module per command: plain types in, one function, numbers out."""
