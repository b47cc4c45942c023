"""The SVG board of Position._repr_svg_."""

import random
import xml.etree.ElementTree as ElementTree

import keisei
from keisei.board_svg import board_svg

TIMES = "\u00d7"
SVG = "{http://www.w3.org/2000/svg}"


def elements(position: keisei.Position) -> ElementTree.Element:
    return ElementTree.fromstring(position._repr_svg_())


def men(root: ElementTree.Element) -> list[ElementTree.Element]:
    return [e for e in root.iter(f"{SVG}text") if "keisei-man" in e.attrib["class"].split()]


def fills(root: ElementTree.Element) -> list[str]:
    return [e.attrib["fill"] for e in root.iter(f"{SVG}rect") if e.attrib["width"] == "50"]


def test_start_position() -> None:
    root = elements(keisei.Position())
    assert root.tag == f"{SVG}svg"
    kanji = "".join(sorted(man.text or "" for man in men(root)))
    assert kanji == "".join(sorted("歩" * 18 + "香桂銀金" * 4 + "飛角" * 2 + "王玉"))
    assert fills(root) == []


def test_repr_svg_is_board_svg() -> None:
    position = keisei.Position()
    position.push("7g7f")
    assert position._repr_svg_() == board_svg(position)


def test_every_man_of_random_positions_is_drawn_once() -> None:
    choose = random.Random(4)
    position = keisei.Position()
    for ply in range(200):
        position.push_label(choose.choice(position.legal_labels()))
        if ply % 10:
            continue
        root = elements(position)
        board, _, hands, _ = position.sfen().split()
        on_board = sum(c.isalpha() for c in board)
        kinds_in_hand = sum(c.isalpha() for c in hands)
        assert len(men(root)) == on_board + kinds_in_hand
        promoted = [m for m in men(root) if "keisei-promoted" in m.attrib["class"].split()]
        assert len(promoted) == board.count("+")


def test_hand_counts_are_written() -> None:
    position = keisei.Position.from_sfen("4k4/9/9/9/9/9/9/9/4K4 b 2R18P4g 1")
    texts = [e.text for e in elements(position).iter(f"{SVG}text")]
    assert [text for text in texts if text and text.startswith(TIMES)] == [
        f"{TIMES} {count}" for count in (4, 2, 18)
    ]


def test_the_last_move_is_coloured() -> None:
    position = keisei.Position.from_sfen("4k4/9/9/9/9/9/9/9/4K4 b P 1")
    position.push("P*5e")
    assert len(fills(elements(position))) == 1
    position.push("5a4a")
    assert len(fills(elements(position))) == 2
    position.pop()
    position.pop()
    assert fills(elements(position)) == []


def test_a_checked_king_is_coloured() -> None:
    position = keisei.Position.from_sfen("4k4/9/9/9/9/9/9/9/4K4 b R 1")
    position.push("R*5e")
    assert position.in_check
    assert len(set(fills(elements(position)))) == 2


def test_names_cannot_meet_those_of_the_page() -> None:
    root = elements(keisei.Position())
    names = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
    names += [c for e in root.iter() for c in e.attrib.get("class", "").split()]
    assert names
    assert all(name.startswith("keisei-") for name in names)
