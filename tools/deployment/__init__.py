"""Commands that take a trained model out of this project."""
