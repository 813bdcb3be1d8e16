"""Bases, Markov models, the genome, motifs: hand-computed, and refused."""

import contracts
import keras
import numpy as np
import pytest
from keras import ops

from utils.baselines.markov import MarkovModel
from utils.data import genomes
from utils.models.motifs import MotifAutoencoder
from utils.nn.likelihoods import OneHot

STEPS = 1 if keras.backend.backend() == "torch" else 8
ARGUMENTS = {"length": 20, "num_motifs": 3, "kernel_size": 6, "seed": 2}

# -------------------------------------------------------------- encodings


def test_one_hot_has_one_column_a_base_and_rows_sum_to_one():
    x = genomes.one_hot("ACGTTA")
    assert x.shape == (6, 4) and x.dtype == np.float32
    np.testing.assert_array_equal(x.sum(axis=1), 1.0)
    np.testing.assert_array_equal(x.argmax(axis=1), [0, 1, 2, 3, 3, 0])


def test_one_hot_of_a_list_stacks_and_from_one_hot_inverts():
    texts = ["ACGT", "TTGA"]
    x = genomes.one_hot(texts)
    assert x.shape == (2, 4, 4)
    assert genomes.from_one_hot(x) == texts
    assert genomes.from_one_hot(0.7 * x[1] + 0.1) == "TTGA"


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("ACNT", "sequence: expected the letters ACGT.*'N' at position 2"),
        ("acgt", "'a' at position 0"),
        ("AC GT", "' ' at position 2"),
        ("", "at least one base"),
        (["ACGT", "AC"], "sequences of one length; received lengths 2 to 4"),
        (["ACGT", "AXGT"], r"sequences\[1\]: expected the letters"),
        ([], "at least one sequence"),
        ([1, 2], r"sequences\[0\]: expected a string"),
    ],
)
def test_one_hot_unknown_letters_and_lengths_refused(value, match):
    with pytest.raises(ValueError, match=match):
        genomes.one_hot(value)


def test_from_one_hot_wrong_shape_refused():
    with pytest.raises(ValueError, match=r"x: expected shape \(n, 4\)"):
        genomes.from_one_hot(np.zeros((5, 3)))


def test_kmer_counts_overlap_and_are_alphabetical():
    counts = genomes.kmer_counts("AACAA", 2)
    assert counts.sum() == 4
    assert counts[0] == 2 and counts[1] == 1 and counts[4] == 1  # AA AC CA
    with pytest.raises(ValueError, match="sequence: expected at least 3"):
        genomes.kmer_counts("AC", 3)


def test_genome_is_the_frozen_one(monkeypatch, tmp_path):
    genome = genomes.load_genome()
    assert len(genome) == 9181 and set(genome) == set("ACGT")
    assert genome.startswith("GGTCTCTCTGG")
    changed = tmp_path / "hiv1.txt"
    changed.write_text(genome[:-1] + "A" + "C")
    monkeypatch.setattr(genomes, "_FROZEN", tmp_path)
    with pytest.raises(ValueError, match="^hiv1.txt: .*SHA-256"):
        genomes.load_genome()


def test_chloroplast_every_gene_is_read_in_frame_to_its_stop():
    # three numbers of the record that no reading of ours could hit by chance
    genome, genes = genomes.load_chloroplast()
    assert len(genome) == 154478 and set(genome) == set("ACGT")
    assert len(genes) == 129
    assert genome[84170:110434] == genomes.reverse_complement(genome[128214:])
    proteins = [gene for gene in genes if gene.kind == "CDS"]
    assert len(proteins) == 85
    for gene in proteins:
        bases = gene.bases(genome)
        assert len(bases) % 3 == 0, gene.name
        assert bases[-3:] in genomes.STOPS, gene.name
        inner = [bases[i : i + 3] for i in range(0, len(bases) - 3, 3)]
        assert not set(inner) & set(genomes.STOPS), gene.name


