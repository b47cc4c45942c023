"use strict";
// Games that one can step through. Positions come ready from the page's data: no rules here.

const CELL = 50, EDGE_LEFT = 6, EDGE_TOP = 24, HAND = 58, GAP = 10;
const BOARD_TOP = HAND + GAP + EDGE_TOP;
const BOARD_WIDTH = EDGE_LEFT + 9 * CELL + 24;
const BOARD_HEIGHT = BOARD_TOP + 9 * CELL + GAP + HAND;
const KANJI = {
  P: "歩", L: "香", N: "桂", S: "銀", G: "金", B: "角", R: "飛", K: "玉",
  "+P": "と", "+L": "杏", "+N": "圭", "+S": "全", "+B": "馬", "+R": "龍",
};
const SCALE = { P: 0.86, L: 0.9, N: 0.92, S: 0.96, G: 0.96, B: 1, R: 1, K: 1.04 };
const MAN = "M0-21 13.5-15.5 18.5 20.5H-18.5L-13.5-15.5Z";

function readBoard(text) {
  const pieces = [];
  text.split("/").forEach((row, rank) => {
    let file = 9;
    for (const token of row.match(/\+?[A-Za-z]|[1-9]/g) || []) {
      if (/\d/.test(token)) file -= Number(token);
      else pieces.push({ file: file--, rank, letters: token });
    }
  });
  return pieces;
}

function readHands(text) {
  const hands = { black: [], white: [] };
  if (text === "-") return hands;
  for (const [, count, letter] of text.matchAll(/(\d*)([A-Za-z])/g)) {
    hands[letter === letter.toUpperCase() ? "black" : "white"].push({ letter: letter.toUpperCase(), count: Number(count || 1) });
  }
  return hands;
}

function man(x, y, letters, letterStyle) {
  const upper = letters.toUpperCase();
  const white = letters !== upper;
  const scale = SCALE[upper.at(-1)];
  const turn = white ? "rotate(180)" : "";
  const kanji = upper === "K" && white ? "王" : KANJI[upper];
  const text = letterStyle
    ? draw("text", { class: "letters", y: white ? 5 : 10 }, upper)
    : draw("text", { y: 12.5, transform: turn || null }, kanji);
  return draw(
    "g", { class: `b-man${letters[0] === "+" ? " promoted" : ""}`, transform: `translate(${x} ${y}) scale(${scale})` },
    draw("path", { d: MAN, transform: turn || null }), text,
  );
}

class BoardView {
  constructor(parent) {
    const wood = draw("g", {},
      draw("rect", { class: "b-wood", x: EDGE_LEFT, y: BOARD_TOP, width: 9 * CELL, height: 9 * CELL }));
    this.squares = draw("g", {});
    this.men = draw("g", {});
    this.svg = draw("svg", { viewBox: `0 0 ${BOARD_WIDTH} ${BOARD_HEIGHT}`, role: "img" }, wood, this.squares, this.lines(), this.men);
    parent.append(this.svg);
  }

  lines() {
    const group = draw("g", {});
    let path = "";
    for (let i = 1; i < 9; i++) {
      path += `M${EDGE_LEFT + i * CELL} ${BOARD_TOP}v${9 * CELL}M${EDGE_LEFT} ${BOARD_TOP + i * CELL}h${9 * CELL}`;
    }
    group.append(
      draw("path", { class: "b-line", d: path }),
      draw("rect", { class: "b-line", x: EDGE_LEFT, y: BOARD_TOP, width: 9 * CELL, height: 9 * CELL, "stroke-width": 2.2 }),
    );
    for (const column of [3, 6]) {
      for (const row of [3, 6]) {
        group.append(draw("circle", { class: "b-star", cx: EDGE_LEFT + column * CELL, cy: BOARD_TOP + row * CELL, r: 3.2 }));
      }
    }
    for (let i = 0; i < 9; i++) {
      group.append(
        draw("text", { class: "b-edge", x: EDGE_LEFT + (i + 0.5) * CELL, y: BOARD_TOP - 8 }, String(9 - i)),
        draw("text", { class: "b-edge", x: EDGE_LEFT + 9 * CELL + 14, y: BOARD_TOP + (i + 0.5) * CELL + 5 }, "abcdefghi"[i]),
      );
    }
    return group;
  }

