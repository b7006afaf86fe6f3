"""One module for each format of annotations that convert_labels.py reads."""