def test_chloroplast_changed_table_is_refused(monkeypatch, tmp_path):
    table = (genomes._FROZEN / "chloroplast_genes.csv").read_text()
    (tmp_path / "chloroplast_genes.csv").write_text(table.replace("382", "385"))
    monkeypatch.setattr(genomes, "_FROZEN", tmp_path)
    with pytest.raises(ValueError, match="^chloroplast_genes.csv: .*SHA-256"):
        genomes.load_chloroplast()


def test_gene_exons_are_joined_in_the_order_of_reading():
    gene = genomes.Gene("CDS", "made", ((8, 11, -1), (0, 4, 1)))
    assert gene.bases("ACGTTTTTGGA") == "TCCACGT"


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("ATGGCC", 2),
        ("TAATAATAA", 3),  # TTA TTA TTA on the other strand
        ("CTAATTAACTAGCTAATTAGTTA", 3),  # by hand: stops in all other places
        ("A", 0),
    ],
)
def test_longest_open_frame_by_hand(text, longest):
    assert genomes.longest_open_frame(text) == longest
    other = genomes.reverse_complement(text)
    assert genomes.longest_open_frame(other) == longest


def test_longest_open_frame_unknown_letter_is_refused():
    with pytest.raises(ValueError, match="sequence: expected the letters"):
        genomes.longest_open_frame("ATGN")


# ------------------------------------------------------------ Markov models


def test_markov_order_zero_equals_hand_computed_bits():
    model = MarkovModel(0).fit("AAAC")  # (4 + 1, 1 + 1, 1, 1) / 8... of 4 + 4
    np.testing.assert_allclose(
        model.probabilities[0], [0.5, 0.25, 0.125, 0.125]
    )
    assert model.bits_per_base("AACT") == pytest.approx(1.75)


def test_markov_order_one_equals_hand_computed_bits():
    model = MarkovModel(1).fit("ACACAG")
    # after A: C twice, G once, plus one each: (1, 3, 2, 1) / 7
    np.testing.assert_allclose(
        model.probabilities[0], np.array([1, 3, 2, 1]) / 7
    )
    assert model.bits_per_base("AC") == pytest.approx(-np.log2(3 / 7))


def test_markov_uniform_bases_cost_two_bits(rng):
    text = genomes.from_one_hot(np.eye(4)[rng.integers(4, size=20_000)])
    for order in (0, 2):
        model = MarkovModel(order).fit(text[:10_000])
        assert model.bits_per_base(text[10_000:]) == pytest.approx(2, abs=0.01)


def test_markov_samples_have_the_model_s_statistics():
    model = MarkovModel(1).fit("ACACACACACACGTGTGTGT")
    drawn = model.sample(4000, seed=1)
    again = MarkovModel(1).fit(drawn)
    np.testing.assert_allclose(
        again.probabilities, model.probabilities, atol=0.06
    )
    assert drawn == model.sample(4000, seed=1) != model.sample(4000, seed=2)


def test_markov_wrong_use_refused():
    with pytest.raises(ValueError, match="order: expected an integer from"):
        MarkovModel(8)
    with pytest.raises(ValueError, match="pseudocount"):
        MarkovModel(1, pseudocount=0.0)
    with pytest.raises(ValueError, match="model: expected fit"):
        MarkovModel(1).bits_per_base("ACGT")
    with pytest.raises(ValueError, match="sequence: expected at least 3"):
        MarkovModel(2).fit("AC")
    with pytest.raises(ValueError, match="more than 2 bases; received 2"):
        MarkovModel(2).fit("ACGTAC").bits_per_base("AC")


# ------------------------------------------------------------------- motifs


def test_planted_motifs_stand_where_they_are_said_to_stand():
    motifs = ("TATAAT", "GGCC")
    texts, starts = genomes.planted_motifs(motifs, 200, 15, seed=3)
    assert starts.shape == (200, 2) and {len(text) for text in texts} == {15}
    for text, places in zip(texts, starts, strict=True):
        for motif, place in zip(motifs, places, strict=True):
            assert text[place : place + len(motif)] == motif
    first = (starts[:, 0] < starts[:, 1]).mean()
    assert 0.3 < first < 0.7, "either motif may come first"


