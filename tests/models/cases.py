"""Every model that can be trained, made small, with a few rows for it.

``test_battery.py`` runs each way of giving data over each of these. A class
that ``utils.models`` exports and that is missing here fails the suite.
"""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from utils import models
from utils.evaluation.judge import Judge
from utils.nn.likelihoods import DiscretizedLogistic

__all__ = ["CASES", "CASE_OF", "Case"]

RNG = np.random.default_rng(0)
ROWS = RNG.random((8, 6)).astype("float32")
IMAGES = RNG.random((8, 4, 4, 1)).astype("float32")
OTHERS = RNG.random((8, 4, 4, 1)).astype("float32")
IDS = RNG.integers(3, 9, (8, 5)).astype("int32")
WORDS = RNG.integers(3, 9, (8, 4)).astype("int32")
LABELS = np.arange(8) % 3
PAIRS = RNG.integers(0, 4, (8, 2)).astype("int32")
RATINGS = RNG.integers(1, 6, 8).astype("float32")
TABLE = RNG.integers(1, 6, (8, 6)).astype("float32")
SEEN = (RNG.random((8, 6)) < 0.6).astype("float32")
SEEN[:, 0] = 1.0
GREYS = np.random.default_rng(1).integers(0, 5, (8, 6)) / 4.0
GREYS = GREYS.astype("float32")
LETTERS = np.eye(4, dtype="float32")[RNG.integers(0, 4, (8, 10))]
CHANCES = {
    "experts": RNG.random((8, 2)).astype("float32"),
    "evidence": RNG.random((8, 4)).astype("float32"),
    "context": RNG.integers(0, 9, (8, 3)).astype("int32"),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A model, rows for it and what it promises.

    Args:
        cls: Class of the model.
        builder: Its class method that makes it.
        arguments: Arguments of that, a seed apart.
        x: Array of rows, or a dict of them.
        y: What belongs to them, or ``None``.
        weighted: Whether ``sample_weight`` is used; refused otherwise.
        repeats: Whether a row of weight 2 is as good as two rows.
        labelled: Whether ``class_weight`` is used; refused otherwise.
        min_batch: Smallest number of rows in a batch.
        verbs: Method to its arguments, in order.
        ready: Called with a new model: what a first look at the data does.
        predicts: What ``predict`` takes, if not x.
        still: Layers that two steps do not move, by the objective.
        name: Id of the case; its class's name if empty.
    """

    cls: type
    builder: str
    arguments: dict
    x: object
    y: object = None
    weighted: bool = True
    repeats: bool = True
    labelled: bool = False
    min_batch: int = 1
    verbs: dict = dataclasses.field(default_factory=dict)
    ready: Callable = None
    predicts: object = None
    still: tuple = ()
    name: str = ""

    def model(self, seed=0, **changes):
        """A new model of that seed."""
        keras.utils.set_random_seed(seed)  # for what takes no seed
        make = getattr(self.cls, self.builder)
        return make(**{"seed": seed, **self.arguments, **changes})

    @property
    def inputs(self):
        """What ``predict`` takes."""
        return self.x if self.predicts is None else self.predicts


def codes(width=2):
    return RNG.normal(size=(8, width)).astype("float32")


def reading(x, *more):
    """Verbs of an autoencoder for rows like x."""
    return {
        "encode": (x,),
        "reconstruct": (x,),
        "example_losses": (x,),
        "decode": (codes(),),
    }


def dense(cls, *, x=ROWS, **arguments):
    """Case of a model ``cls.dense`` of rows, code of width 2."""
    given = {"input_shape": x.shape[1:], "latent_dim": 2, "widths": (4,)}
    return Case(cls, "dense", {**given, **arguments}, x, verbs=reading(x))


def changed(case, **changes):
    return dataclasses.replace(case, **changes)


def game(cls, **changes):
    arguments = {
        "input_shape": (6,),
        "latent_dim": 2,
        "generator_widths": (4,),
        "critic_widths": (4,),
    }
    verbs = {"generate": (codes(),), "critic_scores": (ROWS,)}
    case = Case(
        cls,
        "dense",
        arguments,
        ROWS,
        weighted=False,
        min_batch=2,
        verbs=verbs,
    )
    return changed(case, **changes)


LABELLED_VERBS = {
    "encode": (ROWS, LABELS),
    "reconstruct": (ROWS, LABELS),
    "example_losses": (ROWS, LABELS),
    "decode": (codes(), LABELS),
}
VARIATIONAL = {**reading(ROWS), "elbo": (ROWS,), "log_likelihood": (ROWS, 3)}
VIEWS = Case(
    models.SimCLR,
    "dense",
    {"input_shape": (4, 4, 1), "latent_dim": 2, "widths": (4,)},
    IMAGES,
    repeats=False,  # every other row is an alternative, whatever its weight
    min_batch=2,
    verbs={"encode": (IMAGES,)},
)
NOISY = {name: (ROWS, 0.5) for name in ("velocity", "denoise", "score")}
DIFFERENCES = ("code/bias",)  # of scores: a constant in all cancels
TEXT = {"vocabulary_size": 9, "embedding_dim": 3}

LEVELS = RNG.integers(0, 5, (8, 4, 4, 1)).astype("float32") / 4
BITS = RNG.integers(0, 2, (8, 6)).astype("float32")
AUTOREGRESSIVE = Case(
    models.Autoregressive,
    "made",
    {"input_shape": (6,), "widths": (4,)},
    BITS,
    verbs={
        "log_likelihood": (BITS,),
        "example_losses": (BITS,),
        "complete": (BITS, np.array([1, 1, 0, 0, 0, 0])),
    },
)

CASES = [
    dense(models.Autoencoder),
    changed(
        dense(models.Autoencoder, x=IMAGES, widths=(2,)),
        cls=models.Autoencoder,
        builder="conv",
        name="Autoencoder of images",
    ),
    dense(models.TiedAutoencoder),
    dense(models.DenoisingAutoencoder),
    dense(models.SparseAutoencoder),
    changed(
        dense(models.ContractiveAutoencoder),
        arguments={"input_shape": (6,), "latent_dim": 2},
    ),
    AUTOREGRESSIVE,
    changed(
        AUTOREGRESSIVE,
        builder="pixelcnn",
        arguments={
            "input_shape": (4, 4, 1),
            "filters": 3,
            "first_kernel": 3,
            "depth": 1,
            "likelihood": DiscretizedLogistic(5, 0.2),
        },
        x=LEVELS,
        verbs={
            "log_likelihood": (LEVELS,),
            "bits_per_dim": (LEVELS,),
            "entry_log_likelihood": (LEVELS,),
            "complete": (LEVELS, np.arange(16).reshape(4, 4, 1) < 12),
        },
        name="AutoregressivePixelCNN",
    ),
    changed(
        dense(models.DeepEmbeddedClustering, num_clusters=2),
        verbs={**reading(ROWS), "assign": (ROWS,), "cluster": (ROWS,)},
        ready=lambda model: model.start_clusters(ROWS),
        still=("hidden_1", "flat_output"),  # the decoder's, from there on
    ),
    Case(
        models.NeighborClustering,
        "dense",
        {"input_shape": (6,), "num_clusters": 2, "widths": (4,)},
        ROWS,
        ROWS[::-1].copy(),
        verbs={"assign": (ROWS,), "cluster": (ROWS,)},
    ),
    changed(
        dense(models.Compressor),
        ready=lambda model: model.before_training(ROWS),
    ),
    VIEWS,
    changed(VIEWS, cls=models.VICReg, builder="dense", weighted=False),
    changed(
        VIEWS,
        cls=models.BYOL,
        arguments={**VIEWS.arguments, "normalize": False},
        repeats=True,
        min_batch=1,
    ),
    changed(VIEWS, cls=models.DINO, min_batch=1, weighted=False),
    Case(
        models.Flow,
        "real_nvp",
        {"event_shape": (6,), "num_couplings": 2, "widths": (4,)},
        ROWS,
        ready=lambda model: model.before_training(ROWS),
        verbs={
            "encode": (ROWS,),
            "decode": (codes(6),),
            "log_likelihood": (ROWS,),
            "example_losses": (ROWS,),
        },
    ),
    Case(
        models.Flow,
        "spline",
        {
            "event_shape": (6,),
            "num_couplings": 2,
            "widths": (4,),
            "bins": 3,
            "levels": 5,
        },
        GREYS,
        ready=lambda model: model.before_training(GREYS),
        verbs={
            "encode": (GREYS,),
            "decode": (codes(6),),
            "log_likelihood": (GREYS, 2),
            "bits_per_dim": (GREYS,),
            "example_losses": (GREYS,),
        },
        name="Flow of grey levels",
    ),
    Case(
        models.Diffusion,
        "dense",
        {"input_shape": (6,), "widths": (4,)},
        ROWS,
        verbs=NOISY,
    ),
    Case(
        models.Diffusion,
        "conv",
        {"input_shape": (4, 4, 1), "widths": (2, 3), "target": "noise"},
        IMAGES,
        verbs={"denoise": (IMAGES, 0.5)},
        name="Diffusion of images",
    ),
    Case(
        models.Diffusion,
        "dense",
        {"input_shape": (6,), "widths": (4,), "num_classes": 3},
        ROWS,
        LABELS,
        predicts={"x": ROWS, "labels": LABELS},
        verbs=NOISY,
        name="Diffusion with classes",
    ),
    game(models.GAN),
    game(models.WGANGP, still=DIFFERENCES),
    game(models.RelativisticGAN, still=DIFFERENCES),
    game(
        models.ConditionalGAN,
        arguments={**game(models.GAN).arguments, "num_classes": 3},
        y=LABELS,
        predicts={"x": ROWS, "labels": LABELS},
        verbs={
            "generate": (codes(), LABELS),
            "critic_scores": (ROWS, LABELS),
        },
    ),
    Case(
        models.MotifAutoencoder,
        "conv",
        {"length": 10, "num_motifs": 2, "kernel_size": 3},
        LETTERS,
        verbs={
            "encode": (LETTERS,),
            "reconstruct": (LETTERS,),
            "example_losses": (LETTERS,),
        },
    ),
    Case(
        models.NGramMixture,
        "dense",
        {"order": 2, "vocabulary_size": 9, "window": 3, "widths": (4,)},
        CHANCES,
        verbs={"example_losses": (CHANCES,)},
    ),
    Case(
        models.RotationPredictor,
        "dense",
        {"input_shape": (4, 4, 1), "latent_dim": 2, "widths": (4,)},
        IMAGES,
        verbs={"encode": (IMAGES,)},
    ),
    dense(models.MaskedAutoencoder, x=IMAGES),
    Case(
        models.MaskedPatches,
        "transformer",
        {"input_shape": (4, 4, 1), "latent_dim": 4, "heads": 2, "depth": 1},
        IMAGES,
        verbs={"encode": (IMAGES,)},
    ),
    Case(
        models.AutoRec,
        "dense",
        {"num_columns": 6, "latent_dim": 2, "penalty": 0.0},
        TABLE,
        SEEN,
        predicts={"x": TABLE, "observed": SEEN},
        verbs={
            "encode": (TABLE, SEEN),
            "reconstruct": (TABLE, SEEN),
            "example_losses": (TABLE, SEEN),
        },
    ),
    Case(
        models.MatrixFactorization,
        "tables",
        {"num_users": 4, "num_items": 4, "latent_dim": 2},
        PAIRS,
        RATINGS,
        verbs={"rate": (PAIRS,)},
    ),
    Case(
        models.MultVAE,
        "dense",
        {"num_items": 6, "latent_dim": 2, "widths": (4,)},
        SEEN,
        verbs={
            "encode": (SEEN,),
            "reconstruct": (SEEN,),
            "example_losses": (SEEN,),
            "decode": (codes(),),
        },
    ),
    Case(
        models.DenoisingText,
        "bag",
        TEXT,
        IDS,
        verbs={"encode": (IDS,), "example_losses": (IDS,)},
    ),
    Case(
        models.LanguageModel,
        "gru",
        {**TEXT, "units": 3},
        IDS,
        verbs={"encode": (IDS,), "example_losses": (IDS,)},
    ),
    Case(
        models.LanguageModel,
        "attention",
        {**TEXT, "embedding_dim": 4, "causal": True, "heads": 2},
        IDS,
        verbs={"encode": (IDS,), "example_losses": (IDS,)},
        name="LanguageModelAttention",
    ),
    Case(
        models.MaskedLanguageModel,
        "attention",
        {**TEXT, "embedding_dim": 4, "causal": False, "heads": 2, "rate": 0.5},
        IDS,
        verbs={
            "encode": (IDS,),
            "example_losses": (IDS,),
            "fill": (np.where(IDS == 4, 1, IDS),),
        },
    ),
    Case(
        models.TextClassifier,
        "bag",
        {**TEXT, "num_classes": 3},
        IDS,
        LABELS,
        labelled=True,
        verbs={"encode": (IDS,), "classify": (IDS,)},
    ),
    Case(
        models.Translator,
        "conv",
        {"input_shape": (4, 4, 1), "widths": (2,)},
        IMAGES,
        OTHERS,
        verbs={"translate": (IMAGES,)},
    ),
    Case(
        models.UnpairedTranslator,
        "conv",
        {"input_shape": (4, 4, 1), "widths": (2,), "critic_widths": (2,)},
        IMAGES,
        OTHERS,
        weighted=False,
        predicts={"x": IMAGES, "y": OTHERS},
        still=("conv_1",),  # in its one step: what follows starts at zero
        verbs={"translate": (IMAGES,), "translate_back": (OTHERS,)},
    ),
    changed(dense(models.VAE), verbs=VARIATIONAL),
    changed(
        dense(models.ConditionalVAE, num_classes=3),
        y=LABELS,
        labelled=True,
        predicts={"x": ROWS, "labels": LABELS},
        verbs=LABELLED_VERBS,
    ),
    changed(
        dense(models.SemiSupervisedVAE, num_classes=3),
        y=LABELS,
        labelled=True,
        verbs={
            **LABELLED_VERBS,
            "classify": (ROWS,),
            "predict_classes": (ROWS,),
        },
    ),
    Case(
        models.VQVAE,
        "conv",
        {
            "input_shape": (4, 4, 1),
            "code_dim": 2,
            "widths": (2,),
            "codebook_size": 3,
        },
        IMAGES,
        ready=lambda model: model.before_training(IMAGES),
        verbs={
            "encode": (IMAGES,),
            "reconstruct": (IMAGES,),
            "example_losses": (IMAGES,),
        },
    ),
    Case(
        models.SkipGram,
        "tables",
        {"vocabulary_size": 9, "latent_dim": 2},
        WORDS,
    ),
    Case(
        models.GloVe,
        "tables",
        {"vocabulary_size": 9, "latent_dim": 2},
        WORDS[:, :2].copy(),
        RATINGS,
    ),
    Case(
        Judge,
        "dense",
        {
            "input_shape": (4, 4, 1),
            "num_classes": 3,
            "widths": (4,),
            "num_features": 3,
        },
        IMAGES,
        LABELS,
        labelled=True,
        verbs={
            "features": (IMAGES,),
            "classify": (IMAGES,),
            "predict_classes": (IMAGES,),
        },
    ),
]
CASES = [
    case if case.name else changed(case, name=case.cls.__name__)
    for case in CASES
]
CASE_OF = {case.name: case for case in CASES}
