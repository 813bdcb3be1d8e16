"""A network that learns from a slow copy of itself, without negatives.

Two views of one image; a student predicts what a teacher says of the other
view, and the teacher follows the student as a moving average. Nothing in the
objective forbids a constant answer. What keeps the two from it differs:
BYOL's student has a predictor that its teacher lacks, DINO's teacher is
centred and sharpened.
"""

import keras
from keras import ops

from utils.models.base import builds, shapes_of, weighted_mean
from utils.models.contrastive import _conv, _dense, _project_views, _unit
from utils.models.pretext import PretextModel
from utils.nn import networks
from utils.nn.layers import PACKAGE
from utils.support import validation as check

__all__ = ["BYOL", "DINO", "cosine_distance", "dino_loss"]


def cosine_distance(student, teacher):
    """2 − 2 cos of rows: the squared distance of their directions.

    Args:
        student: Tensor ``(n, p)``.
        teacher: Tensor ``(n, p)``; no gradient flows into it.

    Returns:
        Tensor ``(n,)`` from 0 to 4.
    """
    student = _unit(ops.cast(student, "float32"))
    teacher = ops.stop_gradient(_unit(ops.cast(teacher, "float32")))
    return 2.0 - 2.0 * ops.sum(student * teacher, axis=1)


def dino_loss(
    student, teacher, center, *, temperature=0.1, teacher_temperature=0.04
):
    """Cross-entropy of a student's and a teacher's softmax, in nats.

    −Σ_k softmax((t − c) / τ_t)_k log softmax(s / τ_s)_k (Caron et al. 2021).

    Args:
        student: Scores s ``(n, k)``.
        teacher: Scores t ``(n, k)``; no gradient flows into them.
        center: c ``(k,)``, usually a moving average of t.
        temperature: τ_s > 0.
        teacher_temperature: τ_t > 0; smaller is sharper.

    Returns:
        Tensor ``(n,)``, nats.
    """
    student = ops.cast(student, "float32") / temperature
    teacher = ops.cast(teacher, "float32") - ops.cast(center, "float32")
    teacher = teacher / teacher_temperature
    target = ops.stop_gradient(ops.softmax(teacher, axis=1))
    return -ops.sum(target * ops.log_softmax(student, axis=1), axis=1)


