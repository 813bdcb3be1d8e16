"""The graph that TensorFlow runs for one training step."""

import collections

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.framework.meta_graph import create_meta_graph_def
from tensorflow.python.grappler import tf_optimizer


def optimized_step(model, x):
    """Nodes of the model's training step, as its graph optimiser leaves it."""
    model.optimizer.build(model.trainable_variables)
    step = tf.function(lambda rows: model.train_step((rows,)))
    graph = step.get_concrete_function(
        tf.nest.map_structure(tf.constant, x)
    ).graph
    kept = [tensor.op.name for tensor in graph.outputs]
    kept += [operation.name for operation in graph.control_outputs]
    meta = create_meta_graph_def(graph=graph)
    meta.collection_def["train_op"].node_list.value.extend(kept)
    return tf_optimizer.OptimizeGraph(config_pb2.ConfigProto(), meta).node


def reads_without_order(model, x):
    """Pairs of a read and a write of one variable in no fixed order.

    Returns:
        Number of pairs in the step, and names of those without an order.
    """
    nodes = optimized_step(model, x)
    after = collections.defaultdict(set)
    for node in nodes:
        for name in node.input:
            after[name.lstrip("^").split(":")[0]].add(node.name)

    def reached(start):
        seen, todo = set(), [start]
        while todo:
            new = after[todo.pop()] - seen
            seen |= new
            todo += new
        return seen

    pairs = [
        (read.name, write.name)
        for read in nodes
        if read.op == "ReadVariableOp"
        for write in nodes
        if write.op.startswith("Assign") and write.input[0] == read.input[0]
    ]
    later = {name: reached(name) for pair in pairs for name in pair}
    return len(pairs), [
        (read, write)
        for read, write in pairs
        if write not in later[read] and read not in later[write]
    ]
