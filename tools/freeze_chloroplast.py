"""Write the frozen chloroplast genome and its genes afresh.

    python tools/freeze_chloroplast.py NC_000932.gb

The GenBank record is ``Tests/GenBank/NC_000932.gb`` of Biopython 1.85's source
archive. Nobody needs to run it: the result is committed, and
``utils/data/genomes.py`` checks its digest. It is here to show exactly what
was taken: the bases, and the places of the genes that make a protein or an RNA.
"""

import csv
import pathlib
import re
import sys

OUT = pathlib.Path(__file__).resolve().parents[1] / "utils/data/frozen/genomes"
KINDS = ("CDS", "rRNA", "tRNA")


def exons_of(location):
    """Rows (start, stop, strand) in reading order, from 0, stop excluded."""
    backwards = location.startswith("complement(join")
    found = []
    pieces = re.finditer(r"(complement\()?<?(\d+)\.\.>?(\d+)", location)
    for piece in pieces:
        first = piece.group(1) and not backwards
        strand = -1 if backwards or first else 1
        found.append((int(piece.group(2)) - 1, int(piece.group(3)), strand))
    return found[::-1] if backwards else found


def main(path):
    """Read one record, write bases and exons."""
    text = path.read_text(encoding="ascii")
    features, origin = text.split("\nORIGIN")
    bases = "".join(re.findall("[acgt]+", origin)).upper()
    lines = [bases[i : i + 80] for i in range(0, len(bases), 80)]
    genome = "\n".join(lines) + "\n"
    (OUT / "chloroplast.txt").write_text(genome, encoding="ascii")
    rows, number = [], 0
    for feature in re.split(r"\n {5}(?=\w)", features):
        kind, rest = feature.split(maxsplit=1)
        if kind not in KINDS:
            continue
        location = re.sub(r"\s", "", rest.split("/", 1)[0])
        name = re.search(r'/(?:gene|product|locus_tag)="([^"]+)"', rest)
        for exon in exons_of(location):
            rows.append((number, kind, name.group(1), *exon))
        number += 1
    table = OUT / "chloroplast_genes.csv"
    with table.open("w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("gene", "kind", "name", "start", "stop", "strand"))
        writer.writerows(rows)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
