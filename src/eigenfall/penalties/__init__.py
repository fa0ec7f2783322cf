"""Parts of kind penalties: a file is a part."""
