"""What all models share: one fit, one config, networks as arguments.

A family adds its objective in ``compute_loss`` and says what it takes in
:meth:`CourseModel.check_data`. Everything else here is done once: data in
any container that Keras accepts are checked before a step is taken, sample
weights are used or refused, files are saved whole.
"""

import copy
import functools
import inspect

import keras
import numpy as np
from keras import ops

from utils.nn.backend import replicas, steps_to_tell, values_kept
from utils.support import validation as check
from utils.support.batches import (
    CheckedBatches,
    checked_generator,
    feed,
    first_rows,
)
from utils.support.files import replacing

__all__ = [
    "CourseModel",
    "batch_average",
    "builds",
    "check_activation",
    "numpy_generator",
    "refuse_target",
    "spec_of",
    "shapes_of",
    "weighted_mean",
]


class CourseModel(keras.Model):
    """A ``keras.Model`` with an objective of its own.

    A subclass stores every constructor argument as an attribute of the same
    name, Keras models included: :meth:`get_config` reads them there. It
    writes ``call``, ``compute_loss`` and :meth:`check_data`.

    Attributes:
        weighted: Whether ``sample_weight`` means something here.
        min_batch: Smallest number of rows a batch may have.
    """

    weighted = True
    min_batch = 1

    # --------------------------------------------------- what a family says

    def check_data(self, x, y=None, name="x"):
        """The one hook: check a batch, or all rows; arrays for Keras.

        Args:
            x: Array-like rows, or a dict of them.
            y: Array-like target, or ``None``.
            name: What to call x in a message.

        Returns:
            ``(x, y)`` as ``call`` and ``compute_loss`` expect them, x
            float32 (or a dict), y an array or ``None``.

        Raises:
            ValueError: naming the argument, what was expected, what came.
        """
        raise NotImplementedError

    def check_input(self, x, name="x"):
        """Check what ``predict`` takes; as ``check_data`` without target."""
        return self.check_data(x, None, name)[0]

    def takes(self):
        """What ``call`` takes: ``keras.InputSpec``, or a dict of them."""
        return spec_of(self.event_shape)

    def before_training(self, x):
        """Called by ``fit`` with the checked rows, or ``CheckedBatches``."""

    def class_ids(self, y):
        """Targets to which ``class_weight`` applies, or ``None``."""
        return None

    # ------------------------------------------------------------ objective

    def add_losses(self, loss):
        """Loss plus ``self.losses``, which Keras leaves to ``compute_loss``."""
        for extra in self.losses:
            loss = loss + ops.cast(extra, loss.dtype)
        copies = replicas()
        return loss if copies == 1 else loss / copies

    # ------------------------------------------------- the one way to train

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ):
        """As ``keras.Model.fit``, with all data checked before they are used.

        Arrays, data frames and lists are checked whole; of a ``tf.data``
        set, ``PyDataset``, generator or torch ``DataLoader`` each batch is,
        and a bad one is named by its number. A loss that stops being a
        number ends training.

        Raises:
            ValueError: what :meth:`check_data` refuses; weights where they
                have no meaning; too few rows in a batch.
            FloatingPointError: the loss became NaN or infinite.
        """
        x, y, weight = self._prepared(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            steps=steps_per_epoch,
            class_weight=class_weight,
            held_out=validation_split,
        )
        if validation_data is not None:
            validation_data = self._prepared_validation(
                validation_data,
                validation_batch_size or batch_size,
                validation_steps,
            )
        self.before_training(x)
        if not (steps_per_epoch or validation_split) and first_rows(x) is x:
            steps_per_epoch = steps_to_tell(_num_rows(x), batch_size)
        x, may_shuffle = feed(x, steps_per_epoch)
        self._build_optimizer()
        with self._values_kept():
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=_watched(callbacks),
                validation_split=validation_split,
                validation_data=validation_data,
                shuffle=shuffle and may_shuffle,
                sample_weight=weight,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
                validation_steps=validation_steps,
                validation_batch_size=validation_batch_size,
                validation_freq=validation_freq,
            )

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
        **from_fit,
    ):
        """As ``keras.Model.evaluate``, with the data checked as in ``fit``."""
        if not from_fit:  # Keras's own call, on what fit has checked
            x, y, sample_weight = self._prepared(
                x, y, sample_weight, batch_size=batch_size, steps=steps
            )
        with self._values_kept():
            return super().evaluate(
                x,
                y,
                batch_size=batch_size,
                verbose=verbose,
                sample_weight=sample_weight,
                steps=steps,
                callbacks=callbacks,
                return_dict=return_dict,
                **from_fit,
            )

    def predict(
        self, x, batch_size=None, verbose="auto", steps=None, callbacks=None
    ):
        """As ``keras.Model.predict``, with x checked as ``call`` takes it."""
        if check.is_array(x) or isinstance(x, dict):
            x = self.check_input(x)
        elif x is None:
            check.fail("x", "rows", "None")
        else:

            def batch(x, y=None, weight=None, name="x"):
                return self.check_input(x, name), None, None

            x = _lazily(x, batch, steps, "x")
        with self._values_kept():
            return super().predict(
                x,
                batch_size=batch_size,
                verbose=verbose,
                steps=steps,
                callbacks=callbacks,
            )

    def _prepared(
        self,
        x,
        y,
        sample_weight,
        name="x",
        *,
        batch_size=None,
        steps=None,
        class_weight=None,
        held_out=0.0,
    ):
        """``(x, y, sample_weight)`` for Keras, all of it checked."""
        self._refuse_objective()
        self._check_weights_wanted(sample_weight, class_weight)
        if check.is_array(x) or isinstance(x, dict):
            parts = self._checked(x, y, sample_weight, class_weight, name)
            self._check_batches(_num_rows(parts[0]), held_out, batch_size)
            return parts
        if x is None:
            check.fail(name, "rows, or batches of rows", "None")
        for other, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                kind = type(x).__name__
                check.fail(other, f"none beside a {kind}, which has it", "some")

        def batch(x, y=None, weight=None, name=name):
            self._check_weights_wanted(weight, None)
            parts = self._checked(x, y, weight, class_weight, name)
            rows = _num_rows(parts[0])
            if rows < self.min_batch:
                check.fail(name, f"at least {self.min_batch} rows", f"{rows}")
            return parts

        return _lazily(x, batch, steps, name), None, None

    def _prepared_validation(self, data, batch_size, steps):
        """``validation_data`` for Keras: batches, or a tuple of three."""
        parts = data if isinstance(data, tuple) else (data,)
        if not 1 <= len(parts) <= 3:
            expected = "(x,), (x, y) or (x, y, sample_weight)"
            check.fail("validation_data", expected, f"{len(parts)} parts")
        rows, target, weight = (*parts, None, None)[:3]
        parts = self._prepared(
            rows,
            target,
            weight,
            "validation_data",
            batch_size=batch_size,
            steps=steps,
        )
        whole = check.is_array(parts[0]) or isinstance(parts[0], dict)
        return parts if whole else parts[0]

    def _refuse_objective(self):
        """Say that a loss or metrics given to ``compile`` are never used."""
        given = self.get_compile_config() or {}
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            if given.get(name):
                expected = (
                    f"none in compile(): {type(self).__name__} has its own"
                )
                check.fail(name, expected, repr(given[name]))

    def _check_weights_wanted(self, sample_weight, class_weight):
        owner = type(self).__name__
        if sample_weight is not None and not self.weighted:
            reason = f"None: rows of {owner} have no weights"
            check.fail("sample_weight", reason, "some")
        known = type(self).class_ids is not CourseModel.class_ids
        if class_weight is not None and not known:
            reason = f"None: {owner} is not trained on classes"
            check.fail("class_weight", reason, "some")

    def _checked(self, x, y, weight, class_weight, name):
        """One batch or all rows: checked, weights as Keras takes them."""
        x, y = self.check_data(x, y, name)
        rows = _num_rows(x)
        if weight is not None:
            weight = check.check_array(weight, "sample_weight", ndim=1, low=0.0)
            if len(weight) != rows:
                check.fail("sample_weight", f"{rows} numbers", f"{len(weight)}")
        if class_weight is not None:
            given = _weight_of_classes(class_weight, self.class_ids((x, y)))
            weight = given if weight is None else weight * given
        if weight is not None and y is None:
            y = np.zeros(rows, "float32")  # Keras drops weights without one
        return x, y, weight

    def _check_batches(self, rows, held_out, batch_size):
        """Refuse a last batch that is too small for the objective."""
        kept = rows - int(np.ceil(rows * held_out)) if held_out else rows
        least = self.min_batch
        batch_size = 32 if batch_size is None else batch_size
        batch_size = check.check_int(batch_size, "batch_size", minimum=least)
        if kept < least:
            check.fail("x", f"at least {least} rows", f"{kept}")
        if 0 < kept % batch_size < least:
            check.fail(
                "batch_size",
                f"one that leaves no batch of fewer than {least} rows from "
                f"{kept} rows",
                f"{batch_size}",
            )

    # --------------------------------------------------------------- saving

    def make_train_function(self, force=False):
        """As Keras's, once the optimizer has made its variables.

        Made while TensorFlow traces the first step, they would have it trace
        the step twice, which is most of what a small model's first epoch
        takes.
        """
        self._build_optimizer()
        return super().make_train_function(force)

    def zero_grad(self, set_to_none=True):
        """Forget the gradients of the last step; PyTorch alone asks for it.

        Keras lists a model's weights by their paths there, and of two layers
        of one name, in two networks, it would forget one.
        """
        for variable in self.trainable_variables:
            variable.value.grad = None

    def _values_kept(self):
        held = getattr(self, "optimizer", None)  # none before compile
        return values_kept([*self.variables, *(held.variables if held else ())])

    def _build_optimizer(self):
        optimizer = getattr(self, "optimizer", None)
        if self.built and optimizer is not None and not optimizer.built:
            optimizer.build(self.trainable_variables)

    def export(
        self,
        filepath,
        format="tf_saved_model",
        verbose=None,
        input_signature=None,
        **kwargs,
    ):
        """As ``keras.Model.export``: what ``predict`` does, trained or not."""
        if input_signature is None:
            input_signature = [self.takes()]
        return super().export(
            filepath, format, verbose, input_signature, **kwargs
        )

    def get_config(self):
        """Every constructor argument, networks as Keras serialises them."""
        return {
            **super().get_config(),
            **{
                name: _serialized(getattr(self, name))
                for name in _argument_names(type(self))
            },
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The model of a config: the inverse of ``get_config``."""
        config = copy.deepcopy(config)  # Keras empties those of networks
        return cls(
            **{
                name: _deserialized(value, custom_objects)
                for name, value in config.items()
            }
        )

    def save(self, filepath, overwrite=True, **kwargs):
        """As ``keras.Model.save``; an earlier file is replaced or kept.

        A full disk or a process killed while saving costs the new file, not
        the old one as well.
        """
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


class builds:
    """Class method that makes the course's networks, then the model.

    Stands above a function from sizes to networks, and names the constructor
    arguments that these fill. ``VAE.dense((64,), 8, beta=4.0)`` calls the
    function with what it knows and the constructor with the networks and
    the rest; a tooltip shows the arguments of both::

        @builds("encoder", "decoder")
        def dense(input_shape, latent_dim, *, widths=(128,), seed=None):
            return dense_encoder(…), dense_decoder(…)

    The model keeps how it was made, so that ``training.repeats.restart`` can
    make its like from another seed.
    """

    def __init__(self, *networks):
        self.networks = networks

    def __call__(self, function):
        self.function = function
        self.__doc__ = function.__doc__
        return self

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, cls):
        mine = inspect.signature(self.function).parameters
        constructor = _arguments(cls)
        theirs = {
            name: parameter.replace(kind=parameter.KEYWORD_ONLY)
            for name, parameter in constructor.items()
            if name not in self.networks
        }
        added = [theirs[name] for name in theirs if name not in mine]
        signature = inspect.Signature([*mine.values(), *added])

        @functools.wraps(self.function)
        def make(*args, **kwargs):
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                name = f"{cls.__name__}.{self.name}()"
                raise TypeError(f"{name} {error}") from None
            bound.apply_defaults()
            given = bound.arguments
            for name, value in given.items():
                if value is not signature.parameters[name].default:
                    _check_by_name(name, value)
            made = self.function(**{name: given[name] for name in mine})
            made = made if isinstance(made, tuple) else (made,)
            model = cls(
                **dict(zip(self.networks, made, strict=True)),
                **{name: given[name] for name in given if name in theirs},
            )
            model.remake = _Remake(make, **given)
            return model

        make.__signature__ = signature
        return make


def _check_by_name(name, value):
    """Check an argument whose name means the same in every family."""
    if name == "seed":
        check.check_seed(value)
    elif name == "input_shape":
        check.check_shape(value, name)
    elif name == "num_classes":
        check.check_int(value, name, 2)
    elif name == "widths" or name.endswith("_widths"):
        check.check_widths(value, name)
    elif name.endswith("activation"):
        check_activation(value, name)


def check_activation(value, name):
    """Refuse what Keras cannot interpret as an activation."""
    try:
        keras.activations.get(value)
    except (TypeError, ValueError):
        expected = "an activation of Keras, such as 'relu', or a function"
        check.fail(name, expected, repr(value))


class _Remake(functools.partial):
    """The call that made a model, to be repeated with changes.

    Layers among its arguments are made anew: a likelihood in two models
    would have one learned scale for both, and never that of the start.
    """

    def __call__(self, **changes):
        given = {
            name: type(value).from_config(value.get_config())
            if isinstance(value, keras.layers.Layer)
            else value
            for name, value in self.keywords.items()
        }
        return self.func(**{**given, **changes})


def shapes_of(network, name):
    """``(input, output)`` shapes of a network, without the batch axis.

    Raises:
        ValueError: no Keras model, or one that does not know its shapes.
    """
    if not isinstance(network, keras.Model):
        check.fail(name, "a Keras model", type(network).__name__)
    try:
        if isinstance(network, keras.Sequential):
            ends = network.inputs[0], network.outputs[0]
        else:
            ends = network.input, network.output
    except (AttributeError, TypeError, ValueError):
        check.fail(
            name,
            "a network that knows its shapes; wrap it: keras.Sequential(["
            "keras.Input(shape), network])",
            f"{type(network).__name__} without an Input",
        )
    return keras.tree.map_structure(lambda end: tuple(end.shape[1:]), ends)


def spec_of(shape, dtype="float32"):
    """Any number of rows of a shape, for :meth:`CourseModel.takes`."""
    return keras.InputSpec(dtype=dtype, shape=(None, *shape))


def refuse_target(y, reason):
    """Say why ``fit`` takes no target here, if one was given."""
    if y is not None:
        check.fail("y", f"no target: {reason}", type(y).__name__)


def numpy_generator(seed, own):
    """NumPy generator of a seed; ``None`` goes on with the model's ``own``."""
    if seed is None:
        state = ops.convert_to_numpy(own.next())
        return np.random.default_rng([int(part) for part in state])
    return np.random.default_rng(check.check_int(seed, "seed", minimum=0))


def weighted_mean(values, sample_weight):
    """Mean over the batch of values ``(batch,)`` times their weights.

    The weights are not normalised, as in Keras: doubling all of them doubles
    the loss.
    """
    if sample_weight is not None:
        values = values * ops.cast(sample_weight, values.dtype)
    return ops.mean(values)


def batch_average(rows, sample_weight):
    """Average row of a batch, ``(batch, k)`` → ``(k,)``, by its weights.

    For terms that look at the whole batch: here weights are normalised, and
    a row of weight 2 counts as two rows.
    """
    if sample_weight is None:
        return ops.mean(rows, axis=0)
    weight = ops.cast(sample_weight, rows.dtype)
    total = ops.maximum(ops.sum(weight), 1e-9)
    return ops.sum(rows * weight[:, None], axis=0) / total


def _watched(callbacks):
    """The callbacks of ``fit`` and one that ends a training gone wrong."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        held = callbacks.callbacks  # the list may come again, to go on
        if not any(isinstance(one, _StopAtNaN) for one in held):
            held.append(_StopAtNaN())
        return callbacks
    callbacks = [] if callbacks is None else callbacks
    several = isinstance(callbacks, (list, tuple))
    return [*(callbacks if several else [callbacks]), _StopAtNaN()]


class _StopAtNaN(keras.callbacks.Callback):
    """End training, with the reason, once the loss is no number."""

    def on_epoch_end(self, epoch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            raise FloatingPointError(
                f"The loss is {loss} after epoch {epoch + 1}: the weights are "
                "lost. Build the model again and train it with a smaller "
                "learning rate, or with data of mean 0 and deviation 1."
            )


def _num_rows(x):
    return len(next(iter(x.values())) if isinstance(x, dict) else x)


def _lazily(source, check_batch, steps, name):
    """Batches that Keras takes one at a time, checked as it does."""
    if hasattr(source, "__next__"):
        return checked_generator(source, check_batch, name)
    return CheckedBatches(source, check_batch, steps, name)


def _arguments(cls):
    """Constructor parameters of a class, Keras's own keywords last."""
    parameters = dict(inspect.signature(cls.__init__).parameters)
    parameters.pop("self")
    if parameters.pop("kwargs", None) is not None:
        for name in ("name", "dtype"):
            parameters[name] = inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None
            )
    return parameters


def _argument_names(cls):
    return [n for n in _arguments(cls) if n not in ("name", "dtype")]


def _serialized(value):
    """A constructor argument as JSON can hold it."""
    if isinstance(value, keras.layers.Layer):
        return keras.saving.serialize_keras_object(value)
    if isinstance(value, (list, tuple)):
        return [_serialized(part) for part in value]
    return value


def _deserialized(value, custom_objects):
    """What ``_serialized`` was given, networks anew."""
    if isinstance(value, list):
        return [_deserialized(part, custom_objects) for part in value]
    if isinstance(value, dict) and "class_name" in value:
        return keras.saving.deserialize_keras_object(value, custom_objects)
    return value


def _weight_of_classes(class_weight, classes):
    """One weight a row; classes that the dict leaves out count as 1."""
    if not isinstance(class_weight, dict):
        kind = type(class_weight).__name__
        check.fail("class_weight", "a dict from class to number", kind)
    for kind, weight in class_weight.items():
        check.check_number(weight, f"class_weight[{kind!r}]", 0.0)
    return np.array([class_weight.get(int(c), 1.0) for c in classes], "float32")
