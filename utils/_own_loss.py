"""What all models share that have an objective of their own."""

import keras
from keras import ops

from utils import _validation as check


class OwnLossModel(keras.Model):
    """A model whose ``compute_loss`` needs no loss from ``compile``."""

    def add_losses(self, loss):
        """Loss plus ``self.losses``, which Keras leaves to ``compute_loss``."""
        for extra in self.losses:
            loss = loss + ops.cast(extra, loss.dtype)
        return loss

    def refuse_loss(self, instead="the model has its own"):
        """Say that a loss given to ``compile`` would never be used."""
        if getattr(self, "loss", None) is not None:
            check.fail("loss", f"none in compile(): {instead}", repr(self.loss))
