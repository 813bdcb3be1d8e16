"""The families of models, one file each: ``from utils.models import VAE``.

Every file reads from top to bottom with ``base`` and the parts of
``utils.nn`` beside it. Where a model is a variant of another family it
imports that family's file: ``pretext``, ``motifs``, ``compression``,
``vector_quantized`` and ``clustering`` vary the autoencoder,
``recommenders`` the VAE, ``contrastive`` and ``masked`` the pretext task;
``distillation`` takes its networks and views from ``contrastive``,
``translation`` the rules of the game from ``gans``.
"""

from utils.models.autoencoders import (
    Autoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    SparseAutoencoder,
    TiedAutoencoder,
)
from utils.models.autoregressive import Autoregressive
from utils.models.clustering import DeepEmbeddedClustering, NeighborClustering
from utils.models.compression import Compressor, EntropyCoder
from utils.models.contrastive import SimCLR, VICReg
from utils.models.diffusion import Diffusion
from utils.models.distillation import BYOL, DINO
from utils.models.flows import (
    AffineCoupling,
    Flow,
    Marginals,
    Scaling,
    SplineCoupling,
)
from utils.models.gans import GAN, WGANGP, ConditionalGAN, RelativisticGAN
from utils.models.masked import MaskedPatches
from utils.models.motifs import MotifAutoencoder
from utils.models.ngram_mixture import NGramMixture
from utils.models.pretext import MaskedAutoencoder, RotationPredictor
from utils.models.recommenders import AutoRec, MatrixFactorization, MultVAE
from utils.models.text import (
    DenoisingText,
    LanguageModel,
    MaskedLanguageModel,
    TextClassifier,
)
from utils.models.translation import Translator, UnpairedTranslator
from utils.models.vaes import VAE, ConditionalVAE, SemiSupervisedVAE
from utils.models.vector_quantized import VQVAE
from utils.models.words import GloVe, SkipGram

__all__ = [
    "AffineCoupling",
    "AutoRec",
    "Autoencoder",
    "Autoregressive",
    "BYOL",
    "Compressor",
    "ConditionalGAN",
    "ConditionalVAE",
    "ContractiveAutoencoder",
    "DINO",
    "DeepEmbeddedClustering",
    "DenoisingAutoencoder",
    "DenoisingText",
    "Diffusion",
    "EntropyCoder",
    "Flow",
    "GAN",
    "GloVe",
    "LanguageModel",
    "Marginals",
    "MaskedAutoencoder",
    "MaskedLanguageModel",
    "MaskedPatches",
    "MatrixFactorization",
    "MotifAutoencoder",
    "MultVAE",
    "NGramMixture",
    "NeighborClustering",
    "RelativisticGAN",
    "RotationPredictor",
    "Scaling",
    "SemiSupervisedVAE",
    "SimCLR",
    "SkipGram",
    "SplineCoupling",
    "SparseAutoencoder",
    "TiedAutoencoder",
    "TextClassifier",
    "Translator",
    "UnpairedTranslator",
    "VAE",
    "VICReg",
    "VQVAE",
    "WGANGP",
]
