"""The course's models as plain PyTorch loops: what ``make bench`` compares.

Each class is one model written as one would by hand: modules, a loss, the
usual five lines of a training step. It starts from the Keras model's own
weights, which also proves that both have the same layers.
"""

import math

import numpy as np
import torch
from bench_families import (
    CHARACTERS,
    CODES,
    DECAY_STEPS,
    ITEMS,
    TEXT_LENGTH,
    VIEWS,
    WORDS,
)
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

PIXELS = 28 * 28


def mlp(*sizes, hidden=nn.ReLU):
    """Dense layers between sizes, linear at the end."""
    layers = []
    for index in range(len(sizes) - 1):
        layers.append(nn.Linear(sizes[index], sizes[index + 1]))
        if index < len(sizes) - 2:
            layers.append(hidden())
    return nn.Sequential(*layers)


def conv_body(first, second, hidden=nn.ReLU):
    """Two convolutions of stride 2: 28 × 28 pixels to 7 × 7 vectors.

    The row and column of zeros that they need are Keras's, below and right.
    """
    border = (0, 1, 0, 1)
    return nn.Sequential(
        nn.ZeroPad2d(border),
        nn.Conv2d(1, first, 3, 2),
        hidden(),
        nn.ZeroPad2d(border),
        nn.Conv2d(first, second, 3, 2),
        hidden(),
    )


def of_maps(linear, *, inputs=0, outputs=0):
    """Mark the side of a dense layer that is a map of so many channels.

    PyTorch flattens a map channel by channel, Keras pixel by pixel;
    ``load`` puts the weights in order.
    """
    linear.channels = (outputs, inputs)  # by the axis of the weight
    return linear


def conv_encoder(latent, first, second, hidden=nn.ReLU):
    """Two convolutions of stride 2, flatten, dense."""
    return nn.Sequential(
        conv_body(first, second, hidden),
        nn.Flatten(),
        of_maps(nn.Linear(49 * second, latent), inputs=second),
    )


def conv_tail(first, second):
    """Two transposed convolutions of stride 2: 7 × 7 to 28 × 28."""
    return nn.Sequential(
        nn.ConvTranspose2d(first, second, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(second, 1, 4, 2, 1),
    )


def conv_decoder(latent, first, second):
    """Dense to a 7 × 7 map, two transposed convolutions of stride 2."""
    return nn.Sequential(
        of_maps(nn.Linear(latent, 49 * first), outputs=first),
        nn.ReLU(),
        nn.Unflatten(1, (first, 7, 7)),
        conv_tail(first, second),
    )


def bernoulli(logits, x):
    """Cross-entropy in nats per example, mean over the batch."""
    total = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    return total / len(x)


def leaky():
    """The critics' activation."""
    return nn.LeakyReLU(0.2)


class Counter(TorchDispatchMode):
    """Counts the operations of products and convolutions inside a block.

    PyTorch's own ``FlopCounterMode`` also follows modules, and fails where
    a gradient is taken inside a loss.
    """

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **kwargs, out_val=out)
        return out


