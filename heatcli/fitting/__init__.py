"""Fits relevance models (paper 5.1): samples of every detection layer, training, the file that holds them."""
