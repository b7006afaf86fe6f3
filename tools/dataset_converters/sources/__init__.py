"""Where public data sets come from, and the layouts in which the configs expect them."""
