"""What all models share, and those that have an objective of their own."""

import keras
from keras import ops

from utils.support import validation as check
from utils.support.files import replacing

__all__ = [
    "CourseModel",
    "OwnLossModel",
]


class CourseModel(keras.Model):
    """A Keras model that saves whole files and starts training sooner.

    ``save`` and ``save_weights`` are Keras's own, but a file that is there
    is replaced only once the new one is complete: a full disk or a process
    killed while saving costs the new file, not the old one as well.
    """

    def make_train_function(self, force=False):
        """As Keras's, once the optimizer has made its variables.

        Made while TensorFlow traces the first step, they would have it trace
        the step twice, which is most of what a small model's first epoch
        takes.
        """
        optimizer = self.optimizer
        if self.built and optimizer is not None and not optimizer.built:
            optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def save(self, filepath, overwrite=True, **kwargs):
        """As ``keras.Model.save``; an earlier file is replaced or kept."""
        if not overwrite or not str(filepath).endswith(".keras"):
            return super().save(filepath, overwrite=overwrite, **kwargs)
        with replacing(filepath) as partial:
            super().save(partial, **kwargs)

    def save_weights(self, filepath, overwrite=True, max_shard_size=None):
        """As ``keras.Model.save_weights``; see :meth:`save`."""
        single = str(filepath).endswith(".weights.h5") and not max_shard_size
        if not overwrite or not single:
            return super().save_weights(filepath, overwrite, max_shard_size)
        with replacing(filepath) as partial:
            super().save_weights(partial)


class OwnLossModel(CourseModel):
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
