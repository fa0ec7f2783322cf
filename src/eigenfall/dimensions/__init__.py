"""Parts of kind dimensions: a file is a part."""
