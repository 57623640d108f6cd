// Drives kqual serve in headless Chromium.
//
//	node serve.mjs URL
//
// URL is a server with two nights of a kernel debian-11 with one console log.
// Any failed check ends with exit 1.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [url] = process.argv.slice(2);
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

async function open(path) {
  const p = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
  p.problems = [];
  p.on("pageerror", (e) => p.problems.push(String(e)));
  p.on("console", (m) => m.type() === "error" && p.problems.push(m.text()));
  p.on("request", (r) => r.url().startsWith(url) || r.url().startsWith("data:") || p.problems.push("network: " + r.url()));
  p.on("dialog", (d) => { p.problems.push("dialog: " + d.message()); d.dismiss(); });
  await p.goto(url + path);
  return p;
}

async function accessible(p, where) {
  await p.evaluate(axeSource);
  const { violations } = await p.evaluate(() => axe.run({ resultTypes: ["violations"] }));
  assert.deepEqual(violations.map((v) => v.id + ": " + v.nodes.slice(0, 3).map((n) => n.target.join(" ")).join("; ")), [], "axe, " + where);
}

const checks = {
  async "the calendar leads to a night's report"() {
    const p = await open("/");
    assert.equal(await p.locator(".months td.unmet a").count(), 1);
    assert.equal(await p.locator("svg rect").count() > 0, true);
    await p.click(".months td.unmet a");
    await p.waitForSelector("html[data-ready=yes]");
    assert.match(p.url(), /\/runs\/2026-11-25-1\/report\.html$/);
    assert.deepEqual(p.problems, []);
  },
  async "a night leads to what changed, which is only text"() {
    const p = await open("/");
    await p.click(".nights tr:has(td.unmet) >> text=what changed");
    assert.match(await p.textContent("body"), /compared with 2026-11-24-1:[\s\S]*why <b>not<\/b> \(exit 1\)/);
    assert.deepEqual(p.problems, []);
  },
  async "a cell leads to its nights and their console, which is only text"() {
    const p = await open("/");
    await p.click("text=Every cell of the last night");
    await p.click("text=debian-11/tmpfs/unlink/IN_DELETE >> nth=0");
    assert.equal(await p.locator("tr.clean").count(), 2);
    await p.click("text=console >> nth=0");
    assert.match(await p.textContent("body"), /<script>alert\(1\)<\/script> a console/);
    assert.deepEqual(p.problems, []);
  },
  async "axe finds nothing, in the light and in the dark"() {
    for (const path of ["/", "/cells", "/trend?cell=debian-11/tmpfs/unlink/IN_DELETE"]) {
      const p = await open(path);
      for (const colorScheme of ["light", "dark"]) {
        await p.emulateMedia({ colorScheme });
        await accessible(p, path + ", " + colorScheme);
      }
    }
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
