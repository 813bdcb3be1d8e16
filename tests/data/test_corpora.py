"""The frozen texts: what is in them, and that nobody changes them unseen."""

import gzip
import hashlib
import re

import numpy as np
import pytest

from utils.data import corpora


def test_definitions_are_split_once_and_completely():
    texts = corpora.load_definitions()
    sizes = [len(part) for part in (texts.y_train, texts.y_val, texts.y_test)]
    assert sizes == [13614, 1944, 3890]
    for part, y, words in (
        (texts.texts_train, texts.y_train, texts.words_train),
        (texts.texts_val, texts.y_val, texts.words_val),
        (texts.texts_test, texts.y_test, texts.words_test),
    ):
        assert len(part) == len(y) == len(words)
        assert y.dtype == np.int64
        assert set(y) == set(range(len(texts.classes)))
    every = texts.texts_train + texts.texts_val + texts.texts_test
    assert len(set(every)) == len(every), "no definition on two sides"


def test_definitions_are_plain_text():
    texts = corpora.load_definitions()
    for text in texts.texts_train:
        assert text.isascii() and text == text.strip()
        assert len(text.split()) >= 5
        assert not re.search(r'["\t\n]|  ', text)


def test_definitions_same_seed_same_split_other_seed_other_split():
    first, again = corpora.load_definitions(3), corpora.load_definitions(3)
    assert first.texts_test == again.texts_test
    assert first.texts_test != corpora.load_definitions(4).texts_test


def test_definitions_labels_are_the_kinds():
    texts = corpora.load_definitions()
    for word, kind in (("rodent", "animal"), ("vegetable", "food")):
        y = [
            label
            for text, label in zip(
                texts.texts_train, texts.y_train, strict=True
            )
            if f" {word}" in text
        ]
        counts = np.bincount(y, minlength=8)
        assert texts.classes[counts.argmax()] == kind


def test_word_kinds_name_common_nouns():
    kinds = corpora.load_word_kinds()
    assert len(kinds) == 549
    assert kinds["zinc"] == "substance" and kinds["lizard"] == "animal"
    assert set(kinds.values()) == set(corpora.KINDS)
    text = " ".join(corpora.load_definitions().texts_train).lower()
    words = set(re.findall(r"[a-z]+", text))
    assert len(set(kinds) - words) < 0.02 * len(kinds)


def test_documents_have_a_summary_and_four_sentences():
    documents = corpora.load_documents()
    assert len(documents) == 182
    assert {d.library for d in documents} == {
        "networkx",
        "numpy",
        "scipy",
        "sklearn",
    }
    for document in documents:
        assert len(document.sentences) >= 4
        assert all(document.sentences)
        assert document.name.startswith(document.library)
        assert "`" not in document.summary


def test_readme_names_every_file_its_digest_and_its_licence():
    readme = (corpora.FOLDER / "README.md").read_text(encoding="utf-8")
    for name, digest in corpora.DIGESTS.items():
        assert name in readme
        assert f"{digest}  {name.removesuffix('.gz')}" in readme
        raw = gzip.decompress((corpora.FOLDER / name).read_bytes())
        assert hashlib.sha256(raw).hexdigest() == digest
    for name in re.findall(r"\((LICENSE-\w+\.txt)\)", readme):
        licence = (corpora.FOLDER / name).read_text(encoding="utf-8")
        assert "Copyright" in licence
    notices = (corpora.FOLDER / "LICENSE-documents.txt").read_text("utf-8")
    for library in ("NetworkX", "NumPy", "SciPy", "scikit-learn"):
        assert library in notices


def test_files_are_small():
    sizes = [path.stat().st_size for path in corpora.FOLDER.iterdir()]
    assert sum(sizes) < 700_000


def broken(tmp_path, monkeypatch, payload):
    monkeypatch.setattr(corpora, "FOLDER", tmp_path)
    if payload is not None:
        (tmp_path / "kinds.tsv.gz").write_bytes(payload)
    return corpora.load_word_kinds


@pytest.mark.parametrize(
    ("payload", "match"),
    [
        (None, "cannot be read"),
        (b"not gzip", "cannot be read"),
        (gzip.compress(b"zinc\tanimal\n", mtime=0), "SHA-256 f8c086e93820"),
    ],
    ids=["missing", "not gzip", "changed"],
)
def test_changed_or_missing_file_is_refused(
    tmp_path, monkeypatch, payload, match
):
    load = broken(tmp_path, monkeypatch, payload)
    with pytest.raises(ValueError, match=match):
        load()


@pytest.mark.parametrize("seed", [-1, 0.5, None])
def test_bad_seed_is_refused(seed):
    with pytest.raises(ValueError, match="seed"):
        corpora.load_definitions(seed)


def test_texts_as_one_stream_and_as_letters():
    texts = ["A bird's nest.", "two  FISH"]
    assert corpora.one_stream(texts) == "a bird's nest.\ntwo  fish\n"
    numbers = corpora.as_letters(texts)
    told = "".join(corpora.LETTERS[i] for i in numbers)
    assert told == "a bird s nest two fish"