  // position: "board hands [+]", the sign where the side to move is in check; move: USI that led here.
  show(position, move, toMove, names, letterStyle) {
    const [board, hands, check] = position.split(" ");
    const pieces = readBoard(board);
    this.squares.replaceChildren();
    const mark = (file, rank, kind) => this.squares.append(draw("rect", {
      class: kind, x: EDGE_LEFT + (9 - file) * CELL, y: BOARD_TOP + rank * CELL, width: CELL, height: CELL,
    }));
    for (const [square] of (move || "").matchAll(/[1-9][a-i]/g)) {
      mark(Number(square[0]), "abcdefghi".indexOf(square[1]), "b-last");
    }
    const king = toMove === "black" ? "K" : "k";
    if (check) pieces.filter((p) => p.letters === king).forEach((p) => mark(p.file, p.rank, "b-check"));
    this.men.replaceChildren(...pieces.map((p) =>
      man(EDGE_LEFT + (9.5 - p.file) * CELL, BOARD_TOP + (p.rank + 0.5) * CELL, p.letters, letterStyle)));
    const inHand = readHands(hands);
    this.men.append(
      this.hand("white", 1, inHand.white, toMove, names.white, letterStyle),
      this.hand("black", BOARD_HEIGHT - HAND - 1, inHand.black, toMove, names.black, letterStyle),
    );
    const held = (side) => inHand[side].map((p) => `${p.letter} ${p.count}`).join(", ") || "nothing";
    this.svg.setAttribute("aria-label",
      `Shogi position, ${toMove} to move${check ? " and in check" : ""}: ${board}; in hand: black ${held("black")}, white ${held("white")}`);
  }

  hand(side, y, pieces, toMove, name, letterStyle) {
    const group = draw("g", {},
      draw("rect", { class: `b-hand${side === toMove ? " to-move" : ""}`, x: EDGE_LEFT, y, width: 9 * CELL, height: HAND, rx: 8 }),
      draw("circle", { class: "b-side", cx: EDGE_LEFT + 20, cy: y + HAND / 2, r: 7, fill: side === "white" ? "#fbf6ea" : "#1d1710" }),
      draw("text", { class: "b-name", x: EDGE_LEFT + 36, y: y + HAND / 2 + 5 }, name.length > 15 ? `${name.slice(0, 14)}…` : name),
    );
    const each = Math.min(52, (9 * CELL - 176) / Math.max(1, pieces.length));
    pieces.forEach((piece, i) => {
      const x = EDGE_LEFT + 9 * CELL - (pieces.length - i) * each + each / 2 - 12;
      const letters = side === "white" ? piece.letter.toLowerCase() : piece.letter;
      group.append(draw("g", { transform: `translate(${x} ${y + HAND / 2})` }, man(0, 0, letters, letterStyle)));
      if (piece.count > 1) group.append(draw("text", { class: "b-count", x: x + 17, y: y + HAND - 10 }, String(piece.count)));
    });
    return group;
  }
}

