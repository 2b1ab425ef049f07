// The page of a report: reads the data in the page, shows a gallery of which only what is in sight exists, and one
// picture at a time in a dialog. Whatever a stranger may have named is put on the page as text, never as markup.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const { words, totals, steps, differing } = data;
  const BORDER_IF_EVEN = 0.19; // the outer twentieth of each side holds so much of evenly spread relevance
  const CLOSES = 1e-3; // up to which share of the start an account counts as closed
  const SAME_SHAPE = 0.02; // up to which difference two aspect ratios are one: small pictures are rounded to pixels

  // records: an object each, with the names that the fields have
  const records = data.records.map((values, place) => {
    const record = { place };
    data.fields.forEach((field, column) => { record[field] = values[column]; });
    record.labelText = word(record.label);
    record.found = fold(record.name) + "\n" + fold(record.labelText);
    return record;
  });
  delete data.records;

  function word(number) { return number === null || number === undefined ? "" : words[number]; }
  function fold(text) { return text.normalize("NFC").toLowerCase(); }

  // ---- small things: elements and numbers ----

  /** An element with attributes and children; text is text. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "class") element.className = value;
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  /** What a stranger wrote keeps its direction to itself, and a file's ending stays at its end. */
  function bidi(text, kind) { return make("bdi", { dir: "ltr", class: kind }, text); }

  function count(number) { return number.toLocaleString("en").replaceAll(",", "\u202f"); }
  function counted(number, one, many = one + "s") { return `${count(number)} ${number === 1 ? one : many}`; }

  /** Four significant digits; zero is 0. */
  function digits(value) {
    if (value === null) return "–";
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size < 1e-4 || size >= 1e6) return value.toExponential(2).replace("e+", "e").replaceAll("-", "−");
    return value.toFixed(Math.max(0, 3 - Math.floor(Math.log10(size)))).replace("-", "−");
  }

  /** A share in per cent; what is not zero does not look like zero. */
  function percent(share) {
    if (share === null) return "–";
    const size = Math.abs(share);
    if (size > 0 && size < 5e-4) return size < 5e-6 ? "≈ 0 %" : "< 0.1 %";
    return `${(100 * share).toFixed(1).replace("-", "−")} %`;
  }

  function seconds(value) { return value === null ? "–" : `${Number(value.toPrecision(2))} s`; }

  function total(times) {
    const known = times.filter((time) => time !== null);
    return known.length ? known.reduce((sum, time) => sum + time, 0) : null;
  }

  function className(record) {
    if (record.index === null) return "";
    return record.labelText || `class ${record.index}`;
  }

  // ---- images: base64 in inert elements, parsed when one of them is shown ----

  const parsed = new Map(); // the chunks used last
  const PARSED = 24;

  /** [width, height, base64], the reason why there is none, or null while the page is still being loaded. */
  function image(number) {
    if (number === null) return "no picture";
    const chunk = Math.floor(number / data.chunk);
    let entries = parsed.get(chunk);
    if (entries) parsed.delete(chunk);
    else {
      const element = $(`images-${chunk}`);
      // an element that nothing follows may not have arrived whole
      if (!element || (document.readyState === "loading" && !element.nextElementSibling)) return null;
      entries = JSON.parse(element.textContent);
    }
    parsed.set(chunk, entries); // now the youngest
    if (parsed.size > PARSED) parsed.delete(parsed.keys().next().value);
    return entries[number % data.chunk];
  }

  function source(entry) { return "data:image/webp;base64," + entry[2]; }

  /** A relative address, nothing else: what could be a scheme is no link. */
  function address(link) { return typeof link === "string" && /^\.\.?\//.test(link) ? link : null; }

  // ---- the head ----

  function head() {
    $("model").replaceChildren(bidi(data.model.name));
    const made = totals.records - totals.failed;
    if (data.model.sha256) $("meta").append("SHA-256 ", make("code", {}, data.model.sha256), " …");
    if (data.model.producer) $("meta").append(data.model.sha256 ? " · " : "", "written by ", bidi(data.model.producer));
    const lede = $("lede");
    lede.append(`${counted(made, "heatmap")} of ${counted(totals.inputs, "input")}, by `);
    data.methods.forEach(([method, times], place) => {
      if (place) lede.append(place === data.methods.length - 1 ? " and " : ", ");
      lede.append(make("b", {}, method || "no method"));
      if (data.methods.length > 1) lede.append(` (${count(times)})`);
    });
    lede.append(".");
    const figures = [
      ["Inputs", count(totals.inputs), ""],
      ["Heatmaps", count(made), ""],
      ["Failed", count(totals.failed), totals.failed ? "bad" : ""],
      ["With warnings", count(totals.warned), totals.warned ? "hint" : ""],
      ["Median time", seconds(totals.seconds), ""],
    ];
    $("figures").append(...figures.map(([name, value, kind]) =>
      make("div", { class: kind }, make("dt", {}, name), make("dd", {}, value))));
    $("common").append(...data.common.map((group) =>
      make("section", {}, make("h3", {}, group.group), ...settings(group.rows))));
    $("foot").append(`Made by heatcli ${data.version}. Everything shown is in this file; it fetches nothing from any other place.`);
    if (totals.held < totals.records) {
      $("held").textContent = `This page holds the first ${count(totals.held)} of ${count(totals.records)} records; the table beside it has all of them.`;
    }
  }

  function pairs(rows) {
    return make("dl", { class: "pairs" }, ...rows.map(([name, value, kind]) =>
      make("div", { class: kind || null }, make("dt", {}, name), make("dd", {}, value))));
  }

  /** What is set, a row each; what is not, in one line. */
  function settings(rows) {
    const isSet = (row) => row.count > 1 || row.values[0] !== "–";
    const unset = rows.filter((row) => !isSet(row)).map((row) => row.name);
    return [pairs(rows.filter(isSet).map(settingRow)),
      unset.length ? make("p", { class: "unset" }, `Not set: ${unset.join(", ")}`) : null].filter(Boolean);
  }

  function settingRow(row) {
    if (row.count === 1) return [row.name, bidi(row.values[0])];
    const shown = make("span", {}, `differs: ${row.all ? "" : "more than "}${counted(row.count, "value")}`);
    const more = row.count > row.values.length ? ", …" : "";
    shown.append(make("small", {}, bidi(row.values.join(" | ") + more)));
    return [row.name, shown, "varied"];
  }

  // ---- failures: a list that grows when asked ----

  const failing = records.filter((record) => record.failure);
  const AT_ONCE = 100;

  function failures() {
    if (!totals.failed) return;
    $("failures").hidden = false;
    $("failed").textContent = count(totals.failed);
    let shown = 0;
    const more = () => {
      $("failing").append(...failing.slice(shown, shown + AT_ONCE).map((record) =>
        make("li", {}, make("span", { class: "badge bad" }, word(record.failure[0])), " ",
          make("a", { href: fragment(record) }, bidi(record.name)), make("br"), bidi(word(record.failure[1])))));
      shown = Math.min(failing.length, shown + AT_ONCE);
      $("further").hidden = shown >= failing.length;
    };
    $("failures").addEventListener("toggle", () => { if (!shown) more(); });
    $("further").addEventListener("click", more);
    if (failing.length < totals.failed) {
      $("failing").after(make("p", { class: "quiet" }, `The page holds ${count(failing.length)} of them; the table beside it has all.`));
    }
  }

  // ---- what is shown, in which order ----

  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  // name: what it is called, what it is of a record, how it is written, which end comes first
  const SORTS = {
    order: ["Order of the run", (r) => r.place, null, 1],
    score: ["Score f(x)", (r) => r.score, (r) => ["f(x)", digits(r.score)], -1],
    probability: ["Confidence", (r) => r.probability, (r) => ["f(x)", digits(r.score)], -1],
    error: ["Error of the account", (r) => r.error === null ? null : Math.abs(r.error), (r) => ["account off by", percent(r.error)], -1],
    lost: ["Evidence lost", (r) => r.lostShare, (r) => ["lost", percent(r.lostShare)], -1],
    border: ["Relevance at the border", (r) => r.border, (r) => ["at the border", percent(r.border)], -1],
    negative: ["Negative share", (r) => r.negative, (r) => ["negative", percent(r.negative)], -1],
    name: ["File name", (r) => r.name, null, 1],
  };
  const ENDS = {
    order: ["First to last", "Last to first"],
    name: ["A to Z", "Z to A"],
    other: ["Smallest first", "Largest first"],
  };
  const STATUS = {
    all: ["All", () => true],
    fine: ["Without warnings", (r) => !r.failure && !r.warnings.length],
    warned: ["With warnings", (r) => r.warnings.length > 0],
    failed: ["Failed", (r) => r.failure !== null],
  };
  const chosen = { search: "", class: "", status: "all", sort: "order", way: 1, face: "heatmap" };
  let shown = records; // the records that are shown, in order

  function fits(record, sought) {
    return sought.every((piece) => record.found.includes(piece) || String(record.index) === piece);
  }

  function choose() {
    const sought = fold(chosen.search).split(/\s+/).filter(Boolean);
    const status = STATUS[chosen.status][1];
    const index = chosen.class === "" ? null : Number(chosen.class);
    shown = records.filter((r) => status(r) && (index === null || r.index === index) && fits(r, sought));
    const value = SORTS[chosen.sort][1];
    const compare = chosen.sort === "name" ? collator.compare : (a, b) => a - b;
    shown.sort((a, b) => {
      const [left, right] = [value(a), value(b)];
      if (left === null || right === null) return (left === null) - (right === null) || a.place - b.place; // last, always
      return chosen.way * compare(left, right) || a.place - b.place;
    });
    $("count").textContent = `${count(shown.length)} of ${count(records.length)}`;
    $("empty").hidden = shown.length > 0;
    const [one, other] = ENDS[chosen.sort] || ENDS.other;
    $("direction").textContent = chosen.way > 0 ? one : other;
    $("direction").setAttribute("aria-label", `Order: ${$("direction").textContent}; press for the other way`);
    gallery.current = 0;
    gallery.fresh();
  }

  function tools() {
    const option = (value, text) => make("option", { value }, text);
    $("sort").append(...Object.entries(SORTS).map(([value, [text]]) => option(value, text)));
    $("status").append(...Object.entries(STATUS).map(([value, [text, test]]) => option(value, `${text} (${count(records.filter(test).length)})`)));
    const classes = new Map();
    for (const record of records) {
      if (record.index === null) continue;
      const known = classes.get(record.index);
      if (known) known.times += 1;
      else classes.set(record.index, { index: record.index, name: className(record), times: 1 });
    }
    const named = [...classes.values()].sort((a, b) => collator.compare(a.name, b.name) || a.index - b.index);
    $("class").append(...named.map((entry) => option(entry.index, `${entry.name} · ${entry.index} (${count(entry.times)})`)));
    let waiting = 0;
    $("search").addEventListener("input", () => {
      clearTimeout(waiting); // the count is read out once, not at every letter
      waiting = setTimeout(() => { chosen.search = $("search").value; choose(); }, 120);
    });
    for (const id of ["class", "status"]) {
      $(id).addEventListener("change", () => { chosen[id] = $(id).value; choose(); });
    }
    $("sort").addEventListener("change", () => {
      chosen.sort = $("sort").value;
      chosen.way = SORTS[chosen.sort][3];
      choose();
    });
    $("direction").addEventListener("click", () => { chosen.way = -chosen.way; choose(); });
    $("face").addEventListener("change", (event) => { chosen.face = event.target.value; gallery.fresh(); });
    $("tools").addEventListener("submit", (event) => event.preventDefault());
    $("reset").addEventListener("click", () => {
      $("tools").reset();
      Object.assign(chosen, { search: "", class: "", status: "all", sort: "order", way: 1, face: "heatmap" });
      choose();
      $("search").focus();
    });
    $("skip").addEventListener("click", () => gallery.go(gallery.current));
  }

  // ---- the gallery ----

  const gallery = {
    list: $("gallery"),
    nodes: new Map(), // position → element, of what is in sight
    current: 0, // the one position that Tab reaches
    columns: 1, width: 0, height: 0, gap: 0,
    OVER: 2, // rows kept above and below what is in sight

    measure() {
      const whole = this.list.clientWidth;
      const letter = parseFloat(getComputedStyle(document.documentElement).fontSize);
      const narrow = whole < 30 * letter;
      this.gap = narrow ? 12 : 20;
      const least = narrow ? 8.5 * letter : 11.5 * letter;
      this.columns = Math.max(1, Math.floor((whole + this.gap) / (least + this.gap)));
      this.width = (whole - this.gap * (this.columns - 1)) / this.columns;
      this.height = this.width + 5.35 * letter + this.gap; // the square and the text below it
      const rows = Math.ceil(shown.length / this.columns);
      this.list.style.height = `${Math.max(0, rows * this.height - this.gap)}px`;
    },

    /** Which positions are in sight, a few rows more on both sides; one row at least, for Tab to reach. */
    range() {
      const above = -this.list.getBoundingClientRect().top;
      const rows = Math.ceil(shown.length / this.columns);
      const first = Math.min(Math.max(0, Math.floor(above / this.height) - this.OVER), Math.max(0, rows - 1));
      const last = Math.max(first + 1, Math.ceil((above + innerHeight) / this.height) + this.OVER);
      return [first * this.columns, Math.min(shown.length, last * this.columns)];
    },

    /** Put everything there anew: the order, the columns or the faces have changed. */
    fresh() {
      this.list.replaceChildren();
      this.nodes.clear();
      this.measure();
      this.draw();
    },

    draw() {
      const [from, to] = this.range();
      const kept = document.activeElement && document.activeElement.closest(".card");
      for (const [position, node] of this.nodes) {
        if ((position < from || position >= to) && node !== kept) {
          node.remove();
          this.nodes.delete(position);
        }
      }
      for (let position = from; position < to; position += 1) {
        if (!this.nodes.has(position)) this.nodes.set(position, this.place(position));
      }
      this.reachable(from, to);
    },

    /** Let Tab reach one card: the current one, or the first that is there. */
    reachable(from, to) {
      const reached = this.nodes.has(this.current) ? this.current : Math.min(from && from + this.OVER * this.columns, to - 1);
      for (const [position, node] of this.nodes) node.firstChild.tabIndex = position === reached ? 0 : -1;
    },

    place(position) {
      const node = card(shown[position], position);
      const [row, column] = [Math.floor(position / this.columns), position % this.columns];
      node.style.width = `${this.width}px`;
      node.style.height = `${this.height - this.gap}px`;
      node.style.transform = `translate(${column * (this.width + this.gap)}px, ${row * this.height}px)`;
      // in the order of the list, whichever way was scrolled: Tab and screen readers follow it
      let after = null;
      for (const [other, element] of this.nodes) {
        if (other > position && (after === null || other < after[0])) after = [other, element];
      }
      this.list.insertBefore(node, after && after[1]);
      return node;
    },

    /** Move the focus to a position, and the page with it. */
    go(position) {
      if (!shown.length) return;
      this.current = Math.min(shown.length - 1, Math.max(0, position));
      const top = this.list.getBoundingClientRect().top + scrollY + Math.floor(this.current / this.columns) * this.height;
      const covered = getComputedStyle($("tools")).position === "sticky" ? $("tools").offsetHeight : 0;
      if (top < scrollY + covered) scrollTo(0, top - covered - this.gap);
      else if (top + this.height > scrollY + innerHeight) scrollTo(0, top + this.height - innerHeight);
      this.draw();
      const node = this.nodes.get(this.current);
      if (node) node.firstChild.focus({ preventScroll: true });
    },

    key(event) {
      const row = this.columns;
      const page = Math.max(1, Math.floor(innerHeight / this.height)) * row;
      const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row, PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity };
      if (!(event.key in moves) || event.ctrlKey || event.altKey || event.metaKey || !event.target.closest(".card")) return;
      event.preventDefault();
      const to = this.current + moves[event.key];
      if (Math.abs(moves[event.key]) === row && (to < 0 || to >= shown.length)) return;
      this.go(to);
    },
  };

  /** One record as a card. */
  function card(record, position) {
    const shot = make("span", { class: "shot" });
    fill(shot, record);
    if (record.warnings.length) shot.append(make("span", { class: "mark badge hint" }, counted(record.warnings.length, "warning")));
    if (record.failure) shot.append(make("span", { class: "mark badge bad" }, "failed"));
    const first = record.failure ? word(record.failure[0]) : className(record);
    const [what, value] = SORTS[chosen.sort][2] ? SORTS[chosen.sort][2](record) : ["f(x)", digits(record.score)];
    const lines = [
      make("span", { class: "first" }, bidi(first, "clip")),
      make("span", { class: "second" }, bidi(shortName(record.name), "clip")),
      make("span", { class: "third" }, ...(record.failure ? [] : [make("span", { class: "clip" }, `${what} ${value}`), make("b", {}, percent(record.probability))])),
    ];
    const link = make("a", { href: fragment(record), title: record.name, tabindex: -1 }, shot, make("span", { class: "text" }, ...lines));
    link.addEventListener("focus", () => { gallery.current = position; });
    return make("li", { class: "card", "aria-setsize": shown.length, "aria-posinset": position + 1 }, link);
  }

  /** The last part of a path; all of it is shown in the detail view. */
  function shortName(name) { return name.slice(name.lastIndexOf("/") + 1) || name; }

  function fill(shot, record) {
    const number = record[chosen.face];
    const entry = number === null && record.failure ? word(record.failure[1]) : image(number);
    if (entry === null) waiting.add(shot.dataset.waits = String(record.place)); // comes with the rest of the page
    else if (typeof entry === "string") shot.append(make("span", { class: "none" }, bidi(record.failure ? entry : `${chosen.face}: ${entry}`)));
    else shot.append(make("img", { src: source(entry), alt: "", decoding: "async", draggable: "false" }));
  }

  const waiting = new Set();

  /** Fill in the images that have arrived. */
  function arrived() {
    if (!waiting.size) return;
    waiting.clear();
    for (const node of gallery.nodes.values()) {
      const shot = node.querySelector(".shot[data-waits]");
      if (!shot) continue;
      const record = records[Number(shot.dataset.waits)];
      delete shot.dataset.waits;
      fill(shot, record);
    }
  }

  // ---- one picture ----

  const dialog = $("detail");
  const byFragment = new Map(records.map((record) => [record.fragment, record]));
  let open = null; // the record that is shown
  let cut = 50; // where picture and heatmap meet, kept from one to the next

  function fragment(record) { return "#picture=" + encodeURIComponent(record.fragment); }

  function named() {
    if (!location.hash.startsWith("#picture=")) return null;
    try {
      return byFragment.get(decodeURIComponent(location.hash.slice("#picture=".length))) || null;
    } catch {
      return null; // a stray per cent sign
    }
  }

  function follow() {
    const record = named();
    if (record) detail(record);
    else if (dialog.open) dialog.close();
  }

  function turn(by) {
    const next = shown[shown.indexOf(open) + by];
    if (!next || !shown.includes(open)) return;
    history.replaceState(null, "", fragment(next));
    detail(next);
  }

  function detail(record) {
    const before = open;
    open = record;
    const position = shown.indexOf(record);
    $("place").textContent = position < 0 ? "Not among what is shown" : `${count(position + 1)} of ${count(shown.length)}`;
    $("previous").disabled = position <= 0;
    $("next").disabled = position < 0 || position + 1 >= shown.length;
    $("previous").setAttribute("aria-label", "Previous picture");
    $("next").setAttribute("aria-label", "Next picture");
    $("called").replaceChildren(record.failure ? "Failed" : bidi(className(record) || "Heatmap"));
    $("told").replaceChildren(...told(record));
    stage(record);
    const sliding = before && document.activeElement && document.activeElement.id === "cut";
    if (!dialog.open) dialog.showModal();
    $("pane").scrollTop = 0;
    const slider = sliding && $("cut");
    if (slider) slider.focus();
    else if (!dialog.contains(document.activeElement) || document.activeElement === document.body || document.activeElement.disabled || !before) $("called").focus({ preventScroll: true });
  }

  function stage(record) {
    const box = $("stage");
    const [picture, heatmap] = [image(record.picture), record.heatmap === null ? "none was made" : image(record.heatmap)];
    if (picture === null || heatmap === null) waiting.add("detail");
    const [hasPicture, hasHeatmap] = [Array.isArray(picture), Array.isArray(heatmap)];
    const name = record.name;
    const said = { picture: `Picture ${name}`, heatmap: `Heatmap of ${name}${record.index === null ? "" : `, for ${className(record)}`}` };
    if (!hasPicture && !hasHeatmap) {
      box.replaceChildren(make("p", { class: "absent" }, picture === null || heatmap === null ? "The page is still loading …" : bidi(`No picture (${picture}), no heatmap (${heatmap}).`)));
    } else if (hasPicture && hasHeatmap && !record.beside && Math.abs((picture[0] * heatmap[1]) / (picture[1] * heatmap[0]) - 1) <= SAME_SHAPE) {
      box.replaceChildren(...compare(record, picture, heatmap, said));
    } else {
      const pair = make("div", { class: "pair" });
      for (const [kind, entry] of [["picture", picture], ["heatmap", heatmap]]) {
        if (!Array.isArray(entry)) {
          pair.append(make("figure", {}, make("p", { class: "absent" }, bidi(`No ${kind}: ${entry === null ? "still loading" : entry}`))));
          continue;
        }
        const figure = make("figure", {}, large(entry, record[kind + "Link"], said[kind]), make("figcaption", {}, kind === "picture" ? "Picture" : "Heatmap"));
        figure.style.setProperty("--aspect", entry[0] / entry[1]);
        pair.append(figure);
      }
      box.replaceChildren(pair);
    }
  }

  /** Picture and heatmap on each other, parted where the slider stands. */
  function compare(record, picture, heatmap, said) {
    const slider = make("input", { type: "range", id: "cut", min: 0, max: 100, step: 1, "aria-label": "Where the picture ends and the heatmap begins" });
    const frame = make("figure", { class: "compare" },
      large(picture, record.pictureLink, said.picture), large(heatmap, record.heatmapLink, said.heatmap, "over"),
      slider, make("span", { class: "cut", "aria-hidden": "true" }));
    const sides = make("p", { class: "sides", "aria-hidden": "true" }, make("span", {}, "Picture"), make("span", {}, "Heatmap"));
    const set = () => {
      cut = Number(slider.value);
      frame.style.setProperty("--cut", `${cut}%`);
      slider.setAttribute("aria-valuetext", `${cut} % picture, ${100 - cut} % heatmap`);
    };
    slider.value = String(cut);
    slider.addEventListener("input", set);
    // the thumb follows the pointer exactly, not from where half of its own width would be
    const drag = (event) => {
      if (event.type === "pointermove" && !(event.buttons & 1)) return;
      const box = frame.getBoundingClientRect();
      slider.value = String(Math.round((100 * (event.clientX - box.left)) / box.width));
      set();
    };
    slider.addEventListener("pointerdown", drag);
    slider.addEventListener("pointermove", drag);
    set();
    for (const element of [frame, sides]) element.style.setProperty("--aspect", heatmap[0] / heatmap[1]);
    return [frame, sides];
  }

  /** The small image at once, and the file itself in its place where the page lies beside it. */
  function large(entry, link, alt, kind) {
    const shownImage = make("img", { src: source(entry), alt, class: kind, draggable: "false" });
    if (address(link)) {
      const file = new Image();
      file.src = address(link);
      file.decode().then(() => { shownImage.src = file.src; }, () => {}); // it has gone, or is of a format no browser knows
    }
    return shownImage;
  }

  function section(title, ...content) { return make("section", {}, make("h3", {}, title), ...content.flat()); }

  function told(record) {
    const parts = [make("p", { class: "file" }, bidi(record.name))];
    if (record.failure) parts.push(section(word(record.failure[0]), make("ul", { class: "notes bad" }, make("li", {}, bidi(word(record.failure[1]))))));
    if (record.warnings.length) parts.push(section("Warnings", make("ul", { class: "notes" }, ...record.warnings.map((warning) => make("li", {}, bidi(word(warning)))))));
    if (record.top.length) parts.push(section("Best classes", best(record)));
    if (record.index !== null) parts.push(section("Account", ...account(record)));
    const relevance = [["Smallest", digits(record.min)], ["Largest", digits(record.max)], ["Negative share", percent(record.negative)],
      ["At the border", make("span", {}, percent(record.border), record.border === null ? null : make("small", {}, `evenly spread: ${percent(BORDER_IF_EVEN)}`))]];
    if (record.min !== null) parts.push(section("Relevance of a pixel", pairs(relevance)));
    const own = differing.map((name, place) => [name, bidi(word(record.differing[place]) || "–")]).filter(([, value]) => !record.failure || value.textContent !== "–");
    parts.push(section("Settings", pairs([["method", word(record.method) || "–"], ...own]), record.failure ? null :
      make("p", { class: "file" }, `All ${differing.length ? "others" : "of them"} are the same for every picture and stand at the head of the page.`)));
    const times = steps.map((step, place) => [step, seconds(record.seconds[place])]);
    if (total(record.seconds) !== null) parts.push(section("Time", pairs([...times, ["in all", seconds(total(record.seconds))]])));
    const files = [["Picture", file(record.pictureLink, record.name)]];
    if (record.output !== null) files.push(["Heatmap", file(record.heatmapLink, word(record.output))]);
    parts.push(section("Files", pairs(files)));
    return parts;
  }

  function file(link, name) {
    return address(link) ? make("a", { href: address(link), target: "_blank", rel: "noopener noreferrer" }, bidi(name)) : bidi(name);
  }

  function best(record) {
    return make("ol", { class: "best" }, ...record.top.map(([index, label, score, probability]) => {
      const bar = make("i");
      bar.style.width = `${100 * Math.min(1, Math.max(0, probability || 0))}%`;
      const is = index === record.index;
      return make("li", {}, make("span", { class: is ? "name is" : "name" }, bidi(word(label) || `class ${index}`), make("span", { class: "quiet" }, ` ${index}${is ? ", explained" : ""}`)),
        make("span", { class: "probability" }, percent(probability)), make("span", { class: "score" }, digits(score)), make("span", { class: "track", "aria-hidden": "true" }, bar));
    }));
  }

  /** Where the score went: start = pixels + biases + constants + lost. */
  function account(record) {
    const parts = ["pixels", "biases", "constants", "lost"];
    if (record.lost === null) {
      return [make("p", { class: "sum" }, `f(x) ${digits(record.score)}; the map sums to ${digits(record.pixels)}. ${word(record.method)} promises no account.`)];
    }
    if (record.start === 0) return [make("p", { class: "sum" }, `f(x) ${digits(record.score)}: no evidence for this class, the map is empty.`)];
    const bar = make("div", { class: "account", "aria-hidden": "true" });
    const whole = parts.reduce((sum, part) => sum + Math.abs(record[part]), 0) || 1;
    for (const part of parts) {
      const piece = make("i", { class: `p-${part}` });
      piece.style.width = `${(100 * Math.abs(record[part])) / whole}%`;
      if (record[part]) bar.append(piece);
    }
    const rows = parts.map((part) => {
      const gained = part === "lost" && record.lost < 0;
      const label = make("span", {}, make("span", { class: `key p-${part}`, "aria-hidden": "true" }), gained ? "gained" : part);
      return [label, `${digits(gained ? -record[part] : record[part])}  (${percent(record[part] / record.start)})`];
    });
    const closes = record.error === null ? "" : Math.abs(record.error) <= CLOSES ? "The account closes." : `The account does not close: ${percent(record.error)} is missing.`;
    const put = Math.abs(record.start - record.score) > 1e-5 * Math.abs(record.start) ? ` Relevance put in: ${digits(record.start)}.` : "";
    return [make("p", { class: "sum" }, `f(x) ${digits(record.score)}.${put} ${closes}`), bar, pairs(rows)];
  }

  function closed() {
    if (dialog.open) return; // the event comes late: another picture was asked for meanwhile
    if (named() === open) history.replaceState(null, "", location.pathname + location.search);
    const position = shown.indexOf(open);
    open = null;
    if (position >= 0) gallery.go(position); // back to the card, also where the arrows led to another one
  }

  function dialogue() {
    $("close").addEventListener("click", () => dialog.close());
    $("previous").addEventListener("click", () => turn(-1));
    $("next").addEventListener("click", () => turn(1));
    dialog.addEventListener("close", closed);
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); }); // beside it
    dialog.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.target.id === "cut") return; // there they move the slider
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
        event.preventDefault();
        turn(event.key === "ArrowLeft" ? -1 : 1);
      }
    });
    addEventListener("hashchange", follow);
  }

  // ---- light and dark ----

  function theme() {
    const set = (value) => {
      if (value === "auto") delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = value;
    };
    let kept = null;
    try { kept = localStorage.getItem("heatcli-theme"); } catch { /* a page that may keep nothing */ }
    const radio = [...document.querySelectorAll("#theme input")].find((input) => input.value === kept);
    if (radio) { radio.checked = true; set(kept); }
    $("theme").addEventListener("change", (event) => {
      set(event.target.value);
      try { localStorage.setItem("heatcli-theme", event.target.value); } catch { /* the same */ }
    });
  }

  // ---- all together ----

  theme();
  head();
  failures();
  tools();
  dialogue();
  choose();
  let drawn = 0;
  addEventListener("scroll", () => { drawn = drawn || requestAnimationFrame(() => { drawn = 0; gallery.draw(); }); }, { passive: true });
  let width = gallery.list.clientWidth;
  new ResizeObserver(() => {
    if (gallery.list.clientWidth === width) return gallery.draw(); // what is above may have been opened or closed
    width = gallery.list.clientWidth;
    gallery.fresh();
  }).observe(document.body);
  addEventListener("resize", () => gallery.draw());
  gallery.list.addEventListener("keydown", (event) => gallery.key(event));
  const coming = setInterval(arrived, 150);
  document.addEventListener("DOMContentLoaded", () => {
    clearInterval(coming);
    arrived();
    if (open) stage(open);
  });
  follow();
})();
