// Drives the HTML report in headless Chromium.
//
//	node test.mjs REPORT.html LARGE.html NATURAL.html MARKDOWN.html SCREENSHOTS-DIR
//
// REPORT.html is the synthetic report of the Go tests, with hostile names;
// LARGE.html has 300 kernels × 60 cells, NATURAL.html natural scenarios too.
// MARKDOWN.html is what a host shows of the synthetic report in Markdown. Any
// failed check ends with exit 1.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [small, large, natural, markdown, shots] = process.argv.slice(2);
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

async function page(file, options, ready = "html[data-ready=yes]") {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const p = await context.newPage();
  p.problems = [];
  p.on("pageerror", (e) => p.problems.push(String(e)));
  p.on("console", (m) => m.type() === "error" && p.problems.push(m.text()));
  p.on("request", (r) => r.url().startsWith("file:") || p.problems.push("network: " + r.url()));
  p.on("dialog", (d) => { p.problems.push("dialog: " + d.message()); d.dismiss(); });
  await p.goto("file://" + file);
  await p.waitForSelector(ready, { timeout: 60000 });
  return p;
}

// Axe must find nothing; its script is put in by the test, past the page's own
// policy.
async function accessible(p, where) {
  await p.evaluate(axeSource);
  const { violations } = await p.evaluate(() => axe.run({ resultTypes: ["violations"] }));
  assert.deepEqual(violations.map((v) => v.id + ": " + v.nodes.slice(0, 3).map((n) => n.target.join(" ") + " " + (n.any[0]?.message || "")).join("; ")), [], "axe, " + where);
}

