"""The models that ``make bench`` trains, each with its chapter's settings.

A family says how to build the Keras model, on which rows and with which
optimiser it trains, and which loop of ``bench_loops`` is the same model
written by hand. Nothing here imports Keras before a model is built: the
hand-written loops run in processes without it.
"""

import dataclasses
import os
from collections.abc import Callable

import numpy as np

SHAPE = (28, 28, 1)
MAX_ROWS = 32_000  # rows held in memory, of every data set
ITEMS = 800  # of the recommender's catalogue
CHARACTERS, LENGTH = 70, 128  # alphabet and row of the language model
WORDS, TEXT_LENGTH = 6000, 24
CODES = 32  # numbers a picture is written in before a flow draws it
DECAY_STEPS = 2000  # over which the learning rate falls along a cosine
VIEWS = {"shift": 2.0, "affine": 0.2}


@dataclasses.dataclass(frozen=True)
class Family:
    """One row of the tables.

    Attributes:
        name: As printed.
        chapter: Where the settings come from.
        data: A key of ``DATA``.
        build: Makes the Keras model, given the rows.
        batch: Rows a step.
        rate: Adam's first learning rate; it falls along a cosine.
        betas: Adam's decay rates.
        steps: Batches handed to TensorFlow at once.
        reason: Why TensorFlow is slower than the loop by hand, where it is.
    """

    name: str
    chapter: str
    data: str
    build: Callable
    batch: int = 128
    rate: float = 1e-3
    betas: tuple = (0.9, 0.999)
    steps: int = 32
    reason: str = ""


# ------------------------------------------------------------------- rows


def images():
    """MNIST if ``COURSE_DATA`` has it, else digits enlarged to its shape."""
    from utils import data

    if os.environ.get("COURSE_DATA"):
        rows = data.load("mnist").x_train
    else:
        small = data.load("digits").x_train  # (n, 8, 8, 1)
        large = small.repeat(3, axis=1).repeat(3, axis=2)
        rows = np.pad(large, ((0, 0), (2, 2), (2, 2), (0, 0)))
    return np.resize(rows, (MAX_ROWS, *SHAPE)).astype("float32")


