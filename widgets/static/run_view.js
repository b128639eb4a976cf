// The page's half of RunView. Text goes in by textContent; the only HTML is `intro`, which the kernel escaped.
const SIGNS = { waiting: "·", running: "▸", ok: "✓", failed: "✗", skipped: "–", interrupted: "!" };
const COLORS = { waiting: "muted", running: "info", ok: "ok", failed: "bad", skipped: "muted", interrupted: "bad" };
const LOG_LINES = 200;
const TAILS = 10;

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

function took(ms) {
  if (ms === null || ms === undefined) return "";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1000);
  const two = (n) => String(n).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${two(seconds % 60)} min`;
  return `${Math.floor(seconds / 3600)}:${two(Math.floor((seconds % 3600) / 60))} h`;
}

function buildCard(root) {
  const card = make("div", "cw-card");
  card.hidden = true;
  const header = make("header");
  const title = make("b");
  const facts = make("span", "cw-muted");
  const count = make("span", "cw-muted cw-right");
  const pill = make("span", "cw-pill");
  header.append(title, facts, count, pill);
  const bar = make("div", "cw-bar");
  bar.setAttribute("role", "progressbar");
  bar.setAttribute("aria-label", "steps done");
  bar.setAttribute("aria-valuemin", "0");
  const fill = make("i");
  bar.append(fill);
  const list = make("div", "cw-list");
  list.setAttribute("role", "list");
  list.setAttribute("aria-label", "steps");
  list.tabIndex = 0;
  const tails = make("div");
  const log = make("pre", "cw-log");
  log.setAttribute("aria-label", "output");
  log.tabIndex = 0;
  log.hidden = true;
  card.append(header, bar, list, tails, log);
  root.append(card);
  return { card, title, facts, count, pill, bar, fill, list, tails, log };
}

function render({ model, el }) {
  const root = make("div", "cw cw-run tex2jax_ignore mathjax_ignore");
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "run");
  const intro = make("details", "cw-intro");
  const heading = make("summary");
  const drawn = make("div");
  intro.open = true;
  intro.append(heading, drawn);
  root.append(intro);
  const ui = buildCard(root);
  // Said aloud: only what a listener must know, never every step.
  const spoken = make("div", "cw-sr");
  spoken.setAttribute("role", "status");
  spoken.setAttribute("aria-live", "polite");
  root.append(spoken);
  el.append(root);

  let rows = [];
  let logLines = [];
  let head = null;
  let headAt = 0;
  let folded = false;
  let alive = true;
  let live = false; // past the first drawing

  function drawIntro() {
    const html = model.get("intro");
    intro.hidden = !html;
    drawn.innerHTML = html;
    const bundle = model.get("bundle");
    heading.textContent = `Plan ${model.get("plan").slice(0, 8)}` + (bundle ? ` and scripts ${bundle.slice(0, 8)}` : "");
  }

  function drawSteps() {
    rows = model.get("steps").map(([address, action]) => {
      const row = make("div", "cw-row");
      row.setAttribute("role", "listitem");
      const sign = make("span", "cw-st cw-muted", SIGNS.waiting);
      sign.setAttribute("aria-hidden", "true");
      const label = make("span", "cw-label");
      label.append(make("code", "", address), ` ${action} `);
      const note = make("span", "cw-muted");
      const word = make("span", "cw-sr", "waiting");
      label.append(word, note);
      const time = make("span", "cw-dur");
      row.append(sign, label, time);
      return { row, sign, word, note, time, status: "waiting", base: 0, since: 0, tail: "" };
    });
    ui.list.replaceChildren(...rows.map((r) => r.row));
  }

  function applyRow([index, status, ms, note, tail, started]) {
    const row = rows[index];
    if (!row) return null;
    row.status = status;
    row.tail = tail;
    row.sign.textContent = SIGNS[status];
    row.sign.className = `cw-st cw-${COLORS[status]}`;
    row.row.className = `cw-row cw-is-${status}`;
    // A sign is never alone: other than ok and waiting the word is shown, for those two it is there to be read aloud.
    const quiet = status === "ok" || status === "waiting";
    row.word.className = quiet ? "cw-sr" : `cw-${COLORS[status]}`;
    row.word.textContent = status;
    row.note.textContent = note ? `${quiet ? " " : ", "}${note}` : "";
    row.time.textContent = took(ms);
    if (status === "running") {
      row.base = head && head.at ? Math.max(0, Date.parse(head.at) - Date.parse(started)) : 0;
      row.since = performance.now();
    }
    return row;
  }

  function drawHead() {
    const totals = head.totals;
    const ended = totals.ok + totals.failed + totals.skipped + totals.interrupted;
    ui.card.hidden = head.status === "new" || head.status === "waiting";
    ui.title.textContent = head.title;
    ui.facts.textContent = head.facts;
    ui.pill.textContent = head.pill;
    ui.pill.className = `cw-pill cw-${head.color}`;
    ui.fill.style.width = totals.steps ? `${(100 * ended) / totals.steps}%` : "0";
    ui.bar.hidden = !totals.steps || head.status === "denied";
    const bad = totals.failed || totals.interrupted;
    ui.bar.className = `cw-bar${bad ? " cw-bad" : ended === totals.steps ? " cw-ok" : ""}`;
    ui.bar.setAttribute("aria-valuemax", totals.steps);
    ui.bar.setAttribute("aria-valuenow", ended);
    if (!ui.card.hidden && !folded) {
      folded = true;
      const place = root.getBoundingClientRect();
      const watched = intro.open && place.bottom > 0 && place.top < window.innerHeight;
      intro.open = false;
      // Folding moves everything up; keep the run before the eyes of whoever was looking at the question.
      if (watched && live) requestAnimationFrame(() => ui.card.scrollIntoView({ block: "nearest" }));
    }
    const say = ui.card.hidden ? "" : `${head.title}. ${bad || head.ended ? head.facts : ""}`;
    if (spoken.textContent !== say) spoken.textContent = say;
    drawTimes();
  }

  function drawTimes() {
    if (!head) return;
    const totals = head.totals;
    const running = totals.running > 0 && !head.ended;
    const more = running ? performance.now() - headAt : 0;
    const parts = head.ended ? [] : [`${totals.ok} of ${totals.steps}`];
    parts.push(took(head.elapsed_ms + more));
    if (running && head.left_ms - more >= 1000) parts.push(`about ${took(head.left_ms - more)} left`);
    ui.count.textContent = parts.join(" · ");
    if (!running) return;
    for (const row of rows) {
      if (row.status === "running") row.time.textContent = took(row.base + performance.now() - row.since);
    }
  }

  function drawTails() {
    const failed = rows.filter((r) => r.tail).slice(0, TAILS);
    ui.tails.replaceChildren(...failed.map((r) => make("pre", "cw-err", r.tail)));
  }

  function follow(row) {
    const list = ui.list;
    const top = row.row.offsetTop - list.offsetTop;
    if (top < list.scrollTop || top + row.row.offsetHeight > list.scrollTop + list.clientHeight) {
      list.scrollTop = Math.max(0, top - list.clientHeight / 2);
    }
  }

  function drawLog(lines) {
    logLines = logLines.concat(lines).slice(-LOG_LINES);
    ui.log.hidden = !logLines.length;
    const atEnd = ui.log.scrollTop + ui.log.clientHeight >= ui.log.scrollHeight - 4;
    ui.log.textContent = logLines.join("\n");
    if (atEnd) ui.log.scrollTop = ui.log.scrollHeight;
  }

  function apply(message) {
    if (!message || !message.head || !("status" in message.head)) {
      if (message && message.log && message.log.length) drawLog(message.log);
      return;
    }
    head = message.head;
    headAt = performance.now();
    let current = null;
    let tails = false;
    for (const change of message.rows || []) {
      const before = rows[change[0]] ? rows[change[0]].tail : "";
      const row = applyRow(change);
      if (!row) continue;
      tails = tails || row.tail !== before;
      if (row.status === "running" || row.status === "failed") current = row;
    }
    drawHead();
    if (tails) drawTails();
    if (current && document.activeElement !== ui.list) follow(current);
    if (message.log && message.log.length) drawLog(message.log);
  }

  function restore() {
    const whole = model.get("snapshot");
    if (!whole || !whole.head) return;
    logLines = [];
    apply(whole);
  }

  // Approve is enabled by this message, so it is sent only when what is approved is really in the page.
  function report() {
    if (!alive) return;
    const plan = drawn.querySelector("[data-cw-plan]");
    const bundle = drawn.querySelector("[data-cw-bundle]");
    const shown =
      el.isConnected && plan && plan.dataset.cwPlan === model.get("plan") && plan.getClientRects().length > 0 &&
      (!model.get("bundle") || (bundle && bundle.dataset.cwBundle === model.get("bundle")));
    if (shown) model.send({ type: "rendered", plan: model.get("plan"), bundle: model.get("bundle") });
    else if (!intro.hidden && intro.open) requestAnimationFrame(report);
  }

  const onSteps = () => {
    drawSteps();
    restore();
  };
  const onIntro = () => {
    drawIntro();
    requestAnimationFrame(report);
  };
  drawIntro();
  drawSteps();
  restore();
  live = true;
  requestAnimationFrame(() => requestAnimationFrame(report));
  model.on("msg:custom", apply);
  model.on("change:snapshot", restore);
  model.on("change:steps", onSteps);
  model.on("change:intro", onIntro);
  const timer = setInterval(drawTimes, 250);
  return () => {
    alive = false;
    clearInterval(timer);
    model.off("msg:custom", apply);
    model.off("change:snapshot", restore);
    model.off("change:steps", onSteps);
    model.off("change:intro", onIntro);
  };
}

export default { render };