const shown = async (p) => +(await p.textContent("#shown")).split(" ")[0];
const checks = {
  async "every cell is on the map and hostile names are only text"() {
    const p = await page(small);
    assert.equal(await shown(p), 72);
    assert.equal(await p.locator(".map button").count(), 72);
    assert.equal(await p.locator("img, iframe, object, link, script[src]").count(), 0);
    assert.match(await p.title(), /^synthetic <matrix>: FAIL$/);
    assert.match(await p.textContent("#tables"), /<img src=x>/);
    assert.deepEqual(p.problems, []);
  },
  async "filters narrow the map and Show all brings it back"() {
    const p = await page(small);
    await p.selectOption("#f-fs", "tmpfs");
    assert.equal(await shown(p), 36);
    assert.equal(await p.locator(".place:visible").count(), 1);
    await p.selectOption("#f-verdict", "affected");
    assert.equal(await shown(p), 2);
    await p.click("text=Show all");
    await p.waitForFunction(() => document.getElementById("shown").textContent.startsWith("72 "));
    await p.selectOption("#f-verdict", "not as expected");
    assert.equal(await shown(p), 4);
    await p.selectOption("#f-verdict", "");
    await p.fill("#f-text", "v6.18");
    assert.equal(await shown(p), 12);
    await p.fill("#f-text", "nothing is called this");
    assert.equal(await shown(p), 0);
    assert.deepEqual(p.problems, []);
  },
  async "a click opens the evidence of that cell"() {
    const p = await page(small);
    await p.locator(".map button.affected").first().click();
    const text = await p.innerText("#evidence");
    for (const want of ["v5.10-affected / tmpfs / unlink / IN_DELETE", "128 of 128", "95.8 % … 100 %", "decisive", "Order witness", "early", "QEMU 7.2.22",
      "kqual run --matrix matrix.yaml --only kernel=v5.10-affected,filesystem=tmpfs,scenario=unlink,watch=IN_DELETE", "first record after 1.3 s", "</script><script>"]) {
      assert.ok(text.includes(want), "evidence lacks " + want + ":\n" + text);
    }
    await accessible(p, "evidence");
    await p.screenshot({ path: shots + "/evidence.png" });
    await p.keyboard.press("Escape");
    assert.equal(await p.locator("#evidence[open]").count(), 0);
    assert.equal(await p.evaluate(() => document.activeElement.className), "affected");
    assert.equal(await p.title(), "synthetic <matrix>: FAIL");
    assert.deepEqual(p.problems, []);
  },
  async "the evidence links to the console where there is one"() {
    const p = await page(small);
    await p.locator(".map button.error").first().click();
    assert.equal(await p.locator("#evidence a").getAttribute("href"), "logs/broken%20%7C%20pipe.console.log");
    assert.equal(await p.locator("#evidence a").innerText(), "out/logs/broken | pipe.console.log");
    await accessible(p, "evidence with a link");
    await p.keyboard.press("Escape");
    await p.locator(".map button.clean").first().click();
    assert.equal(await p.locator("#evidence a").count(), 0);
    assert.match(await p.innerText("#evidence"), /out\/logs\/debian-11\.console\.log/);
  },
  async "the map is one stop of Tab, and arrows move in it"() {
    const p = await page(small);
    assert.equal(await p.locator(".map button[tabindex='0']").count(), 1);
    await p.locator(".map button[tabindex='0']").focus();
    const here = () => p.evaluate(() => { const td = document.activeElement.closest("td"); return [td.parentElement.rowIndex, td.cellIndex]; });
    assert.deepEqual(await here(), [1, 1]);
    await p.keyboard.press("ArrowRight");
    assert.deepEqual(await here(), [1, 2]);
    await p.keyboard.press("ArrowDown");
    assert.deepEqual(await here(), [2, 2]);
    await p.keyboard.press("End");
    assert.deepEqual(await here(), [2, 6]);
    await p.keyboard.press("ArrowUp");
    await p.keyboard.press("Home");
    assert.deepEqual(await here(), [1, 1]);
    await p.keyboard.press("Enter");
    assert.equal(await p.locator("#evidence[open]").count(), 1);
    assert.deepEqual(p.problems, []);
  },
  async "axe finds nothing, light and dark, wide and narrow"() {
    for (const colorScheme of ["light", "dark"]) {
      for (const width of [1280, 640]) {
        const p = await page(small, { colorScheme, viewport: { width, height: 900 } });
        await accessible(p, colorScheme + " " + width);
        assert.equal(await p.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, "the page scrolls sideways at " + width);
        await p.screenshot({ path: `${shots}/${colorScheme}-${width}.png`, fullPage: true });
        await p.context().close();
      }
    }
  },
  async "charts are drawn"() {
    const p = await page(small);
    assert.equal(await p.locator("#charts svg[role=img]").count(), 4);
    assert.ok(await p.locator("#charts circle").count() > 10);
    assert.match(await p.innerText("#charts"), /Natural beside amplified: no scenario of this run is natural/);
  },
  async "natural rates stand beside amplified ones, a zero as an upper limit"() {
    const p = await page(natural);
    assert.equal(await p.locator("#charts svg[role=img]").count(), 5);
    const chart = p.locator("figure", { hasText: "Natural beside amplified" });
    assert.equal(await chart.locator("circle.open").count(), 1); // v5.10-affected, 5 of 20000
    assert.equal(await chart.locator("polygon.open").count(), 1); // debian-11, 0 of 20000
    assert.equal(await chart.locator("polygon:not(.open)").count(), 2); // debian-11 and debian-12, amplified
    const [low, high] = [await chart.locator("circle.open").getAttribute("cy"), await chart.locator("circle:not(.open)").first().getAttribute("cy")];
    assert.ok(+low > +high, "the natural rate is drawn below the amplified one");
    for (const v of await chart.locator("svg [y1]").evaluateAll((l) => l.flatMap((e) => [+e.getAttribute("y1"), +e.getAttribute("y2")]))) assert.ok(v >= 0 && v <= 200, "a bar leaves the chart: " + v);
    await accessible(p, "natural");
    await chart.screenshot({ path: shots + "/natural.png" });
    await p.locator("figure", { hasText: "Time to decision" }).screenshot({ path: shots + "/times.png" });
    await p.locator(".map button.affected").first().click();
    const text = await p.innerText("#evidence");
    for (const want of ["What they are worth", "natural rate\n5/20000 [", "trials per second", "decided in", "blocks"]) assert.ok(text.includes(want), "evidence lacks " + want + ":\n" + text);
    assert.deepEqual(p.problems, []);
  },
  async "print has the whole map and no controls"() {
    const p = await page(small);
    await p.emulateMedia({ media: "print" });
    assert.equal(await p.locator("#filters").isVisible(), false);
    assert.equal(await p.locator(".scroll").first().evaluate((e) => getComputedStyle(e).overflow), "visible");
    await p.screenshot({ path: shots + "/print.png", fullPage: true });
  },
  async "a verdict in Markdown leads to its evidence and unfolds it"() {
    const p = await page(markdown, {}, "table");
    assert.equal(await p.locator("details[open]").count(), 0);
    await p.locator("tr", { hasText: "v5.10-affected" }).first().locator("a", { hasText: "STALE" }).first().click();
    const evidence = p.locator("li", { hasText: "watch=IN_DELETE" }).and(p.locator("li", { hasText: "kernel=v5.10-affected,filesystem=tmpfs" })).first();
    await evidence.waitFor({ state: "visible", timeout: 5000 });
    assert.match(await evidence.innerText(), /^tmpfs\/unlink IN_DELETE: STALE 128\/128/);
    assert.ok(await evidence.evaluate((e) => { const { top, bottom } = e.getBoundingClientRect(); return top >= -1 && bottom <= innerHeight; }), "the evidence is not in view");
    assert.equal(await p.locator("details[open]").count(), 1);
    await p.screenshot({ path: shots + "/markdown.png" });
    assert.deepEqual(p.problems, []);
  },
  async "300 kernels with 60 cells each are usable"() {
    const begin = Date.now();
    const p = await page(large);
    const loaded = Date.now() - begin;
    assert.equal(await shown(p), 18000);
    const filtering = Date.now();
    await p.selectOption("#f-verdict", "affected");
    assert.equal(await shown(p), 1000);
    const filtered = Date.now() - filtering;
    console.log(`# large: loaded in ${loaded} ms, filtered in ${filtered} ms`);
    assert.ok(loaded < 30000 && filtered < 15000, `loaded in ${loaded} ms, filtered in ${filtered} ms`);
    await p.locator(".map button.affected").last().click();
    assert.match(await p.innerText("#e-title"), /^kernel-199 \/ fs4/);
    assert.deepEqual(p.problems, []);
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log("ok - " + name);
  } catch (e) {
    failed++;
    console.log("not ok - " + name + "\n" + e.message.replace(/^/gm, "    "));
  }
}
await browser.close();
process.exit(failed ? 1 : 0);
