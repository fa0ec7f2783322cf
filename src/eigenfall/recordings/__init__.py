"""Parts of kind recordings: a file is a part."""
