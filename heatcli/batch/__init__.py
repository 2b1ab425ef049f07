"""Many pictures: who does the work, what survives when it is stopped, what is written down about it."""
