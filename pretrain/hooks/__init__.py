"""What happens around the steps of pre-training."""
