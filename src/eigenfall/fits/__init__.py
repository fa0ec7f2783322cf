"""Parts of kind fits: a file is a part."""
