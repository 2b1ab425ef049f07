"""The light models with random weights are worth testing on: their class scores are finite, moderate and differ."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort


def test_class_scores_are_like_those_of_a_trained_network(light_model: Path):
    model = onnx.load(light_model, load_external_data=False)
    constants = {entry.name for entry in model.graph.initializer}
    (image,) = [entry for entry in model.graph.input if entry.name not in constants]
    last = model.graph.node[-1]
    logits = last.input[0] if last.op_type == "Softmax" else last.output[0]
    if logits not in [entry.name for entry in model.graph.output]:
        model.graph.output.append(onnx.ValueInfoProto(name=logits))
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    pixels = np.random.default_rng(1).standard_normal((1, 3, 224, 224), np.float32)
    for contrast in (1, 100):
        (scores,) = session.run([logits], {image.name: contrast * pixels})
        assert scores.size == 1000
        assert np.isfinite(scores).all()
        assert len(np.unique(scores)) > 500
        assert 0.02 * contrast**0.5 < scores.std() < 100