class Player {
  constructor(parent, games) {
    this.games = games;
    this.letterStyle = false;
    this.at = 0;
    const board = make("div", { class: "player-board" });
    this.view = new BoardView(board);
    this.select = make("select", { "aria-label": "Game", onchange: () => this.open(Number(this.select.value)) });
    this.title = make("p", { class: "player-title" });
    this.now = make("div", { class: "player-now", "aria-live": "polite" });
    this.slider = make("input", { type: "range", min: "0", step: "1", "aria-label": "Ply", oninput: () => this.go(Number(this.slider.value)) });
    this.values = make("div", { class: "player-values" });
    this.list = make("ol", { class: "moves", tabindex: "-1" });
    const style = make("button", { type: "button", "aria-pressed": "false", title: "Letters instead of Japanese" }, "Aa");
    style.addEventListener("click", () => {
      this.letterStyle = !this.letterStyle;
      style.setAttribute("aria-pressed", String(this.letterStyle));
      this.writeMoves();
      this.go(this.at);
    });
    const key = (label, shape, action) => {
      const icon = draw("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, draw("path", { d: shape }));
      return make("button", { type: "button", title: label, "aria-label": label, onclick: action }, icon);
    };
    this.playing = null;
    this.playKey = key("Play", "M4 2.5v11l9-5.5z", () => this.play(!this.playing));
    this.box = make(
      "div", { class: "player card", tabindex: "0", role: "group", "aria-label": "Game board; arrow keys step through the game" },
      board,
      make(
        "div", { class: "player-side" },
        this.select, this.title,
        make("div", { class: "player-keys" },
          key("First position", "M3 3h2v10H3zM13 3v10L6 8z", () => this.go(0)),
          key("One move back", "M10.6 2.2 12 3.6 7.6 8l4.4 4.4-1.4 1.4L4.8 8z", () => this.go(this.at - 1)),
          this.playKey,
          key("One move on", "M5.4 2.2 4 3.6 8.4 8 4 12.4l1.4 1.4L11.2 8z", () => this.go(this.at + 1)),
          key("Last position", "M11 3h2v10h-2zM3 3v10l7-5z", () => this.go(Infinity)),
          style),
        this.slider, this.values, this.now, this.list,
      ),
    );
    board.addEventListener("click", (event) => {
      const box = board.getBoundingClientRect();
      this.go(this.at + (event.clientX < box.left + box.width / 3 ? -1 : 1));
    });
    this.box.addEventListener("keydown", (event) => this.key(event));
    parent.append(this.box);
    for (const [kind, label] of [["evaluation", "Evaluation"], ["self-play", "Self-play"]]) {
      const options = games.map((game, i) => [game, i]).filter(([game]) => game.kind === kind);
      if (!options.length) continue;
      this.select.append(make("optgroup", { label }, ...options.map(([game, i]) => make("option", { value: String(i) }, gameTitle(game)))));
    }
    new ResizeObserver(() => this.width !== Math.round(this.values.clientWidth) && this.drawValues()).observe(this.values);
    // The last game is by the strongest player.
    const own = games.map((game) => game.kind).lastIndexOf("self-play");
    this.open(own >= 0 ? own : games.length - 1);
  }

  get game() {
    return this.games[this.number];
  }

  open(number) {
    this.play(false);
    this.number = number;
    this.select.value = String(number);
    const { game } = this;
    this.names = game.black === game.white
      ? { black: "Black", white: "White" }
      : { black: game.black, white: game.white };
    const sides = game.black === game.white ? `${game.black} against itself` : `☗ ${game.black} – ☖ ${game.white}`;
    this.title.replaceChildren(sides, make("small", {}, [
      game.step === null ? game.event : `after ${game.step.toLocaleString("en")} plies of training`,
      `${game.moves.length} moves`, game.result].filter(Boolean).join(" · ")));
    this.slider.max = String(game.moves.length);
    this.writeMoves();
    this.drawValues();
    this.go(0);
  }

  writeMoves() {
    const { game } = this;
    const written = this.letterStyle ? game.letters : game.japanese;
    this.buttons = written.map((text, i) => make(
      "button", { type: "button", tabindex: "-1", title: i < game.opening ? "given by the opening" : null, onclick: () => this.go(i + 1) },
      make("i", {}, String(i + 1)), this.letterStyle ? `${this.mover(i) === "black" ? "☗" : "☖"} ${text}` : text));
    this.list.replaceChildren(...this.buttons.map((button) => make("li", {}, button)));
  }

  mover(ply) {
    return (ply % 2 === 1) !== this.game.whiteFirst ? "white" : "black";
  }

  go(ply) {
    const { game } = this;
    const last = game.moves.length;
    this.at = Math.min(Math.max(ply, 0), last);
    if (this.at === last) this.play(false);
    this.slider.value = String(this.at);
    this.view.show(game.positions[this.at], game.moves[this.at - 1], this.mover(this.at), this.names, this.letterStyle);
    this.buttons.forEach((button, i) => {
      if (i === this.at - 1) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    });
    const current = this.buttons[this.at - 1];
    this.list.scrollTop = current ? current.offsetTop - this.list.offsetTop - this.list.clientHeight / 2 + 12 : 0;
    this.showNow();
    this.markValue();
  }

  showNow() {
    const { game, at } = this;
    if (at === game.moves.length) {
      this.now.replaceChildren(make("b", {}, game.result), make("span", {}, ` after ${at} moves`));
      return;
    }
    const value = game.values[at];
    const mover = this.mover(at);
    const move = at ? (this.letterStyle ? `${this.mover(at - 1) === "black" ? "☗" : "☖"} ${game.letters[at - 1]}` : game.japanese[at - 1]) : "First position";
    const words = value === null || value === undefined
      ? ` · ${mover} to move`
      : ` · ${mover} to move expects ${signed((mover === "black" ? 1 : -1) * value)}`;
    this.now.replaceChildren(make("b", {}, move), make("span", {}, words));
  }

  drawValues() {
    const { game } = this;
    const known = game.values.filter((value) => value !== null);
    this.values.replaceChildren();
    this.marker = null;
    if (!known.length) return;
    this.width = Math.max(160, Math.round(this.values.clientWidth) || 320);
    const height = 84;
    const count = game.moves.length;
    this.valueX = (ply) => (ply / Math.max(1, count)) * (this.width - 12) + 6;
    this.valueY = (value) => height / 2 - value * (height / 2 - 6);
    let line = "", area = "", pen = "M", zero = "";
    game.values.forEach((value, i) => {
      if (value === null) {
        pen = "M";
        return;
      }
      line += `${pen}${this.valueX(i).toFixed(1)} ${this.valueY(value).toFixed(1)}`;
      pen = "L";
      area += `${area ? "L" : "M"}${this.valueX(i).toFixed(1)} ${this.valueY(value).toFixed(1)}`;
      zero = this.valueX(i).toFixed(1);
    });
    const first = this.valueX(game.values.findIndex((value) => value !== null)).toFixed(1);
    area += `L${zero} ${height / 2}L${first} ${height / 2}Z`;
    const svg = draw("svg", { viewBox: `0 0 ${this.width} ${height}`, height, role: "img", "aria-label": "Who is expected to win, move by move" },
      draw("clipPath", { id: "values-above" }, draw("rect", { x: 0, y: 0, width: this.width, height: height / 2 })),
      draw("clipPath", { id: "values-below" }, draw("rect", { x: 0, y: height / 2, width: this.width, height: height / 2 })),
      draw("path", { class: "value-black", d: area, "clip-path": "url(#values-above)" }),
      draw("path", { class: "value-white", d: area, "clip-path": "url(#values-below)" }),
      draw("line", { class: "value-zero", x1: 0, x2: this.width, y1: height / 2, y2: height / 2 }),
      draw("path", { class: "value-line", d: line }),
      draw("text", { x: 2, y: 11 }, "black wins"),
      draw("text", { x: 2, y: height - 3 }, "white wins"),
    );
    this.marker = draw("g", {});
    svg.append(this.marker);
    const seek = (event) => {
      const box = svg.getBoundingClientRect();
      this.go(Math.round(((event.clientX - box.left - 6) / (box.width - 12)) * count));
    };
    svg.addEventListener("pointerdown", seek);
    svg.addEventListener("pointermove", (event) => event.buttons && seek(event));
    this.values.append(svg);
    this.markValue();
  }

  markValue() {
    if (!this.marker) return;
    const x = this.valueX(this.at);
    const value = this.game.values[this.at];
    this.marker.replaceChildren(draw("line", { class: "value-now", x1: x, x2: x, y1: 0, y2: 84 }));
    if (value !== null && value !== undefined) {
      this.marker.append(draw("circle", { class: "value-dot", cx: x, cy: this.valueY(value), r: 4 }));
    }
  }

  play(on) {
    if (Boolean(this.playing) === on) return;
    clearInterval(this.playing);
    this.playing = null;
    if (on) {
      if (this.at === this.game.moves.length) this.go(0);
      this.playing = setInterval(() => this.go(this.at + 1), 700);
    }
    this.playKey.querySelector("path").setAttribute("d", on ? "M4 3h3v10H4zM9 3h3v10H9z" : "M4 2.5v11l9-5.5z");
    this.playKey.title = on ? "Pause" : "Play";
    this.playKey.setAttribute("aria-label", this.playKey.title);
  }

  key(event) {
    if (event.target === this.select || event.altKey || event.ctrlKey || event.metaKey) return;
    const to = { ArrowLeft: this.at - 1, ArrowRight: this.at + 1, ArrowUp: this.at - 10, ArrowDown: this.at + 10, Home: 0, End: Infinity }[event.key];
    if (event.key === " " && event.target === this.box) this.play(!this.playing);
    else if (to !== undefined) this.go(to);
    else return;
    event.preventDefault();
  }
}

function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
}

function gameTitle(game) {
  const when = game.step === null ? "" : `${short(game.step)} plies: `;
  const who = game.black === game.white ? "" : `${game.black} – ${game.white}, `;
  return `${when}${who}${game.moves.length} moves, ${game.result}`;
}
