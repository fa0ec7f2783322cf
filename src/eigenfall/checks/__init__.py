"""Parts of kind checks: a file is a part."""
