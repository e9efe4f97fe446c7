"use strict";
// The page of a sweep: the map of tiles, and the table of runs with its order and filter.

const { columns, labels, rows } = DATA;
const decoded = new Map(); // field -> promise of the integers of its tiles
const shown = new Set(DATA.shown);
let order = { column: null, descending: false };
let visible = rows.map((_, i) => i);
let selected = null;

const tiles = new TileMap(byId("map-of-tiles"), (run) => select(run, true));
const look = connectColors(() => field().limits, () => tiles.draw());

const field = () => DATA.fields[Number(byId("field").value) || 0];
const isNumber = (text) => text !== "" && Number.isFinite(Number(text));
const cell = (run, column) => rows[run][columns.indexOf(column)];

// --- Tiles -------------------------------------------------------------------------------------

async function showTiles({ limits = false } = {}) {
  const chosen = field();
  if (!decoded.has(chosen)) {
    decoded.set(chosen, Promise.all(chosen.tiles.map((tile) => (tile ? decode(tile) : null))));
  }
  const codes = await decoded.get(chosen);
  if (field() !== chosen) return; // another field was chosen meanwhile
  document.body.dataset.curve = chosen.tiles.some((tile) => tile && tile.curve);
  if (limits) look.setLimits(chosen.limits);
  const [across, upwards] = ["across", "upwards"].map((id) => byId(id).value);
  const texts = (name) => (name ? rows.map((_, run) => cell(run, name)) : null);
  tiles.show({
    tiles: chosen.tiles, codes, look, visible,
    across: texts(across), acrossName: labels[across],
    upwards: texts(upwards), upwardsName: labels[upwards],
  });
}

function select(run, scroll) {
  selected = tiles.selected = run;
  tiles.draw();
  const parts = ["number", ...DATA.settings, "state"].map((name) => `${labels[name]} ${cell(run, name)}`);
  byId("selected").textContent = parts.join(", ");
  for (const row of byId("body").rows) {
    const same = Number(row.dataset.run) === run;
    row.setAttribute("aria-selected", same);
    if (same && scroll) {
      const box = row.closest(".scroll"); // not scrollIntoView, which would also move the page
      box.scrollTop = row.offsetTop - box.clientHeight / 2;
    }
  }
}

// --- Table -------------------------------------------------------------------------------------

const COMPARISON = /^(.+?)(<=|>=|<|>|=)(.+)$/;

function matches(run, word) {
  const parts = COMPARISON.exec(word);
  const name = parts && columns.find((one) => one === parts[1] || labels[one] === parts[1]);
  if (!name) return rows[run].some((text) => text.toLowerCase().includes(word.toLowerCase()));
  const [, , sign, wanted] = parts, text = cell(run, name);
  if (!isNumber(text) || !isNumber(wanted)) return sign === "=" && text.toLowerCase() === wanted.toLowerCase();
  const a = Number(text), b = Number(wanted);
  return { "<": a < b, "<=": a <= b, "=": a === b, ">=": a >= b, ">": a > b }[sign];
}

function compare(a, b) {
  const [left, right] = [cell(a, order.column), cell(b, order.column)];
  const numbers = [isNumber(left), isNumber(right)];
  if (numbers[0] !== numbers[1]) return numbers[0] ? -1 : 1; // missing values come last
  const result = numbers[0] ? left - right : left.localeCompare(right);
  return order.descending ? -result : result;
}

function showTable() {
  const words = byId("filter").value.split(/\s+/).filter(Boolean);
  visible = rows.map((_, i) => i).filter((run) => words.every((word) => matches(run, word)));
  const sorted = order.column ? [...visible].sort(compare) : visible;
  byId("count").textContent = `${visible.length} of ${rows.length} runs`;
  const names = columns.filter((name) => shown.has(name));
  byId("head").replaceChildren(...names.map(heading));
  byId("body").replaceChildren(...sorted.map((run) => {
    const row = create("tr", {}, names.map((name) => tableCell(run, name)));
    row.dataset.run = run;
    row.setAttribute("aria-selected", run === selected);
    row.addEventListener("click", () => select(run, false));
    return row;
  }));
}

function heading(name) {
  const sorted = order.column === name;
  const mark = sorted ? (order.descending ? " ▾" : " ▴") : "";
  const button = create("button", { type: "button", textContent: labels[name] + mark, title: name });
  button.addEventListener("click", () => {
    order = { column: name, descending: sorted && !order.descending };
    showTable();
    [...byId("head").querySelectorAll("button")].find((one) => one.title === name).focus();
  });
  const result = create("th", { scope: "col", className: isText(name) ? "text" : "" }, [button]);
  result.setAttribute("aria-sort", sorted ? (order.descending ? "descending" : "ascending") : "none");
  return result;
}

const isText = (name) => rows.some((row) => {
  const text = row[columns.indexOf(name)];
  return text !== "" && text !== "nan" && !isNumber(text);
});

function tableCell(run, name) {
  const text = cell(run, name);
  const link = name === "number" && DATA.links[run];
  // settings have all digits, results six; the title of a cell has all that are stored
  const short = isNumber(text) && !DATA.settings.includes(name) ? shortResult(text) : text;
  const content = link ? create("a", { href: link, textContent: text }) : short;
  return create("td", { className: isText(name) ? "text" : "", title: text }, [content]);
}

const shortResult = (text) => String(parseFloat(Number(text).toPrecision(6)));

// --- Start -------------------------------------------------------------------------------------

function connect() {
  const fields = DATA.fields;
  fillSelect(byId("field"), fields.map((_, i) => i),
    fields.map((one) => (one.label === one.name ? one.name : `${one.name}: ${one.label}`)), 0);
  const settings = DATA.settings.filter((name) => name !== "label");
  const names = ["", ...settings], texts = names.map((name) => (name ? labels[name] : "(none)"));
  fillSelect(byId("across"), names, texts, settings[0] || "");
  fillSelect(byId("upwards"), names, texts, settings[1] || "");
  byId("field").addEventListener("change", () => showTiles({ limits: true }).catch(showProblem));
  for (const id of ["across", "upwards"]) byId(id).addEventListener("change", () => showTiles().catch(showProblem));
  byId("filter").addEventListener("input", () => {
    showTable();
    showTiles().catch(showProblem);
  });
  byId("columns").replaceChildren(...columns.map((name) => {
    const box = create("input", { type: "checkbox", checked: shown.has(name) });
    box.addEventListener("change", () => {
      if (box.checked) shown.add(name);
      else shown.delete(name);
      showTable();
    });
    return create("label", { className: "check" }, [box, name]);
  }));
}

async function start() {
  connect();
  look.update();
  showTable();
  await showTiles({ limits: true });
  document.body.dataset.ready = "true";
}

start().catch(showProblem);
