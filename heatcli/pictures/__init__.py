"""Pictures: from a file to the network's input tensor, and from relevance back to a PNG on the original picture."""
