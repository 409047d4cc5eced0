"""What bench/gpu.py does on a GPU: sections by topic, and the process that runs them."""