def test_planted_motifs_noise_changes_the_stated_share():
    texts, starts = genomes.planted_motifs(
        ("TATAATGC",), 2000, 20, noise=0.25, seed=0
    )
    kept = [
        np.mean([a == b for a, b in zip(t[s : s + 8], "TATAATGC", strict=True)])
        for t, (s,) in zip(texts, starts, strict=True)
    ]
    assert np.mean(kept) == pytest.approx(0.75, abs=0.02)


def test_planted_motifs_wrong_arguments_refused():
    with pytest.raises(ValueError, match="length: expected an integer ≥ 10"):
        genomes.planted_motifs(("TATAAT", "GGCC"), 5, 9)
    with pytest.raises(ValueError, match=r"motifs\[0\]: expected the letters"):
        genomes.planted_motifs(("TATNAT",))


def make(**more):
    return MotifAutoencoder.conv(**{**ARGUMENTS, **more})


@pytest.fixture(scope="module")
def strings():
    texts, _ = genomes.planted_motifs(("TATA",), 40, 20, seed=0)
    return genomes.one_hot(texts)


def test_motif_autoencoder_round_trips_and_counts(strings):
    model = make()
    again = contracts.check_config_round_trip(model)
    assert (again.places, again.num_motifs) == (15, 3)
    assert len(model.weights) == 4
    contracts.check_symbolic_shapes(model, strings)
    for a, b in zip(
        model.remake(seed=4).get_weights(),
        make(seed=4).get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_motif_autoencoder_saved_and_loaded_same_outputs(strings, tmp_path):
    model = make()
    model.compile("adam")
    model.fit(strings, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    contracts.assert_same_outputs(
        contracts.numpy_tree(again(ops.convert_to_tensor(strings))),
        contracts.numpy_tree(model(ops.convert_to_tensor(strings))),
    )


def test_motif_autoencoder_one_step_moves_every_weight(strings):
    model = make()
    # the decoder starts at zero, which stops the encoder's gradient
    rng = np.random.default_rng(0)
    model.set_weights(
        [w + 0.1 * rng.normal(size=w.shape) for w in model.get_weights()]
    )
    contracts.check_fit_moves_all_weights(model, strings)


def test_motif_autoencoder_code_keeps_the_best_place_of_a_kernel(strings):
    code = make().encode(strings)
    assert code.shape == (40, 15, 3)
    best = code.max(axis=1, keepdims=True)  # words that repeat may tie
    assert ((code == 0) | (code == best)).all()
    assert ((code > 0).sum(axis=1) <= 1).mean() > 0.9
    assert (code.sum(axis=1) <= 1).all()


def test_motif_autoencoder_untrained_costs_two_bits_a_base(strings):
    loss = make().example_losses(strings)
    np.testing.assert_allclose(loss, 20 * np.log(4), rtol=1e-5)


def test_motif_autoencoder_loss_equals_numpy_and_weights_repeat_rows(strings):
    model = make()
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    model.compile(keras.optimizers.SGD(1.0))
    p = model.predict(strings, verbose=0)["reconstruction"].astype("float64")
    np.testing.assert_allclose(p.sum(axis=2), 1.0, rtol=1e-5)
    losses = -(strings * np.log(p)).sum(axis=(1, 2))
    np.testing.assert_allclose(model.example_losses(strings), losses, rtol=1e-4)
    count = np.arange(40) % 3
    found = model.evaluate(
        strings, sample_weight=count, batch_size=40, verbose=0
    )[0]
    assert found == pytest.approx((count * losses).mean(), rel=1e-4)
    before = model.get_weights()
    model.fit(strings, sample_weight=np.zeros(40), verbose=0)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_motif_autoencoder_patterns_are_the_decoder_s_kernels():
    model = make()
    kernel, bias = np.random.default_rng(0).normal(size=(2, 6, 4, 3))
    model.decoder.set_weights([kernel, bias[0, :, 0]])
    logits = kernel + bias[0, :, 0][:, None]  # (size, 4, motifs)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        model.motifs(), np.moveaxis(shares, 2, 0), rtol=1e-4
    )


def test_motif_autoencoder_own_networks_over_another_alphabet():
    encoder = keras.Sequential(
        [
            keras.Input((12, 7)),
            keras.layers.Conv1D(5, 3, activation="relu"),
            keras.layers.Conv1D(2, 1),
        ]
    )
    decoder = keras.Sequential(
        [keras.Input((10, 2)), keras.layers.Conv1DTranspose(7, 3)]
    )
    model = MotifAutoencoder(encoder, decoder)
    assert model.motifs().shape == (2, 3, 7)
    x = np.eye(7)[np.random.default_rng(0).integers(7, size=(8, 12))]
    assert model.encode(x).shape == (8, 10, 2)
    flat = keras.Sequential(
        [keras.Input((12, 7)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    back = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(84),
            keras.layers.Reshape((12, 7)),
        ]
    )
    with pytest.raises(ValueError, match=r"encoder: .* to \(2,\)"):
        MotifAutoencoder(flat, back)


def test_one_hot_likelihood_sums_to_one_and_draws_its_mean(rng):
    likelihood = OneHot()
    raw = rng.normal(size=(1, 2, 3)).astype("float32")
    outputs = {
        name: ops.convert_to_numpy(value)
        for name, value in likelihood.outputs(raw).items()
    }
    every = np.array(
        [[np.eye(3)[a], np.eye(3)[b]] for a in range(3) for b in range(3)]
    )
    repeated = {k: np.repeat(v, 9, axis=0) for k, v in outputs.items()}
    nats = ops.convert_to_numpy(
        likelihood.negative_log_likelihood(every, repeated)
    )
    assert np.exp(-nats).sum() == pytest.approx(1.0, rel=1e-5)
    many = {k: np.repeat(v, 20_000, axis=0) for k, v in outputs.items()}
    drawn = likelihood.sample(many, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn.sum(axis=2), 1.0)
    np.testing.assert_allclose(
        drawn.mean(axis=0),
        outputs["reconstruction"][0],
        atol=0.015,
    )


def test_motif_autoencoder_learns_a_planted_motif():
    texts, starts = genomes.planted_motifs(("TATAATGC",), 400, 24, seed=0)
    x = genomes.one_hot(texts)
    model = MotifAutoencoder.conv(24, num_motifs=3, kernel_size=10, seed=0)
    model.compile(keras.optimizers.Adam(0.03), steps_per_execution=STEPS)
    model.fit(x, batch_size=40, epochs=20, verbose=0)
    places = model.encode(x).argmax(axis=1)
    offsets = places - starts  # constant where a kernel holds the motif
    share = max(
        np.mean(offsets[:, kernel] == shift)
        for kernel in range(3)
        for shift in range(-10, 11)
    )
    assert share > 0.5  # by chance 1 in 21
    assert model.motifs().shape == (3, 10, 4)
    np.testing.assert_allclose(model.motifs().sum(axis=2), 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"length": 5}, "length: expected at least the 6 bases of a kernel"),
        ({"num_motifs": 0}, "num_motifs"),
        ({"kernel_size": 1}, "kernel_size"),
    ],
)
def test_motif_autoencoder_wrong_argument_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        make(**arguments)


def test_motif_autoencoder_wrong_arrays_refused(strings):
    model = make()
    model.compile("adam")
    with pytest.raises(ValueError, match=r"x: expected shape \(n, 20, 4\)"):
        model.fit(strings[:, :19], verbose=0)
    with pytest.raises(ValueError, match="x: expected finite"):
        model.encode(np.full((2, 20, 4), np.nan))
    for verb in (model.fit, model.evaluate, model.example_losses):
        with pytest.raises(ValueError, match=r"values in \[0, 1\]"):
            verb(strings * 2)