class Loop(nn.Module):
    """A model, its loss and the loop that trains it.

    A subclass builds its modules in the order of the Keras model's weights
    and defines ``loss(batch)``. The rate falls over ``decay_steps``; with
    ``None`` it stays.
    """

    decay_steps = DECAY_STEPS

    def __init__(self, family, rows, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.family = family
        self.rows = torch.from_numpy(rows).to(torch.get_default_device())
        self.build()
        self.start()

    def start(self):
        """A fresh optimiser."""
        self.adam = torch.optim.Adam(
            self.parameters(),
            lr=self.family.rate,
            betas=self.family.betas,
            eps=1e-7,
        )
        self.steps_done = 0

    def step(self, batch):
        """One update; returns the loss."""
        if self.decay_steps is not None:
            done = min(self.steps_done / self.decay_steps, 1.0)
            rate = 0.5 * self.family.rate * (1.0 + math.cos(math.pi * done))
            self.adam.param_groups[0]["lr"] = rate
        self.steps_done += 1
        loss = self.loss(batch)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        return loss.detach()

    def fit(self, num_rows, epochs):
        """Train; returns the mean loss of the last epoch."""
        size = self.family.batch
        for _ in range(epochs):
            order = torch.randperm(num_rows)
            total = torch.zeros(())
            for start in range(0, num_rows, size):
                rows = self.rows[order[start : start + size]]
                total += self.step(rows) * len(rows)
        return float(total) / num_rows

    def flops(self):
        """Floating-point operations of products and convolutions, a row."""
        size = self.family.batch
        with Counter() as counter:
            self.step(self.rows[:size])
        return counter.total / size

    def load(self, weights):
        """Copy the weights of the Keras model; shapes must agree."""
        ours = list(self.parameters())
        if len(ours) != len(weights):
            raise ValueError(f"{len(ours)} tensors here, {len(weights)} there")
        modules = {
            id(weight): module
            for module in self.modules()
            for weight in module.parameters(recurse=False)
        }
        with torch.no_grad():
            for mine, theirs in zip(ours, weights, strict=True):
                theirs = torch.from_numpy(
                    _layout(modules[id(mine)], np.array(theirs))
                )
                if mine.shape != theirs.shape:
                    raise ValueError(f"{mine.shape} here, {theirs.shape} there")
                mine.copy_(theirs)
        self.start()


def _layout(module, weight):
    """A Keras weight with its axes in PyTorch's order."""
    if weight.ndim == 4:
        return weight.transpose(3, 2, 0, 1)  # also of a transposed one
    if isinstance(module, nn.Linear):  # Keras's attention keeps heads apart
        if weight.size == module.out_features:
            weight = weight.ravel()
        elif weight.ndim == 3:
            weight = weight.reshape(-1, module.out_features)
    elif weight.ndim == 3:
        return weight.transpose(2, 1, 0)
    else:
        return weight
    weight = weight.T
    for axis, channels in enumerate(getattr(module, "channels", ())):
        if channels and axis < weight.ndim:
            order = np.arange(weight.shape[axis]).reshape(-1, channels)
            weight = weight.take(order.T.ravel(), axis)
    return weight


class DenseAutoencoder(Loop):  # noqa: D101
    def build(self):
        self.encoder = mlp(PIXELS, 512, 32)
        self.decoder = mlp(32, 512, PIXELS)

    def loss(self, x):
        x = x.flatten(1)
        return bernoulli(self.decoder(self.encoder(x)), x)


class ConvAutoencoder(Loop):  # noqa: D101
    def build(self):
        self.encoder = conv_encoder(32, 16, 64)
        self.decoder = conv_decoder(32, 64, 16)

    def loss(self, x):
        x = x.reshape(-1, 1, 28, 28)
        return bernoulli(self.decoder(self.encoder(x)), x)


def draw(mean, log_var):
    """One draw of N(mean, e^log_var), and its divergence from N(0, I)."""
    z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
    kl = 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var).sum(1).mean()
    return z, kl


class VAE(Loop):  # noqa: D101
    beta = 1.0

    def build(self):
        self.body = nn.Sequential(nn.Linear(PIXELS, 400), nn.ReLU())
        self.mean, self.log_var = nn.Linear(400, 20), nn.Linear(400, 20)
        self.decoder = mlp(20, 400, PIXELS)

    def loss(self, x):
        x = x.flatten(1)
        hidden = self.body(x)
        z, kl = draw(self.mean(hidden), self.log_var(hidden))
        return bernoulli(self.decoder(z), x) + kl


class ConvVAE(Loop):  # noqa: D101
    def build(self):
        self.body = nn.Sequential(conv_body(32, 64), nn.Flatten())
        self.mean = of_maps(nn.Linear(3136, 20), inputs=64)
        self.log_var = of_maps(nn.Linear(3136, 20), inputs=64)
        self.decoder = conv_decoder(20, 64, 32)

    def loss(self, x):
        x = x.reshape(-1, 1, 28, 28)
        hidden = self.body(x)
        z, kl = draw(self.mean(hidden), self.log_var(hidden))
        return bernoulli(self.decoder(z), x) + kl


