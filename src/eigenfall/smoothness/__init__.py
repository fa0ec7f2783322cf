"""Parts of kind smoothness: a file is a part."""
