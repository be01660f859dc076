// Opens the dashboard in a real Chromium and tells, as JSON, what a person would see of it.
//
//   node dashboard.mjs MODULES URL [--key KEY] [--wrong-key KEY] [--screenshots FOLDER]
import { createRequire } from "node:module";

const [modules, url, ...rest] = process.argv.slice(2);
const options = new Map();
for (let index = 0; index < rest.length; index += 2) options.set(rest[index], rest[index + 1]);
const { chromium } = createRequire(`${modules}/`)("playwright-core");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
const seen = { console: [], requests: [] };

async function open(settings) {
  const context = await browser.newContext({ deviceScaleFactor: 1, ...settings });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && seen.console.push(message.text()));
  page.on("pageerror", (error) => seen.console.push(String(error)));
  page.on("request", (request) => seen.requests.push(request.url()));
  await page.goto(`${url}/`);
  return page;
}

const text = (page, selector) => page.locator(selector).innerText();

async function enter(page, key) {
  await page.fill("#key", key);
  await page.keyboard.press("Enter");
}

// Until numbers are there, and the load has come to be seen in the plots.
async function settled(page) {
  await page.waitForFunction(() => document.querySelectorAll("#pools tbody tr").length > 0);
  await page.waitForFunction(() => parseFloat(document.querySelector("#tile-rate").textContent) > 0);
  await page.waitForFunction(() => document.querySelectorAll("#connections svg path").length > 0);
}

async function shot(page, name) {
  if (options.has("--screenshots")) {
    await page.screenshot({ path: `${options.get("--screenshots")}/${name}.png`, fullPage: true });
  }
}

const overflow = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

try {
  const key = options.get("--key");
  const page = await open({ colorScheme: "light", viewport: { width: 1280, height: 900 } });
  if (options.has("--wrong-key")) {
    await enter(page, options.get("--wrong-key"));
    await page.waitForFunction(() => document.querySelector("#key-error").textContent !== "");
    seen.refusal = await text(page, "#key-error");
    // That a request was refused is told in the console by the browser itself.
    seen.console = seen.console.filter((line) => !line.includes("401"));
  }
  if (key) await enter(page, key);
  await settled(page);

  const clock = () => text(page, "#clock");
  const before = await clock();
  await page.waitForFunction((before) => document.querySelector("#clock").textContent !== before, before);
  seen.moved = true;
  seen.status = await text(page, "#status");
  seen.pools = await page.locator("#pools tbody th .name").allInnerTexts();
  seen.providers = await page.locator("#providers tbody th .name").allInnerTexts();
  seen.errors = await page.locator("#errors tbody tr").allInnerTexts();
  seen.meter = await page.locator("#pools .meter").first().getAttribute("aria-valuetext");
  seen.digest_of_voyage = await text(page, '#providers tr[data-name="voyage"] td[data-title="Digest"]');
  seen.plotted = await page.locator("#latency svg path").count();

  // Through the page with the tab key alone, each stop visible.
  await page.evaluate(() => document.activeElement?.blur());
  seen.tab_stops = [];
  for (let stop = 0; stop < 5; stop += 1) {
    await page.keyboard.press("Tab");
    seen.tab_stops.push(
      await page.evaluate(() => {
        const element = document.activeElement;
        const style = getComputedStyle(element);
        const visible = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
        const box = element.getBoundingClientRect();
        const name = element.id || element.closest("[id]")?.id || element.className || element.tagName;
        return visible && box.width > 0 && box.bottom > 0 ? name : `${name} (invisible)`;
      }),
    );
  }
  // With a plot in focus the arrows go through its moments.
  await page.focus("#latency .canvas");
  await page.keyboard.press("ArrowLeft");
  seen.moment = await page.locator("#latency .canvas").getAttribute("aria-label");

  // Paused, nothing moves.
  await page.click("#pause");
  const paused = await clock();
  // The script goes on being told.
  const then = await page.evaluate(() => picture.time);
  await page.waitForFunction((then) => picture.time > then + 1, then);
  seen.paused = paused === (await clock());
  await page.click("#pause");

  seen.landmarks = await page.evaluate(() => ["header", "main", "footer"].filter((tag) => document.querySelector(`body > ${tag}`)));
  seen.unnamed = await page.evaluate(() =>
    [...document.querySelectorAll("button, select, input, [tabindex='0'], [role=meter], [role=img]")]
      .filter((element) => !(element.textContent.trim() || element.labels?.length || element.getAttribute("aria-label")))
      .map((element) => element.outerHTML.slice(0, 80)),
  );
  seen.stored = await page.evaluate(() => localStorage.length + sessionStorage.length + document.cookie.length);

  seen.overflow = {};
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 768, 390, 320]) {
      await page.emulateMedia({ colorScheme, reducedMotion: width === 390 ? "reduce" : "no-preference" });
      await page.setViewportSize({ width, height: 900 });
      await page.waitForFunction((width) => document.querySelector("#latency svg").clientWidth < width, width);
      seen.overflow[`${colorScheme} ${width}`] = await overflow(page);
      await shot(page, `dashboard-${colorScheme}-${width}`);
    }
  }
  seen.ground = {};
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    seen.ground[colorScheme] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  }
} finally {
  await browser.close();
}
const own = seen.requests.filter((request) => request.startsWith(`${url}/`));
seen.foreign = seen.requests.filter((request) => !request.startsWith(`${url}/`) && !request.startsWith("data:"));
seen.own = [...new Set(own.map((request) => request.slice(url.length)))];
delete seen.requests;
console.log(JSON.stringify(seen));