class VQVAE(Loop):  # noqa: D101
    def build(self):
        self.encoder = nn.Sequential(
            conv_body(16, 32), nn.Conv2d(32, 8, 3, padding=1)
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(8, 32, 3, padding=1), nn.ReLU(), conv_tail(32, 16)
        )
        self.codebook = nn.Embedding(64, 8)

    def loss(self, x):
        x = x.reshape(-1, 1, 28, 28)
        vectors = self.encoder(x).permute(0, 2, 3, 1)  # (n, 7, 7, 8)
        book = self.codebook.weight
        scores = book.square().sum(1) - 2.0 * vectors @ book.T
        chosen = self.codebook(scores.argmin(-1))
        straight = vectors + (chosen - vectors).detach()
        logits = self.decoder(straight.permute(0, 3, 1, 2))
        pull = (vectors.detach() - chosen).square().sum()
        commit = (vectors - chosen.detach()).square().sum()
        return bernoulli(logits, x) + (pull + 0.25 * commit) / len(x)


class GAN(Loop):  # noqa: D101
    def build(self):
        self.generator = nn.Sequential(conv_decoder(32, 64, 32), nn.Sigmoid())
        self.critic = conv_encoder(1, 32, 64, leaky)

    def scores(self, x):
        """Scores of real rows, of generated ones for D and for G."""
        fake = self.generator(torch.randn(len(x), 32))
        real, caught = self.critic(x), self.critic(fake.detach())
        self.critic.requires_grad_(False)  # G's loss must not move D
        fooled = self.critic(fake)
        self.critic.requires_grad_(True)
        return real, caught, fooled, fake.detach()

    def loss(self, x):
        x = x.reshape(-1, 1, 28, 28)
        real, caught, fooled, _ = self.scores(x)
        d_loss = F.softplus(-real).mean() + F.softplus(caught).mean()
        return d_loss + F.softplus(-fooled).mean()


class WGANGP(GAN):  # noqa: D101
    def build(self):
        self.generator = nn.Sequential(mlp(32, 256, 256, PIXELS), nn.Sigmoid())
        self.critic = mlp(PIXELS, 256, 256, 1, hidden=leaky)

    def loss(self, x):
        x = x.flatten(1)
        real, caught, fooled, fake = self.scores(x)
        alpha = torch.rand(len(x), 1)
        between = (alpha * x + (1.0 - alpha) * fake).requires_grad_(True)
        (slope,) = torch.autograd.grad(
            self.critic(between).sum(), between, create_graph=True
        )
        excess = (slope.square().sum(1) + 1e-12).sqrt() - 1.0
        d_loss = caught.mean() - real.mean() + 10.0 * excess.square().mean()
        return d_loss - fooled.mean()


class SimCLR(Loop):  # noqa: D101
    temperature = 0.5

    def build(self):
        self.encoder = conv_encoder(128, 32, 64)
        self.projector = mlp(128, 128, 64)

    def views(self, x):
        """Images turned, slanted, zoomed and shifted at random."""
        n = len(x)
        matrix = torch.eye(2) + VIEWS["affine"] * (2 * torch.rand(n, 2, 2) - 1)
        shift = VIEWS["shift"] / 13.5 * (2 * torch.rand(n, 2, 1) - 1)
        theta = torch.cat([matrix, shift], dim=2)
        grid = F.affine_grid(theta, x.shape, align_corners=True)
        return F.grid_sample(x, grid, align_corners=True)

    def loss(self, x):
        n = len(x)
        x = x.reshape(-1, 1, 28, 28)
        z = self.projector(self.encoder(self.views(torch.cat([x, x]))))
        z = F.normalize(z, dim=1)
        similarity = (z @ z.T / self.temperature).masked_fill(
            torch.eye(2 * n, dtype=torch.bool), -1e9
        )
        partner = torch.cat([torch.arange(n, 2 * n), torch.arange(n)])
        return F.cross_entropy(similarity, partner)


