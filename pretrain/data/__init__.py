"""Images for pre-training: data sets, transforms and what is known of their pixels."""
