// Opens the page at / in a browser, and does with it what a person would.
//
//   node page.mjs BROWSER URL OTHER_ADDRESS [SCREENSHOTS]
//
// It exits with 1, and says what was missing, unless the page does all that it should.
import { chromium } from 'playwright-core';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const [browserPath, url, other, screenshots] = process.argv.slice(2);
const patience = 30_000;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] });
let failed = false;

function check(holds, what) {
  if (holds) return;
  failed = true;
  console.error(`not true: ${what}`);
}

// open returns a page, and fails the test on an error in its console.
async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.on('console', (message) => {
    // The browser reports a connection that is refused while a node is gone.
    if (message.type() === 'error' && !message.text().includes('net::ERR_')) check(false, `no error in the console: ${message.text()}`);
  });
  page.on('pageerror', (error) => check(false, `no exception: ${error.message}`));
  await page.goto(url);
  const member = (name) => page.locator(`section[aria-label="${name}"]`);
  await member('Mina').getByText('Joon joined').waitFor();
  return { page, mina: member('Mina'), joon: member('Joon') };
}

async function shoot(page, name) {
  if (screenshots) await page.screenshot({ path: path.join(screenshots, `${name}.png`), fullPage: true });
}

async function send(member, text) {
  await member.getByLabel('Message').fill(text);
  await member.getByRole('button', { name: 'Send' }).click();
}

// axe-core finds what people with a screen reader, a keyboard or weak eyes stumble over.
async function accessible(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  for (const v of violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))) {
    check(false, `axe finds nothing serious (${what}): ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(' ')}`);
  }
}

async function withMouse() {
  const { page, mina, joon } = await open();
  await send(mina, 'one');
  await joon.getByText('Mina: one').waitFor();
  await joon.getByText('Mina: online').waitFor();

  await joon.getByLabel('Message').pressSequentially('thinking');
  await mina.getByText('Joon is typing').waitFor();

  await joon.getByRole('button', { name: 'Cut the connection' }).click();
  await mina.getByText('Joon: reconnecting').waitFor();
  for (const text of ['two', 'three', 'four']) {
    await send(mina, text);
    await mina.getByText(`Mina: ${text}`).waitFor();
  }
  check((await joon.getByText('Mina: two').count()) === 0, 'who is cut off receives nothing');
  await shoot(page, 'cut');
  await joon.getByRole('button', { name: 'Connect again' }).click();
  await joon.getByText(/Caught up: 3 missed/).waitFor();
  const missed = await joon.locator('[data-log] li').allTextContents();
  check(missed.slice(-4).join() === 'Mina: one,Mina: two,Mina: three,Mina: four', `what was missed arrives in order and once: ${missed}`);
  await mina.getByText('Joon: online').waitFor();

  await joon.getByRole('button', { name: 'Leave' }).click();
  await mina.getByText('Joon left').waitFor();
  await mina.getByText(/^Joon: /).first().waitFor({ state: 'detached' });
  check(await joon.getByRole('button', { name: 'Send' }).isDisabled(), 'who is no member cannot send');
  await joon.locator('[data-log] li').first().waitFor({ state: 'detached' });
  await joon.getByRole('button', { name: 'Join' }).click();
  await mina.getByText('Joon joined').nth(1).waitFor();
  await joon.getByText('Joon joined').nth(1).waitFor();
  await send(joon, 'back');
  await mina.getByText('Joon: back').waitFor();

  // On another node.
  await joon.getByLabel('Connected to').fill(other);
  await joon.getByLabel('Connected to').press('Enter');
  const nodes = async () => [await mina.locator('[data-node]').textContent(), await joon.locator('[data-node]').textContent()];
  await page.waitForFunction(() => {
    const [a, b] = [...document.querySelectorAll('[data-node]')].map((e) => e.textContent);
    return a && b && a !== b;
  });
  await send(mina, 'to the other node');
  await joon.getByText('Mina: to the other node').waitFor();
  check(new Set(await nodes()).size === 2, 'the two are on two nodes');

  await joon.getByText('What goes over the wire').click();
  await joon.getByText('"group:event"').first().waitFor();
  const versions = await joon.locator('[data-log] li').evaluateAll((items) => items.map((i) => i.value));
  check(versions.every((v, i) => i === 0 || v > versions[i - 1]), `versions count up: ${versions}`);
  await accessible(page, 'light');
  await shoot(page, 'light');
}

// withKeyboard does the main thing with Tab, Enter and letters alone.
async function withKeyboard() {
  const { page, mina, joon } = await open({ colorScheme: 'dark', viewport: { width: 360, height: 740 } });
  const tabTo = async (target) => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab');
      if (await target.evaluate((e) => e === document.activeElement)) return;
    }
    throw new Error('the keyboard does not reach it');
  };
  await tabTo(mina.getByLabel('Message'));
  await page.keyboard.type('by keyboard');
  await page.keyboard.press('Enter');
  await joon.getByText('Mina: by keyboard').waitFor();
  await tabTo(joon.locator('[data-cut]'));
  await page.keyboard.press('Space');
  await mina.getByText('Joon: reconnecting').waitFor();
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  check(width <= 360, `nothing is wider than a telephone: ${width}`);
  await accessible(page, 'dark, on a telephone');
  await shoot(page, 'telephone');
}

try {
  await withMouse();
  await withKeyboard();
} catch (error) {
  check(false, error.stack);
  for (const context of browser.contexts()) for (const page of context.pages()) await shoot(page, 'failed');
} finally {
  await browser.close();
}
process.exit(failed ? 1 : 0);