class EmbeddedClustering(Loop):  # noqa: D101
    def build(self):
        self.centers = nn.Parameter(torch.zeros(10, 10))
        self.encoder = mlp(PIXELS, 500, 250, 10)
        self.decoder = mlp(10, 250, 500, PIXELS)

    def loss(self, x):
        x = x.flatten(1)
        z = self.encoder(x)
        kernel = 1.0 / (1.0 + (z[:, None] - self.centers).square().sum(2))
        q = kernel / kernel.sum(1, keepdim=True)
        with torch.no_grad():
            p = q.square() / q.sum(0)
            p = p / p.sum(1, keepdim=True)
        divergence = (p * ((p + 1e-9).log() - (q + 1e-9).log())).sum(1)
        return bernoulli(self.decoder(z), x) + divergence.mean()


class MultVAE(Loop):  # noqa: D101
    def build(self):
        self.body = nn.Sequential(nn.Linear(ITEMS, 256), nn.Tanh())
        self.mean, self.log_var = nn.Linear(256, 64), nn.Linear(256, 64)
        self.decoder = mlp(64, 256, ITEMS, hidden=nn.Tanh)

    def loss(self, x):
        hidden = self.body(F.normalize(F.dropout(x, 0.5), dim=1))
        z, kl = draw(self.mean(hidden), self.log_var(hidden))
        log_p = F.log_softmax(self.decoder(z), dim=1)
        return -(x * log_p).sum(1).mean() + 0.2 * kl


class LanguageModel(Loop):  # noqa: D101
    def build(self):
        self.embedding = nn.Embedding(CHARACTERS, 24)
        self.conv = nn.Conv1d(24, 128, 10)
        self.dense = nn.Linear(128, 128)
        self.head = nn.Linear(128, CHARACTERS)

    def loss(self, x):
        x = x.long()
        before = F.pad(x[:, :-1], (1, 0), value=1)  # the start token
        vectors = self.embedding(before).transpose(1, 2)
        states = F.relu(self.conv(F.pad(vectors, (9, 0)))).transpose(1, 2)
        states = states + F.relu(self.dense(states))
        return F.cross_entropy(self.head(states).flatten(0, 1), x.flatten())


class DenoisingText(Loop):  # noqa: D101
    def build(self):
        self.embedding = nn.Embedding(WORDS, 64)
        self.head = nn.Linear(64, WORDS)

    def loss(self, x):
        x = x.long()
        kept = (torch.rand(x.shape) >= 0.3).float()[..., None]
        code = (self.embedding(x) * kept).sum(1) / kept.sum(1).clamp(min=1.0)
        log_p = F.log_softmax(self.head(code), dim=1)
        return -log_p.gather(1, x).sum() / (len(x) * TEXT_LENGTH)


class MaskedLinear(nn.Linear):
    """A dense layer with weights only from what comes before."""

    def __init__(self, before, after, strict=False):
        super().__init__(len(before), len(after))
        compare = torch.lt if strict else torch.le
        mask = compare(before[None], after[:, None])
        self.register_buffer("mask", mask.float())

    def forward(self, x):
        return F.linear(x, self.weight * self.mask, self.bias)


class MADE(Loop):  # noqa: D101
    def build(self):
        place = torch.arange(PIXELS)
        unit = torch.arange(512) % (PIXELS - 1)
        self.network = nn.Sequential(
            MaskedLinear(place, unit),
            nn.ReLU(),
            MaskedLinear(unit, place, strict=True),
        )

    def loss(self, x):
        x = x.flatten(1)
        return bernoulli(self.network(2.0 * x - 1.0), x)


