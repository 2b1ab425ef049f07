"""What rules are computed with: the linear maps of a network, their adjoints, sums and quotients.

``protocol`` says what there is; ``arrays`` computes it in NumPy, ``written`` writes it as ONNX nodes.
"""
