"""Parts of kind spectra: a file is a part."""
