"""What the machine offers: files, devices, processes, and every stream of random numbers."""
