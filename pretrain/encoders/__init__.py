"""Three ways to run the backbone on visible patches."""
