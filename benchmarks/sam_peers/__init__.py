"""What `sam_step.py` and `sam_correctness.py` are made of: our variants and the peers, and what is done with them."""
