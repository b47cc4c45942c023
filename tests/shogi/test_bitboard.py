"""The rules over the GPU's form of Bitboard and over the host's: the same games, bit by bit."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[2] / "csrc"

# Plays at random and prints, for each position, a digest of everything that the rules say of it.
PROGRAM = """
#include <cstdio>

#include "shogi/apply.h"
#include "shogi/declaration.h"
#include "shogi/key.h"
#include "shogi/legal.h"
#include "shogi/planes.h"

using namespace keisei::shogi;

namespace {

constexpr int kPositions = 4000;
constexpr int kMostPlies = 400;

struct Digest {
    uint64_t value = 0;
    void add(uint64_t x) { value = (value ^ x) * 0x9e3779b97f4a7c15ull + 1; }
    void add(const Bitboard& a) {
        uint32_t words[3];
        a.store(words);
        for (int w = 0; w < 3; ++w) {
            if (words[w] != a.word(w)) std::puts("store and word differ");
            add(words[w]);
        }
    }
};

uint64_t random_state = 88172645463325252ull;
uint64_t random_number() {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

}  // namespace

int main() {
    Position position = startpos();
    int ply = 0;
    for (int i = 0; i < kPositions; ++i) {
        Digest digest;
        put_words(position, [&](int, uint32_t word) { digest.add(word); });
        digest.add(key(position));
        LegalMask mask;
        digest.add(legal_mask(position, mask));
        for (const uint32_t word : mask.word) digest.add(word);
        digest.add(static_cast<uint64_t>(in_check(position)));
        digest.add(static_cast<uint64_t>(can_declare(position)));

        Bitboard planes[kFeaturePlanes];
        feature_planes(position, planes);
        for (const Bitboard& plane : planes) digest.add(plane);
        for (int part = 0; part < kFeatureParts; ++part) {
            feature_part(position, part, [&](int plane, const Bitboard& bits) {
                if (!(bits == planes[plane])) std::printf("plane %d differs\\n", plane);
            });
        }

        int count = 0;
        for_each_legal_plane(position, [&](int, Bitboard to) { count += to.count(); });
        if (count != count_legal(position)) std::puts("counts differ");
        std::printf("%d %d %016llx\\n", ply, count, static_cast<unsigned long long>(digest.value));
        if (count == 0 || ply == kMostPlies) {
            position = startpos();
            ply = 0;
            continue;
        }
        int chosen = static_cast<int>(random_number() % static_cast<uint64_t>(count));
        int label = -1;
        for_each_legal_plane(position, [&](int plane, Bitboard to) {
            while (to.any()) {
                const int square = to.pop_lowest();
                if (chosen-- == 0) label = plane * kSquares + square;
            }
        });
        position = apply(position, label);
        ++ply;
    }
}
"""


def play(compiler: str, folder: Path, *options: str) -> list[str]:
    source = folder / "forms.cpp"
    source.write_text(PROGRAM, encoding="utf-8")
    program = folder / "forms"
    command = [
        compiler,
        "-std=c++20",
        "-O1",
        *options,
        f"-I{CSRC}",
        str(source),
        "-o",
        str(program),
    ]
    subprocess.run(command, check=True)
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()


def test_both_forms_play_the_same(tmp_path: Path) -> None:
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    host = play(compiler, tmp_path)
    gpu = play(compiler, tmp_path, "-DKEISEI_BITBOARD_WORDS")
    if platform.machine() in ("x86_64", "AMD64"):  # the form that is shipped
        assert play(compiler, tmp_path, "-march=x86-64-v2") == host
    assert len(host) == 4000, host[:5]
    for number, (seen, expected) in enumerate(zip(host, gpu, strict=True)):
        assert seen == expected, f"position {number}: ply, moves, digest"