@keras.saving.register_keras_serializable(package=PACKAGE)
class BYOL(PretextModel):
    """Predict how a slow copy of oneself sees the other view.

    Grill et al. (2020): encoder f, projector g, predictor q; the teacher has
    f′ and g′, moving averages of f and g, and no predictor. The loss is
    :func:`cosine_distance` of q(g(f(v))) and g′(f′(v′)), both ways.

    Example:

    >>> model = BYOL.dense((8, 8, 1), 6, widths=(16,), seed=0)
    >>> model.encode(np.zeros((5, 8, 8, 1))).shape
    (5, 6)

    Args:
        encoder: Keras model from ``(batch, *input_shape)`` to codes.
        projector: Keras model from codes to vectors ``(batch, p)``.
        predictor: Keras model ``(batch, p)`` → ``(batch, p)``.
        augmentation: As for ``SimCLR``.
        momentum: m in [0, 1]; 1 never moves the teacher, with 0 it is the
            student of one step ago.
        seed: Integer seed of the usual views, or ``None``.

    Loss:
        Sum over both directions, mean over pairs, from 0 to 8, plus
        ``self.losses``. Metric ``spread``: mean deviation of the entries of
        the teacher's normalised projections, 1/√p when they point
        everywhere, 0 when they have collapsed.

    Raises:
        ValueError: a projector that does not take the codes, a predictor of
            other widths, a momentum out of range; what ``PretextModel``
            refuses.
    """

    def __init__(
        self,
        encoder,
        projector,
        predictor,
        *,
        augmentation=None,
        momentum=0.99,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        _with_teacher(self, projector, augmentation, momentum, seed)
        ends = shapes_of(predictor, "predictor")
        if ends != ((self.width,),) * 2:
            check.fail(
                "predictor", f"{self.width} numbers in and out", f"{ends}"
            )
        self.predictor = predictor
        self.built = True

    @builds("encoder", "projector", "predictor")
    def dense(
        input_shape,
        latent_dim,
        *,
        widths=(128,),
        activation="relu",
        projection=(128, 64),
        prediction=(128,),
        normalize=True,
        seed=None,
        dtype=None,
    ):
        """A dense encoder, projector and predictor.

        Args:
            input_shape: ``(height, width, channels)`` for the usual views.
            latent_dim: Width of the code.
            widths: Hidden units of the encoder, input side first.
            activation: Activation of the hidden layers.
            projection: Units of the projector's layers, at least one.
            prediction: Hidden units of the predictor.
            normalize: Batch normalisation in the hidden layers of projector
                and predictor. Without it small networks collapse; the rows
                of a batch then do not depend on each other.
            seed: Integer seed of initial weights and of the usual views, or
                ``None``.
            dtype: Dtype policy of networks and model.
        """
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        encoder, _ = _dense(input_shape, latent_dim, widths=widths, **shared)
        rest = (projection, prediction, activation, normalize, seed, dtype)
        return (encoder, *_two_heads(latent_dim, *rest))

    @builds("encoder", "projector", "predictor")
    def conv(
        input_shape,
        latent_dim,
        *,
        widths=(32, 64),
        activation="relu",
        projection=(128, 64),
        prediction=(128,),
        normalize=True,
        seed=None,
        dtype=None,
    ):
        """As :meth:`dense`, the encoder of convolutions of stride 2.

        ``widths`` are filters, at least one; each halves the sides.
        """
        shared = {"activation": activation, "seed": seed, "dtype": dtype}
        encoder, _ = _conv(input_shape, latent_dim, widths=widths, **shared)
        rest = (projection, prediction, activation, normalize, seed, dtype)
        return (encoder, *_two_heads(latent_dim, *rest))

    def call(self, inputs, training=False):
        """What student and teacher say of two views, as ``_answers``."""
        return _answers(self, inputs, training)

    def student(self, views, training):
        """Predictions of the teacher's projections, ``(batch, p)``."""
        codes = self.encoder(views, training=training)
        made = self.projector(codes, training=training)
        return self.predictor(made, training=training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        error = cosine_distance(
            y_pred["student_first"], y_pred["teacher_second"]
        ) + cosine_distance(y_pred["student_second"], y_pred["teacher_first"])
        _track_spread(self, y_pred["teacher_first"])
        if training:
            _follow(self)
        return self.add_losses(weighted_mean(error, sample_weight))


@keras.saving.register_keras_serializable(package=PACKAGE)
class DINO(PretextModel):
    """Guess the class that a slow copy of oneself gives the other view.

    Caron et al. (2021): the projector's outputs are scores of invented
    classes, and the student's softmax is to match the teacher's by
    :func:`dino_loss`. Two ways to collapse, two guards: **centring** takes
    the mean score of each class away, so that none can win for all images;
    a teacher **sharper** than the student cannot answer "all alike".

    Example:

    >>> model = DINO.dense((8, 8, 1), 6, widths=(16,), seed=0)
    >>> model.encode(np.zeros((5, 8, 8, 1))).shape
    (5, 6)

    Args:
        encoder, momentum, seed: As for :class:`BYOL`.
        projector: Keras model from codes to scores ``(batch, k)``.
        augmentation: As for ``SimCLR``.
        temperature: τ_s > 0 of the student.
        teacher_temperature: τ_t > 0.
        centring: Subtract the moving mean of the teacher's scores.
        center_momentum: How slowly that mean moves, in [0, 1].

    Loss:
        Nats, sum over both directions, mean over pairs, plus
        ``self.losses``. The centre belongs to a batch, not to a row: sample
        weights are refused. Metrics: ``spread`` as for :class:`BYOL`, and
        ``classes``: exp of the entropy of the teacher's mean answer, the
        number of invented classes in use; 1 is collapse.

    Raises:
        ValueError: as for :class:`BYOL`; weights of rows.
    """

    weighted = False

    def __init__(
        self,
        encoder,
        projector,
        *,
        augmentation=None,
        momentum=0.99,
        temperature=0.1,
        teacher_temperature=0.04,
        centring=True,
        center_momentum=0.9,
        seed=None,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        _with_teacher(self, projector, augmentation, momentum, seed)
        self.temperature = check.check_number(temperature, "temperature", 1e-3)
        self.teacher_temperature = check.check_number(
            teacher_temperature, "teacher_temperature", 1e-3
        )
        self.centring = check.check_flag(centring, "centring")
        self.center_momentum = check.check_number(
            center_momentum, "center_momentum", 0.0, 1.0
        )
        self.center = self.add_weight(
            name="center",
            shape=(self.width,),
            initializer="zeros",
            trainable=False,
        )
        self.classes_tracker = keras.metrics.Mean(name="classes")
        self.built = True

    dense = builds("encoder", "projector")(_dense)
    conv = builds("encoder", "projector")(_conv)

    def call(self, inputs, training=False):
        """What student and teacher say of two views, as ``_answers``."""
        return _answers(self, inputs, training)

    def student(self, views, training):
        """Scores of the invented classes, ``(batch, k)``."""
        codes = self.encoder(views, training=training)
        return self.projector(codes, training=training)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        center = ops.cast(self.center, "float32")
        taus = {
            "temperature": self.temperature,
            "teacher_temperature": self.teacher_temperature,
        }
        first, second = y_pred["teacher_first"], y_pred["teacher_second"]
        error = dino_loss(y_pred["student_first"], second, center, **taus)
        error = error + dino_loss(
            y_pred["student_second"], first, center, **taus
        )
        scores = ops.cast(ops.concatenate([first, second]), "float32")
        _track_spread(self, first)
        answer = ops.mean(
            ops.softmax((scores - center) / self.teacher_temperature), axis=0
        )
        entropy = -ops.sum(answer * ops.log(answer + 1e-12))
        self.classes_tracker.update_state(ops.exp(entropy))
        if training:
            _follow(self)
            if self.centring:
                kept = self.center_momentum
                mean = ops.mean(scores, axis=0)
                self.center.assign(kept * center + (1.0 - kept) * mean)
        return self.add_losses(ops.mean(error))


def _with_teacher(model, projector, augmentation, momentum, seed):
    """What both families keep beside projector and views: a teacher."""
    _project_views(model, projector, augmentation, seed)
    model.momentum = check.check_number(momentum, "momentum", 0.0, 1.0)
    model.target_encoder = _copy(model.encoder)
    model.target_projector = _copy(projector)
    model.spread_tracker = keras.metrics.Mean(name="spread")


def _answers(model, inputs, training):
    """What student and teacher say of two views of each row.

    Views are drawn in ``evaluate`` and ``predict`` as well; ``encode`` draws
    none.

    Returns:
        ``{"student_first", "student_second", "teacher_first",
        "teacher_second"}``, each ``(batch, p)``.
    """
    rows = ops.shape(inputs)[0]
    views = ops.concatenate([inputs, inputs], axis=0)
    views = model.augmentation(views, training=True)
    student = model.student(views, training)
    teacher = model.target_encoder(views, training=training)
    teacher = model.target_projector(teacher, training=training)
    teacher = ops.stop_gradient(teacher)
    return {
        "student_first": student[:rows],
        "student_second": student[rows:],
        "teacher_first": teacher[:rows],
        "teacher_second": teacher[rows:],
    }


def _follow(model):
    """One step of the teacher: θ′ ← m θ′ + (1 − m) θ.

    ``compute_loss`` takes it while training, before the student's step: the
    teacher lags by one.
    """
    kept = model.momentum
    for mine, its in (
        (model.encoder, model.target_encoder),
        (model.projector, model.target_projector),
    ):
        for new, old in zip(mine.weights, its.weights, strict=True):
            if "float" in str(old.dtype):  # seeds have states, too
                new = ops.stop_gradient(new.value)
                old.assign(old.value + (1.0 - kept) * (new - old.value))


def _track_spread(model, teacher):
    """Deviation of the teacher's directions, 0 once all agree."""
    rows = _unit(ops.cast(teacher, "float32"))
    model.spread_tracker.update_state(ops.mean(ops.std(rows, axis=0)))


def _copy(network):
    """The same network with the same weights, none of which is trained."""
    copied = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(network)
    )
    copied.set_weights(network.get_weights())
    copied.trainable = False
    return copied


def _two_heads(
    latent_dim, projection, prediction, activation, normalize, seed, dtype
):
    """Projector of codes and predictor of another's projections."""
    normalize = check.check_flag(normalize, "normalize")
    projection = check.check_widths(projection, "projection")
    prediction = check.check_widths(prediction, "prediction")
    if not projection:
        check.fail("projection", "at least one width", "()")
    width = projection[-1]
    rest = (activation, normalize, seed, dtype)
    return (
        _mlp("projector", latent_dim, projection, 500, *rest),
        _mlp("predictor", width, (*prediction, width), 700, *rest),
    )


def _mlp(name, width, widths, number, activation, normalize, seed, dtype):
    """Dense layers, the last one linear, the others normalised."""
    inputs = hidden = keras.Input((width,), name="z")
    for index, units in enumerate(widths, start=1):
        hidden = keras.layers.Dense(
            units,
            kernel_initializer=networks.glorot(seed, number + index),
            name=f"dense_{index}",
            dtype=dtype,
        )(hidden)
        if index < len(widths):
            if normalize:
                hidden = keras.layers.BatchNormalization(
                    momentum=0.9, name=f"normal_{index}", dtype=dtype
                )(hidden)
            hidden = keras.layers.Activation(
                activation, name=f"active_{index}", dtype=dtype
            )(hidden)
    return keras.Model(inputs, hidden, name=name)
