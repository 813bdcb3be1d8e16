# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Chapter 6e · Sequences: bases and genes
#
# Autoencoders, one reads, compress genomes, find motifs and tell genes apart.
# This chapter asks each time: how do bases become numbers, what does the
# simplest method reach, what does a network add? The answer will be: a table of
# 16 numbers compresses a genome, three lines locate a motif, counts of codons
# that know where to read find genes, and no network here does better. Knowing that *before*
# training one is the skill. Sounds and a nerve cell's voltage are in
# [chapter 6h](06h_signals.ipynb).
#
# **We will show**
#
# - how bases become an array, and what a code length in bits per base is;
# - how far a real genome can be compressed: Markov models, general
#   compressors, and the point where a larger model is worse than none;
# - planted motifs recovered by a convolutional autoencoder (synthetic data),
#   located better by counting mismatches, and why a low loss is *no*
#   compression;
# - a real signal before real genes, told from what is merely frequent;
# - genes against what lies between them, and two kinds of genes: counts of
#   words, a network's codes, a rule of three letters that beats both, and counts
#   that know the rule.
#
# | | |
# |---|---|
# | Prerequisites | [Chapter 2](02a_autoencoders.ipynb): autoencoders |
# | Data | real: the genomes of HIV-1 and of a chloroplast (frozen in the course); synthetic: planted motifs |
# | Time | under a minute on two CPU cores; two hours of reading and exercises |

# %% tags=["setup"]
from utils import runtime

profile = runtime.start(seed=0)

# %% tags=["setup"]
import bz2
import collections
import inspect
import lzma
import zlib

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import softmax
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from utils import plotting
from utils.baselines.markov import MarkovModel
from utils.checks import chapter_06e as checks
from utils.data import genomes
from utils.models import DenoisingAutoencoder, MotifAutoencoder
from utils.training import recipes
from utils.training.repeats import restart, with_spread

plotting.use_style()

# %% [markdown]
# **Parameters.** Everything that differs between the quick and the full
# profile stands in this one cell.

# %% tags=["setup"]
MOTIF_ROWS = profile.pick(quick=1500, full=6000)
MOTIF_EPOCHS = profile.pick(quick=25, full=25)
GENE_EPOCHS = profile.pick(quick=40, full=100)
SEEDS = (0, 1, 2)

# %% [markdown]
# ## 1. Bases as numbers
#
# A gene is a string over four letters. A network takes arrays. Coding A, C, G,
# T as 0, 1, 2, 3 would claim that C lies between A and G; a column for each
# base claims nothing. A sequence of $n$ bases becomes an array $(n, 4)$ whose
# rows sum to 1.

# %%
print(genomes.one_hot("GATTACA"))
assert genomes.one_hot("GATTACA").shape == (7, 4)
assert (genomes.one_hot("GATTACA").sum(axis=1) == 1).all()
assert genomes.from_one_hot(genomes.one_hot("GATTACA")) == "GATTACA"

# %% [markdown]
# Real files also hold N, for a base that was not read. There is no right
# column for it, so the library refuses instead of guessing, and says
# where:

# %%
try:
    genomes.one_hot("GATNACA")
except ValueError as error:
    print(error)

# %% [markdown]
# **What is unsupervised here, and what is not.** Encoding, compressing and
# finding repeated patterns need no labels. "This gene belongs to that family"
# or "this variant makes ill" are *classes*; they need labelled examples,
# whatever reads the bases. Section 5 uses some, and says so.
#
# ## 2. Bits per base: a table of sixteen numbers
#
# A model that gives the next base the probability $p$ can code it in $-\log_2 p$ bits
# (Shannon 1948). Knowing nothing, every base costs 2 bits. The real data: the genome of
# HIV-1, RefSeq NC_001802, 9 181 bases, frozen in the course with its licence and a
# checksum.

# %%
genome = genomes.load_genome()
known, choose, unseen = genome[:5000], genome[5000:6500], genome[6500:]
print(len(genome), "bases:", genome[:50], "…")
for base in genomes.BASES:
    print(base, f"{genome.count(base) / len(genome):.3f}", end="  ")
pairs = genomes.kmer_counts(genome, 2).reshape(4, 4)
expected = genome.count("C") * genome.count("G") / len(genome)
print(f"\nC followed by G: {pairs[1, 2]} times, by chance {expected:.0f}")
assert pairs[1, 2] < 0.3 * expected

# %% [markdown]
# More than a third of the bases are A, and CG is strikingly rare. So the
# genome is not random, and some compression must be possible. A **Markov model**
# of order $m$ looks at the last $m$ bases and counts what came next. Order 6
# distinguishes 4 096 pasts, from 5 000 bases. Which order will be best on bases it
# has not seen?