def feedback():
    """Rows of 0 and 1: popular items are used by many."""
    rng = np.random.default_rng(0)
    popularity = 0.4 / np.sqrt(1.0 + np.arange(ITEMS))
    rows = rng.random((MAX_ROWS // 2, ITEMS)) < popularity
    rows[:, 0] = True  # nobody used nothing
    return rows.astype("float32")


def token_ids(rows, length, vocabulary):
    """Ids from 3 on, the first more frequent, as in any language."""
    rng = np.random.default_rng(0)
    draws = rng.random((rows, length)) ** 3 * (vocabulary - 3)
    return (3 + draws).astype("int32")


def bits():
    """The images, each pixel 0 or 1."""
    return (images() > 0.5).astype("float32")


def moons():
    """Two half circles."""
    from sklearn.datasets import make_moons

    return make_moons(MAX_ROWS, noise=0.1, random_state=0)[0].astype("float32")


def codes():
    """Rows of 32 numbers that hang together."""
    rng = np.random.default_rng(0)
    mixed = rng.standard_normal((MAX_ROWS, 8)) @ rng.standard_normal((8, CODES))
    return np.tanh(mixed).astype("float32")


DATA = {
    "images": images,
    "bits": bits,
    "moons": moons,
    "codes": codes,
    "feedback": feedback,
    "characters": lambda: token_ids(MAX_ROWS // 4, LENGTH, CHARACTERS),
    "words": lambda: token_ids(MAX_ROWS, TEXT_LENGTH, WORDS),
}


def describe_images():
    """What the images are, in words for the page."""
    if os.environ.get("COURSE_DATA"):
        return "MNIST"
    return "scikit-learn's digits, enlarged to MNIST's shape"


# ----------------------------------------------------------------- models


def dense_autoencoder(x):
    """Chapter 2, full profile."""
    from utils.models import Autoencoder
    from utils.nn.likelihoods import Bernoulli

    return Autoencoder.dense(
        SHAPE, 32, widths=(512,), likelihood=Bernoulli(), seed=0
    )


def conv_autoencoder(x):
    """Chapter 2, full profile."""
    from utils.models import Autoencoder
    from utils.nn.likelihoods import Bernoulli

    return Autoencoder.conv(
        SHAPE, 32, widths=(16, 64), likelihood=Bernoulli(), seed=0
    )


def vae(x):
    """Chapter 4, full profile: the model of Kingma and Welling."""
    from utils.models import VAE

    return VAE.dense(SHAPE, 20, widths=(400,), seed=0)


def conv_vae(x):
    """The model of chapter 4 with the networks of chapter 3."""
    from utils.models import VAE

    return VAE.conv(SHAPE, 20, widths=(32, 64), seed=0)


def vqvae(x):
    """Chapter 4, full profile, its code book placed on the data."""
    from utils.models.vector_quantized import VQVAE

    model = VQVAE.conv(
        SHAPE, codebook_size=64, code_dim=8, widths=(16, 32), seed=0
    )
    model.before_training(x[:500])
    return model


def gan(x):
    """Chapter 3, full profile, without penalties."""
    from utils.models.gans import GAN

    return GAN.conv(
        SHAPE,
        32,
        generator_widths=(64, 32),
        critic_widths=(32, 64),
        seed=0,
    )


def wgan_gp(x):
    """Dense networks of chapter 3 with the penalty of Gulrajani et al."""
    from utils.models.gans import WGANGP

    widths = {"generator_widths": (256, 256), "critic_widths": (256, 256)}
    return WGANGP.dense(SHAPE, 32, **widths, seed=0)


def simclr(x):
    """Chapter 5, full profile."""
    from utils.models.contrastive import SimCLR
    from utils.nn.augmentation import Augmentation

    views = Augmentation(**VIEWS, seed=0)
    return SimCLR.conv(SHAPE, 128, augmentation=views, seed=0)


def embedded_clustering(x):
    """Chapter 6f, full profile, once the clusters have been started."""
    from utils.models.clustering import DeepEmbeddedClustering
    from utils.nn.likelihoods import Bernoulli

    model = DeepEmbeddedClustering.dense(
        SHAPE,
        10,
        num_clusters=10,
        widths=(500, 250),
        likelihood=Bernoulli(),
        reconstruction_weight=1.0,
        seed=0,
    )
    model.start_clusters(x[:500])
    return model


def mult_vae(x):
    """Chapter 6c."""
    from utils.models.recommenders import MultVAE

    return MultVAE.dense(
        ITEMS, 64, widths=(256,), beta=0.2, dropout=0.5, seed=0
    )


def language_model(x):
    """Chapter 6d: characters, by a convolution."""
    from utils.models.text import LanguageModel

    return LanguageModel.conv(CHARACTERS, 24, 128, window=10, seed=0)


def denoising_text(x):
    """Chapter 5, full profile: bags of words."""
    from utils.models.text import DenoisingText

    return DenoisingText.bag(WORDS, 64, rate=0.3, seed=0)


def made(x):
    """Chapter 7a: masked dense layers on bits."""
    from utils.models import Autoregressive
    from utils.nn.likelihoods import Bernoulli

    return Autoregressive.made(
        SHAPE, likelihood=Bernoulli(), widths=(512,), skip=False, seed=0
    )


def real_nvp(x):
    """Chapter 7b: eight couplings on two moons, scaled to the data."""
    from utils.models import Flow

    model = Flow.real_nvp((2,), 8, widths=(64, 64), seed=0)
    model.before_training(x)
    return model


def flow_matching(x):
    """Chapter 7d, full profile: from noise to an autoencoder's codes."""
    from utils.models import Diffusion

    return Diffusion.dense((CODES,), widths=(512, 512, 512), seed=0)


def attention(x):
    """Chapter 6i: one causal block over characters."""
    from utils.models.text import LanguageModel

    return LanguageModel.attention(CHARACTERS, 64, causal=True, seed=0)


CALM = (0.0, 0.9)  # Adam's decay rates in a game, see chapter 3

FAMILIES = (
    Family("dense autoencoder", "2", "images", dense_autoencoder, 64, 3e-3),
    Family(
        "convolutional autoencoder", "2", "images", conv_autoencoder, 64, 3e-3
    ),
    Family("VAE 784–400–20", "4", "images", vae, 128, 3e-3, steps=48),
    Family("convolutional VAE", "4", "images", conv_vae, 128, 3e-3, steps=48),
    Family("VQ-VAE", "4", "images", vqvae, 128, 3e-3, steps=48),
    Family("convolutional GAN", "3", "images", gan, 64, 2e-3, CALM, 50),
    Family("WGAN-GP", "3", "images", wgan_gp, 64, 2e-3, CALM, 50),
    Family("SimCLR", "5", "images", simclr, 256),
    Family(
        "deep embedded clustering", "6f", "images", embedded_clustering, 256
    ),
    Family("Mult-VAE", "6c", "feedback", mult_vae, 128, 5e-3),
    Family("language model", "6d", "characters", language_model, 16, 4e-3),
    Family("text denoiser", "5", "words", denoising_text, 256, 1e-2),
    Family("MADE", "7a", "bits", made, 128, 3e-3),
    Family("RealNVP", "7b", "moons", real_nvp, 250, 1e-2),
    Family("flow matching", "7d", "codes", flow_matching, 256, 2e-3),
    Family(
        "attention",
        "6i",
        "characters",
        attention,
        16,
        5e-3,
        reason="PyTorch has one kernel for masked, normalised scores, here "
        "they are tensors of their own (with oneDNN, off in the course, "
        "1.4 times as fast).",
    ),
)