class RealNVP(Loop):  # noqa: D101
    limit = 3.0  # of a log-scale

    def build(self):
        self.shift = nn.Parameter(torch.zeros(2))
        self.log_scale = nn.Parameter(torch.zeros(2))
        self.networks = nn.ModuleList(mlp(2, 64, 64, 4) for _ in range(8))

    def loss(self, x):
        z = (x + self.shift) * self.log_scale.exp()
        log_det = self.log_scale.sum()
        for number, network in enumerate(self.networks):
            stays = torch.arange(2) % 2 == (number + 1) % 2
            raw = network(z * stays).reshape(-1, 2, 2)
            log_slope = self.limit * torch.tanh(raw[..., 1] / self.limit)
            moved = z * log_slope.exp() + raw[..., 0]
            z = torch.where(stays, z, moved)
            log_det = log_det + (log_slope * ~stays).sum(1)
        normal = -0.5 * (z.square() + math.log(2.0 * math.pi)).sum(1)
        return -(normal + log_det).mean()


class FlowMatching(Loop):  # noqa: D101
    def build(self):
        self.time = nn.Linear(32, 128)
        self.first = nn.Linear(CODES, 512)
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                [nn.Linear(512, 512), nn.Linear(128, 512), nn.Linear(512, 512)]
            )
            for _ in range(3)
        )
        self.last = nn.Linear(512, CODES)

    def velocity(self, x, t):
        """What a row at time t moves by."""
        rates = torch.from_numpy(np.geomspace(1.0, 100.0, 16, dtype="float32"))
        angle = t[:, None] * rates.to(t.device)
        row = F.silu(self.time(torch.cat([angle.sin(), angle.cos()], 1)))
        h = self.first(x)
        for inner, told, outer in self.blocks:
            h = h + outer(F.silu(inner(h) + told(row)))
        return self.last(F.silu(h))

    def loss(self, x):
        t, noise = torch.rand(len(x)), torch.randn_like(x)
        noisy = (1.0 - t[:, None]) * x + t[:, None] * noise
        return F.mse_loss(self.velocity(noisy, t), noise - x)


class AttentionModel(Loop):  # noqa: D101
    heads, width = 4, 64

    def build(self):
        k = self.width
        self.embedding = nn.Embedding(CHARACTERS, k)
        self.norms = nn.ModuleList(nn.LayerNorm(k, 1e-3) for _ in range(2))
        self.parts = nn.ModuleList(nn.Linear(k, k) for _ in range(4))
        self.wide, self.narrow = nn.Linear(k, 2 * k), nn.Linear(2 * k, k)
        self.norm, self.head = nn.LayerNorm(k, 1e-3), nn.Linear(k, CHARACTERS)

    def waves(self, length):
        """Sines and cosines of the places."""
        column = torch.arange(self.width)
        rate = 10_000.0 ** (-2.0 * (column // 2) / self.width)
        angle = torch.arange(length)[:, None] * rate
        return torch.where(column % 2 == 0, angle.sin(), angle.cos())

    def loss(self, x):
        x = x.long()
        before = F.pad(x[:, :-1], (1, 0), value=1)  # the start token
        h = self.embedding(before) * self.width**0.5 + self.waves(x.shape[1])
        seen = self.norms[0](h)
        query, key, value, output = self.parts
        q, k, v = (
            part(seen).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (query, key, value)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + output(mixed.transpose(1, 2).flatten(2))
        h = h + self.narrow(F.gelu(self.wide(self.norms[1](h))))
        logits = self.head(self.norm(h))
        return F.cross_entropy(logits.flatten(0, 1), x.flatten())


LOOPS = {
    "dense autoencoder": DenseAutoencoder,
    "convolutional autoencoder": ConvAutoencoder,
    "VAE 784–400–20": VAE,
    "convolutional VAE": ConvVAE,
    "VQ-VAE": VQVAE,
    "convolutional GAN": GAN,
    "WGAN-GP": WGANGP,
    "SimCLR": SimCLR,
    "deep embedded clustering": EmbeddedClustering,
    "Mult-VAE": MultVAE,
    "language model": LanguageModel,
    "text denoiser": DenoisingText,
    "MADE": MADE,
    "RealNVP": RealNVP,
    "flow matching": FlowMatching,
    "attention": AttentionModel,
}