# %%
orders = range(7)
fitted = [MarkovModel(order).fit(known) for order in orders]
seen_bits = [model.bits_per_base(known) for model in fitted]
choose_bits = [model.bits_per_base(choose) for model in fitted]
order = int(np.argmin(choose_bits))
unseen_bits = [model.bits_per_base(unseen) for model in fitted]
for m in orders:
    print(
        f"order {m}: seen {seen_bits[m]:.3f}, choosing {choose_bits[m]:.3f}, "
        f"unseen {unseen_bits[m]:.3f} bits per base"
    )
print("chosen:", order)
assert (np.diff(seen_bits) < 0).all(), "on the counted bases always better"
assert 1.9 < unseen_bits[order] < 1.98, "two or three per cent, no more"
assert unseen_bits[6] > 2.0, "worse than knowing nothing"

# %%
figure = plotting.curves(
    {"counted bases": seen_bits, "unseen bases": unseen_bits},
    f"Order {order} saves {1 - unseen_bits[order] / 2:.1%}; order 6 costs more than 2 bits",
    x=list(orders),
    xlabel="order m of the Markov model",
    ylabel="bits per base",
)
figure.axes[0].axhline(2.0, color="black", lw=1, ls="--")
plt.show()

# %% [markdown]
# **Figure 6e.1.** On the counted bases every order is an improvement; on unseen
# ones the best saves two or three per cent and the largest costs *more* than
# two bits a base. That is all there is to find from short contexts. General-purpose
# compressors, which look for repeats, do no better than packing each base
# into two bits:

# %%
packed = {
    "two bits a base": 2.0,
    **{
        name: 8 * len(compress(genome.encode())) / len(genome)
        for name, compress in {
            "zlib": zlib.compress,
            "bz2": bz2.compress,
            "lzma": lzma.compress,
        }.items()
    },
}
for name, bits in packed.items():
    print(f"{name:16s}{bits:.2f} bits per base")
assert min(packed.values()) == 2.0

# %% [markdown]
# A network that predicts the next base has to beat the table of 16
# probabilities, with thousands of weights and 5 000 examples; nothing suggests
# that it could, so we do not pretend. Where networks do gain on DNA, they are
# trained on *many* genomes, and what they know must be counted like a
# decoder is counted in [chapter 6b](06b_compression_and_noise.ipynb).
#
# ## 3. Planted motifs: counting mismatches locates more than the network
#
# Proteins that switch genes on recognise short patterns, *motifs*, which vary a
# little from place to place. Finding a pattern that nobody has told you, in
# many sequences, at unknown places: that is unsupervised. The data are
# **synthetic**, so that the truth is known: random bases, in each sequence two
# motifs of eight, and every tenth base of a motif replaced by another.

# %% tags=["setup"]
MOTIFS = ("TATAATGC", "GGCCAATC")
LENGTH, SIZE = 50, 12
strings, starts = genomes.planted_motifs(
    MOTIFS, MOTIF_ROWS, LENGTH, noise=0.1, seed=0
)
bases = genomes.one_hot(strings)

# %%
for text, places in zip(strings[:4], starts[:4], strict=True):
    marked = list(text.lower())
    for place in places:
        marked[place : place + 8] = list(text[place : place + 8])
    print("".join(marked))
print(bases.shape)

# %% [markdown]
# **The classical baseline** counts words of eight bases. A motif that is
# always written without an error would stand out; how many survive with
# every tenth base wrong? About $0.9^8=43\%$. That is plenty:


# %%
def best_words(texts, k=8, count=6):
    """The most frequent words of k bases in many sequences."""
    counts = sum(genomes.kmer_counts(text, k) for text in texts)
    order = np.argsort(-counts)[:count]
    digits = (order[:, None] // 4 ** np.arange(k - 1, -1, -1)) % 4
    words = ["".join(genomes.BASES[d] for d in row) for row in digits]
    return words, counts[order]


words, counts = best_words(strings)
print(*(f"{word} {n}" for word, n in zip(words, counts, strict=True)))
assert set(words[:2]) == set(MOTIFS)
exact = [
    np.mean(
        [text.find(m) == s for text, s in zip(strings, column, strict=True)]
    )
    for m, column in zip(MOTIFS, starts.T, strict=True)
]
print("found by exact search:", *(f"{share:.2f}" for share in exact))

# %% [markdown]
# Counting finds both words at once; looking for them letter by letter *locates*
# them in fewer than half of the sequences. Who would stop there? Slide the word
# along and take the place with the **fewest mismatches**:


# %%
def fewest_mismatches(x, word):
    """Place in each sequence (n, length, 4) that differs least from a word."""
    letters = x.argmax(axis=2)
    seen = np.lib.stride_tricks.sliding_window_view(letters, len(word), axis=1)
    return (seen != genomes.indices_of(word)).sum(axis=2).argmin(axis=1)


nearly = [
    np.mean(fewest_mismatches(bases, m) == column)
    for m, column in zip(MOTIFS, starts.T, strict=True)  # both were found
]
print("found by fewest mismatches:", *(f"{share:.2f}" for share in nearly))
assert min(nearly) > 0.9

# %% [markdown]
# The field's own method, EM, makes the word a table of probabilities: guess
# each sequence's place by the table, count the bases there, repeat (Bailey and
# Elkan 1994; one motif in each sequence).


# %%
def expected_places(x, word, rounds=15):
    """Place of a motif in each sequence (n, length, 4) by EM from a word."""
    table = 0.1 + 0.6 * genomes.one_hot(word)  # (k, 4), lines sum to 1
    seen = np.lib.stride_tricks.sliding_window_view(x, len(word), axis=1)
    for _ in range(rounds):
        scores = np.einsum("nsbk,kb->ns", seen, np.log(4 * table))
        share = softmax(scores, axis=1)
        table = np.einsum("ns,nsbk->kb", share, seen) + 0.5
        table /= table.sum(axis=1, keepdims=True)
    return scores.argmax(axis=1)


by_em = [
    np.mean(expected_places(bases, m) == column)
    for m, column in zip(MOTIFS, starts.T, strict=True)
]
print("found by EM:", *(f"{share:.2f}" for share in by_em))
assert min(by_em) > 0.9

# %% [markdown]
# A convolutional autoencoder slides kernels over the sequence; its code says **where**
# each kernel fits best, one place for each kernel or none (winner takes all: Makhzani
# and Frey 2015), and the decoder writes the kernel's pattern there. These are the lines
# that matter:

# %%
print(inspect.getsource(MotifAutoencoder.encoded))

# %% tags=["nbval-ignore-output"]
finders = []
for seed in SEEDS:
    finder = MotifAutoencoder.conv(
        LENGTH, num_motifs=6, kernel_size=SIZE, seed=seed
    )
    recipes.compile(finder, 0.02)
    finder.fit(bases, batch_size=64, epochs=MOTIF_EPOCHS, verbose=0)
    finders.append(finder)
    print(f"seed {seed}:", *genomes.from_one_hot(finder.motifs()))


# %% tags=["nbval-ignore-output"]
def located(finder, column):
    """Share of sequences in which a kernel points at the motif.

    A kernel may hold the motif anywhere inside, so its place may differ from
    the motif's by a constant. Which kernel and which constant: the best on
    the first half of the sequences; the share is that of the second.
    """
    offsets = column[:, None] - finder.encode(bases).argmax(axis=1)
    half = len(column) // 2
    options = [
        (np.mean(offsets[:half, kernel] == shift), kernel, shift)
        for kernel in range(offsets.shape[1])
        for shift in range(-SIZE, SIZE + 1)
    ]
    _, kernel, shift = max(options)
    return np.mean(offsets[half:, kernel] == shift)


found = np.array([[located(f, column) for column in starts.T] for f in finders])
runtime.record(
    "Two planted motifs (synthetic): share of sequences where each is located",
    ("method", "first motif", "second motif"),
    [
        ("exact search of frequent words", *(f"{v:.2f}" for v in exact)),
        ("their fewest mismatches", *(f"{v:.2f}" for v in nearly)),
        ("EM, started from them", *(f"{v:.2f}" for v in by_em)),
        (
            "motif autoencoder, 3 seeds",
            *(with_spread(column, 2) for column in found.T),
        ),
    ],
)

# %% tags=["hide-input"]
assert np.mean(found) > np.mean(exact) + 0.1, "more than exact search"
assert np.mean(found) < np.mean(nearly) - 0.03, "less than fewest mismatches"

# %% [markdown]
# Kernels hold the motifs, some of them shifted, others only parts or nothing of
# use. They find the motif in far more sequences than exact search does,
# because a pattern of probabilities forgives a wrong base, and in fewer than
# three lines of counting: a kernel also forgives what it should not, and which
# kernel to ask had to be chosen with the truth. EM fits a pattern of probabilities
# too, and asks nobody: as good as counting here, and it pays where the places of a
# motif *differ in how much they may vary*.
#
# **Is it compression?** The loss says so, loudly. Divide it by $\log 2$
# and by the length. But the receiver also needs the code.

# %% tags=["nbval-ignore-output"]
nats = np.mean([finder.example_losses(bases).mean() for finder in finders])
decoder_bits = nats / np.log(2) / LENGTH
kernels = finders[0].num_motifs
place_bits = kernels * np.log2(finders[0].places + 1) / LENGTH
strength_bits = kernels * 8 / LENGTH  # the winner's value, as one byte
total_bits = decoder_bits + place_bits + strength_bits
print(f"bases given the code   {decoder_bits:.2f} bits per base")
print(f"six places             {place_bits:.2f}")
print(f"six strengths, a byte  {strength_bits:.2f}")
print(f"together               {total_bits:.2f}")

# %% tags=["hide-input"]
assert decoder_bits < 1.7 and total_bits > 2.0

# %% [markdown]
# With places and strengths paid for, the autoencoder needs *more* than the two bits
# of a base. A reconstruction loss is a code length only together with the code.
#
# ## 4. A real signal, told from what is merely frequent
#
# Planted motifs are in every sequence and stand on even ground. A real genome is
# neither kind. The next data are **real**: the chloroplast of thale cress (Sato et al.
# 1999; RefSeq NC_000932, 154 478 bases) and the places of its genes. Before a bacterial
# gene there often is a short word to which the ribosome binds; a chloroplast was a
# bacterium once. Take the twenty bases before each gene. Do they know? First the words
# that are most frequent, then those that are *more frequent than in the quiet stretches
# between genes*.

# %% tags=["setup"]
plastid, genes = genomes.load_chloroplast()
one_copy = plastid[:128_214]  # then a long part follows again, turned round
coding, rna = np.zeros((2, len(plastid)), bool)
for gene in genes:
    for start, stop, _ in gene.exons:
        (coding if gene.kind == "CDS" else rna)[start:stop] = True
proteins = {g.name: g for g in reversed(genes) if g.kind == "CDS"}  # once each


# %%
def upstream(gene, count=20):
    """The bases before a gene, in its direction of reading."""
    start, stop, strand = gene.exons[0]
    if strand > 0:
        return plastid[start - count : start]
    return genomes.reverse_complement(plastid[stop : stop + count])


before = [upstream(gene) for gene in proteins.values()]
quiet = [
    one_copy[start : start + 20]
    for start in range(0, len(one_copy) - 19, 20)
    if not (coding | rna)[start : start + 20].any()
]
quiet += [genomes.reverse_complement(text) for text in quiet]
seen = sum(genomes.kmer_counts(text, 5) for text in before)
usual = sum(genomes.kmer_counts(text, 5) for text in quiet) + 1
expected = usual / usual.sum() * seen.sum()
surprise = (seen - expected) / np.sqrt(expected)
for name, score in {"frequent": seen, "surprising": surprise}.items():
    words = np.argsort(-score, kind="stable")[:5]
    letters = (words[:, None] // 4 ** np.arange(4, -1, -1)) % 4
    texts = genomes.from_one_hot(np.eye(4)[letters])
    print(
        f"{name:11s}",
        *(f"{w} {v:.0f}" for w, v in zip(texts, score[words], strict=True)),
    )
share = {
    name: np.mean(["GGAGG" in text for text in some])
    for name, some in {"before genes": before, "elsewhere": quiet}.items()
}
print(len(before), "genes; GGAGG in", {n: f"{v:.1%}" for n, v in share.items()})

# %% tags=["hide-input"]
assert seen.argmax() == 0, "AAAAA is the most frequent"
assert genomes.kmer_counts("GGAGG", 5)[surprise.argmax()] == 1
assert share["before genes"] > 10 * share["elsewhere"]

# %% [markdown]
# What is frequent is AAAAA: this genome is two thirds A and T. What is
# *surprising* is GGAGG, over twenty times as frequent before genes as elsewhere:
# the site that Shine and Dalgarno (1974) found in bacteria, recovered from
# places alone. And yet five of six genes do without it. So a method that works
# on planted motifs, one in each sequence on uniform ground, has shown
# nothing yet about real ones: **always ask what the background would do.**
#
# ## 5. Genes, and what lies between: count where no stop is in sight
#
# **Gene prediction**: does a stretch of 150 bases make protein? Windows wholly
# inside a gene against windows wholly outside, from one copy of the repeated
# part, in blocks of 6 000 bases, no window across two: three of five blocks to
# train, one to choose, one to test. Blocks differ, so the five take turns in
# these roles, and every number below is a mean of five ± their spread.

# %%
WIDTH, BLOCK = 150, 6000
places = np.arange(0, len(one_copy) - WIDTH + 1, WIDTH // 2)
inside = np.array([coding[p : p + WIDTH].mean() for p in places])
clear = np.array([not rna[p : p + WIDTH].any() for p in places])
clear &= (inside == 0) | (inside == 1)
clear &= places // BLOCK == (places + WIDTH - 1) // BLOCK
places, is_gene = places[clear], inside[clear] == 1
turns = [(places // BLOCK + turn) % 5 for turn in range(5)]
roles = [(turn < 3, turn == 3, turn == 4) for turn in turns]
pieces = [one_copy[p : p + WIDTH] for p in places]
for name, part in zip(("train", "choose", "test"), roles[0], strict=True):
    print(f"{name:7s}{part.sum():4d} windows, {is_gene[part].mean():.0%} gene")

# %% [markdown]
# A window becomes the counts of its words of three bases, both strands added,
# 64 numbers. A denoising autoencoder (Vincent et al. 2008) makes eight of them, PCA
# likewise. On each
# a logistic regression with the 0 / 1 labels of the training windows.
# Opponents: a Markov model of genes against one of the rest, order chosen; and
# three that need **no label at all**: the share of G and C, k-means with two
# clusters, and the oldest rule. Genes are read in threes and end at TAA, TAG or
# TGA, so inside a gene one of six ways of reading meets no stop. Score: the
# longest run without one. And who knows the rule may also *count* (Fickett and Tung
# 1992): the 64 codons of that one of six ways which meets the fewest stops.


# %%
STOPS = genomes.words_of(genomes.indices_of("TAATAGTGA"), 3)[::3]


def triplets(text):
    """Share of each word of three bases, both strands together: (64,)."""
    both = text, genomes.reverse_complement(text)
    return sum(genomes.kmer_counts(t, 3) for t in both) / (2 * len(text) - 4)


def open_codons(text):
    """Counts of codons, (64,), in the way of reading with fewest stops."""
    words = [
        genomes.words_of(genomes.indices_of(strand), 3)
        for strand in (text, genomes.reverse_complement(text))
    ]
    ways = [
        np.bincount(one[frame::3], minlength=64)
        for one in words
        for frame in range(3)
    ]
    return min(ways, key=lambda counts: counts[STOPS].sum())


# %%
def best_of(scores, role):
    """Test AUROC of the score that is best on the windows to choose."""
    _, pick, judge = role
    best = max(scores, key=lambda s: roc_auc_score(is_gene[pick], s[pick]))
    return roc_auc_score(is_gene[judge], best[judge])


def probe(codes, role):
    """Test AUROC of a logistic regression on codes."""
    learn = role[0]
    fits = [
        make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000))
        for c in (1e-3, 1e-2, 0.1, 1.0)
    ]
    fits = [fit.fit(codes[learn], is_gene[learn]) for fit in fits]
    return best_of([fit.decision_function(codes) for fit in fits], role)


def markov_score(order, learn):
    """Bits a base that a model of genes saves against one of the rest."""
    models = []
    for kind in (False, True):
        text = "".join(
            pieces[i] for i in np.flatnonzero(learn & (is_gene == kind))
        )
        both = text + genomes.reverse_complement(text)
        models.append(MarkovModel(order).fit(both))
    rest, gene = ([m.bits_per_base(t) for t in pieces] for m in models)
    return np.subtract(rest, gene)


# %%
shares = np.array([triplets(p) for p in pieces])
with_gc = np.array([t.count("G") + t.count("C") for t in pieces]) / WIDTH
free = np.array([genomes.longest_open_frame(t) for t in pieces])
in_open = np.array([open_codons(t) for t in pieces], float)
coder = DenoisingAutoencoder.dense((64,), 8, widths=(128,), amount=0.5, seed=0)
recipes.compile(coder, 1e-3)
areas, learned = collections.defaultdict(list), []
for seed, role in enumerate(roles):
    learn = role[0]
    scale = StandardScaler().fit(shares[learn])
    counted = scale.transform(shares).astype("float32")
    restart(coder, seed)
    coder.fit(counted[learn], epochs=GENE_EPOCHS, batch_size=32, verbose=0)
    learned.append((scale, coder.get_weights()))
    two = KMeans(2, n_init=10, random_state=0).fit(counted[learn])
    sides = np.diff(two.transform(counted), axis=1)[:, 0]
    sides *= np.sign(np.corrcoef(sides, with_gc)[0, 1])  # GC-rich side: genes
    narrow = PCA(8, random_state=0).fit(counted[learn]).transform(counted)
    markov = [markov_score(order, learn) for order in range(1, 5)]
    areas["G and C"].append(best_of([with_gc], role))
    areas["two clusters of 3-mers"].append(best_of([sides], role))
    areas["longest run without a stop"].append(best_of([free], role))
    areas["Markov models*"].append(best_of(markov, role))
    areas["3-mers*"].append(probe(counted, role))
    areas["PCA, 8 numbers*"].append(probe(narrow, role))
    codes = coder.encode(counted)
    areas["denoising autoencoder, 8 numbers*"].append(probe(codes, role))
    areas["codons of the most open frame*"].append(probe(in_open, role))

# %% tags=["nbval-ignore-output"]
runtime.record(
    "Chloroplast: 150 bases inside or outside a gene, test AUROC, five turns",
    ("score", "labels", "AUROC"),
    [
        (
            name.removesuffix("*"),
            "yes" if name.endswith("*") else "no",
            with_spread(values, 2),
        )
        for name, values in areas.items()
    ],
)

# %% tags=["hide-input"]
mean_of = {name.removesuffix("*"): np.mean(v) for name, v in areas.items()}
codes_area = mean_of["denoising autoencoder, 8 numbers"]
assert codes_area < mean_of["3-mers"] + 0.02, "codes add nothing"
run_area = mean_of["longest run without a stop"]
assert run_area > max(codes_area, mean_of["3-mers"]) + 0.04
assert mean_of["codons of the most open frame"] > run_area + 0.02

# %%
left, right = 54_000, 60_000
steps = np.arange(left, right - WIDTH, 25)
runs = [genomes.longest_open_frame(plastid[p : p + WIDTH]) for p in steps]
figure, axis = plt.subplots(figsize=(9, 2.6))
axis.plot(steps + WIDTH // 2, runs)
bases_here = np.arange(left, right)
axis.fill_between(bases_here, 0, 50, coding[left:right], alpha=0.2, color="k")
axis.set(
    xlabel="place in the chloroplast's genome",
    ylabel="codons without a stop",
    title="Inside a gene no stop is in sight",
)
plt.show()

# %% [markdown]
# **Figure 6e.2.** Six thousand bases, one block: the longest run without
# a stop in a window of fifty codons; genes are shaded. Inside a gene the run is
# as long as the window, whichever strand the gene is on; outside only here and there.
#
# This run, known since the code was read and given no label, is ahead of all that is
# learned without it. Counts with labels *in the open frame* are ahead of the run in
# every turn. So it was no network that was missing, but **where to read**. Of the rest the
# plain counts are as good as their compressed forms: the network keeps what the counts
# hold and adds nothing. Even two clusters without a label come near, for genes are
# richer in G and C.
#
# **Gene classification.** Two kinds of genes: those of photosynthesis and
# energy (psa, psb, pet, atp, ndh, rbcL) and those of the cell's own copying
# (ribosome, RNA polymerase). 69 genes, five-fold cross-validation, folds drawn
# five times, the share of each class counted equally. Codons are words of three *in frame*; take
# away the frame, then the strand, or keep of each codon only its amino acid.

# %%
KINDS = {"psa": 1, "psb": 1, "pet": 1, "atp": 1, "ndh": 1, "rbc": 1}
KINDS |= {"rps": 0, "rpl": 0, "rpo": 0}
known_genes = [g for name, g in proteins.items() if name[:3] in KINDS]
kind_of = np.array([KINDS[g.name[:3]] for g in known_genes])
texts = [g.bases(plastid) for g in known_genes]
in_frame = np.array(
    [
        np.bincount(
            genomes.words_of(genomes.indices_of(t), 3)[::3], minlength=64
        )
        / (len(t) / 3)
        for t in texts
    ]
)
one_strand = np.array([genomes.kmer_counts(t, 3) / len(t) for t in texts])
any_strand = np.array([triplets(t) for t in texts])
AMINO = (  # of the codons AAA, AAC, AAG, AAT, ACA, …; * is a stop
    "KNKNTTTTRSRSIIMIQHQHPPPPRRRRLLLLEDEDAAAAGGGGVVVV*Y*YSSSS*CWCLFLF"
)
acids = np.stack(
    [in_frame[:, [b == a for b in AMINO]].sum(1) for a in set(AMINO)], 1
)

# %% tags=["nbval-ignore-output"]
described = {
    "length": np.log([[len(t)] for t in texts]),
    "codons": in_frame,
    "amino acids": acids,
    "3-mers of the gene's strand, no frame": one_strand,
    "3-mers of both strands": any_strand,
}
kinds = collections.defaultdict(list)


def kind_score(codes, seed):
    """Balanced accuracy of a logistic regression, five folds."""
    fit = LogisticRegression(C=0.1, class_weight="balanced")
    return cross_val_score(
        make_pipeline(StandardScaler(), fit),
        codes,
        kind_of,
        cv=StratifiedKFold(5, shuffle=True, random_state=seed),
        scoring="balanced_accuracy",
    ).mean()


for seed, (scale, weights) in enumerate(learned):
    for name, codes in described.items():
        kinds[name].append(kind_score(codes, seed))
    coder.set_weights(weights)
    codes = coder.encode(scale.transform(any_strand).astype("float32"))
    kinds["codes of the windows' network"].append(kind_score(codes, seed))
runtime.record(
    "Chloroplast: 69 genes of two kinds, balanced accuracy",
    ("described by", "balanced accuracy"),
    [(name, with_spread(values, 2)) for name, values in kinds.items()],
)

# %% tags=["hide-input"]
kind_means = {name: np.mean(values) for name, values in kinds.items()}
assert kind_means["codons"] > 0.85 and kind_means["length"] < 0.7
one, both = "3-mers of the gene's strand, no frame", "3-mers of both strands"
assert min(kind_means["amino acids"], kind_means[one]) > kind_means[both] + 0.05
assert kind_means["codes of the windows' network"] < kind_means["codons"] - 0.1

# %% [markdown]
# Codons, counted, tell the two kinds apart almost without error, and their amino
# acids do as well: membrane proteins are built of others than those that
# hold RNA. The frame is not needed for that, the **strand** is: both strands added
# blur it, and codes learned on such sums know no more than the sums.
#
# ## Results

# %% tags=["nbval-ignore-output"]
runtime.record(
    "bases: bits per base, model fitted on other bases",
    ("sequence", "model", "bits per base"),
    [
        ("HIV-1", f"Markov, order {m}", f"{unseen_bits[m]:.3f}")
        for m in (0, order, 6)
    ]
    + [("planted motifs", "autoencoder with its code", f"{total_bits:.2f}")],
)

# %% [markdown]
# ## What we showed
#
# - Bases become $(n, 4)$ with rows that sum to 1; an unknown letter is
#   refused, with its place.
# - Of a real genome's two bits a base, short contexts save two or three per cent;
#   order 6 and general compressors cost more than two bits.
# - A convolutional autoencoder located planted motifs in more sequences than
#   exact search and in fewer than fewest mismatches or EM. Its low loss was no
#   compression once the code was paid for.
# - Before real genes the most frequent word is AAAAA, the most surprising GGAGG,
#   the ribosome's. A background model tells them apart.
# - Genes against the rest: the longest run without a stop beat counts with
#   labels, counts in the open frame beat the run, and a network's codes
#   were no better than counts. Two kinds of genes were told apart by words of three
#   on their own strand; the frame added nothing.
#
# **Limits.** Two small genomes. The chloroplast's genes are dense and
# mostly without introns; in a nuclear genome open frames fail where exons
# are short, and models trained on many genomes earn their keep.
#
# **References.** Shannon (1948), *Bell System Technical Journal* 27, A
# mathematical theory of communication · Bailey and Elkan (1994), *ISMB*, Fitting
# a mixture model by expectation maximization to discover motifs · Makhzani and
# Frey (2015), *NeurIPS*, Winner-take-all autoencoders · Shine and Dalgarno (1974),
# *PNAS* 71, 1342–1346 · Fickett and Tung (1992), *Nucleic Acids Research* 20,
# Assessment of protein coding measures · Sato et al. (1999), *DNA Research* 6,
# 283–290 · Vincent et al. (2008), *ICML*. Data: NCBI RefSeq NC_001802.1 and
# NC_000932.1 from Biopython 1.85's test files.
#
# Claims about sequences that one meets elsewhere, and the tests that answer
# them: [errata](../docs/errata.md). Answers to the exercises are
# [in the solutions](../solutions/06e_sequences.ipynb).

# %% [markdown]
# ## Exercises
#
# Each needs only the set-up cells at the top. Write your answer where
# it says `# your answer here`, run the cell, then run the check below it: it
# says what is wrong, and with what to go on once it is right.

# %% [markdown] tags=["exercise"]
# ### Exercise 6e.1 · Bits, with a pencil
#
# *You will learn what a code length is.* A model gives A, C, G, T the
# probabilities ½, ¼, ⅛, ⅛, and the sequence is AACT. How many bits **per
# base** does it cost?

# %% tags=["exercise"]
answer_6e_1 = None
### BEGIN SOLUTION
answer_6e_1 = (1 + 1 + 2 + 3) / 4
### END SOLUTION

# %% tags=["check"]
checks.check_6e_1(answer_6e_1)

# %% [markdown] tags=["discussion"]
# $-\log_2$ of the four probabilities is 1, 1, 2 and 3. On *these* bases
# the model saves a quarter of a bit each; on TTTT it would cost 3.

# %% [markdown] tags=["exercise"]
# ### Exercise 6e.2 · One-hot, with a guard
#
# *You will learn to refuse what has no right answer.* Encode a string of
# A, C, G, T as an array $(n, 4)$, columns in this order. Raise a
# `ValueError` for any other letter.


# %% tags=["exercise"]
def encode_bases(text):
    """Return the one-hot array of a sequence, shape (n, 4)."""
    ### BEGIN SOLUTION
    rows = np.zeros((len(text), 4))
    for place, letter in enumerate(text):
        if letter not in "ACGT":
            raise ValueError(f"unknown base {letter!r} at position {place}")
        rows[place, "ACGT".index(letter)] = 1.0
    return rows
    ### END SOLUTION


# %% tags=["check"]
checks.check_6e_2(encode_bases)

# %% [markdown] tags=["discussion"]
# A row of zeros for N would be accepted by every network without a word, and
# rows would no longer sum to 1. If N is frequent, a row of four quarters says "any
# base" honestly; that is a decision to take, not a default.

# %% [markdown] tags=["exercise"]
# ### Exercise 6e.3 · The other strand
#
# *You will learn that DNA is read both ways.* The second strand runs backwards, with
# A facing T and C facing G. Given one-hot arrays `(count, n, 4)`, return the
# one-hot arrays of the other strands.


# %% tags=["exercise"]
def other_strand(x):
    """Return the reverse complement, shape (count, n, 4)."""
    ### BEGIN SOLUTION
    return x[:, ::-1, ::-1]
    ### END SOLUTION


# %% tags=["check"]
checks.check_6e_3(other_strand)

# %% [markdown] tags=["discussion"]
# In the order A, C, G, T the complement is the reversed order, so both
# steps are reversals. Adding the other strand to the training rows doubles
# them at no cost, as shifts do for images.

# %% [markdown] tags=["exercise"]
# ### Exercise 6e.4 · A Markov model of order 1
#
# *You will learn where a pseudocount goes.* Count pairs in `known`, add 1 to each
# of the 16 counts, and return the mean code length in bits of the bases
# of `unseen` after the first.


# %% tags=["exercise"]
def pair_model_bits(known, unseen):
    """Return bits per base of unseen[1:], given the base before."""
    ### BEGIN SOLUTION
    number = {base: index for index, base in enumerate("ACGT")}
    counts = np.ones((4, 4))
    for before, after in zip(known, known[1:], strict=False):
        counts[number[before], number[after]] += 1
    p = counts / counts.sum(axis=1, keepdims=True)
    bits = [
        -np.log2(p[number[before], number[after]])
        for before, after in zip(unseen, unseen[1:], strict=False)
    ]
    return np.mean(bits)
    ### END SOLUTION


# %% tags=["check"]
checks.check_6e_4(pair_model_bits)

# %% [markdown] tags=["discussion"]
# Without the pseudocount one pair that never occurred in `known` costs
# infinitely many bits. Dividing by the sum of *all* counts gives the
# probability of a pair, not of a base given the one before.

# %% [markdown] tags=["exercise"]
# ### Exercise 6e.5 · No stop in sight
#
# *You will learn why three letters find genes.* Write the rule of section 5:
# the largest number of codons in a row without TAA, TAG or TGA, over three
# frames of a sequence and three of its other strand. Only whole codons count.


# %% tags=["exercise"]
def longest_run(text):
    """Return the longest run of codons without a stop, an integer."""
    ### BEGIN SOLUTION
    facing = dict(zip("ACGT", "TGCA", strict=True))
    other = "".join(facing[base] for base in reversed(text))
    longest = 0
    for strand in (text, other):
        for frame in range(3):
            run = 0
            for i in range(frame, len(strand) - 2, 3):
                stop = strand[i : i + 3] in ("TAA", "TAG", "TGA")
                run = 0 if stop else run + 1
                longest = max(longest, run)
    return longest
    ### END SOLUTION


# %% tags=["check"]
checks.check_6e_5(longest_run)

# %% [markdown] tags=["discussion"]
# In random bases one codon of 21 is a stop: fifty codons in a row without one
# happen in one frame with probability $(61/64)^{50} = 9\%$, a hundred with less
# than one per cent. In this genome, rich in A and T, stops are denser still.
