"""The only room that knows the rules: relevance walks backwards through the layer list."""
